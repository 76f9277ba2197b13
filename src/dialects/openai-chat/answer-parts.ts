/** Parts of a chat answer that look the same in a whole answer and in a stream. */
import type { AnswerBlock } from "../answer-fold.js";
import type { CodecContext } from "../codec.js";
import { citesSomething, reportCitation, reportMedia, reportStop } from "../answer-losses.js";
import type { Annotation, JsonObject, LossList, MediaSource, StopReason, ToolCallBlock } from "../semantic.js";
import { urlOfSource } from "../media.js";

/** Clients expect a fingerprint; the upstream's own says nothing about a translated answer. */
export const SYSTEM_FINGERPRINT = "fp_translated";

/** What every whole answer and chunk begins with. */
export function answerHead(object: string, answer: { id: string; created: number }, context: CodecContext): JsonObject {
  return {
    id: answer.id === "" ? `chatcmpl-${context.requestId}` : answer.id,
    object,
    created: answer.created > 0 ? answer.created : context.created,
    model: context.model,
    service_tier: "default",
    system_fingerprint: SYSTEM_FINGERPRINT,
  };
}

/** Did the caller ask in the legacy form (`functions`), and so understands only `function_call`? */
export function isLegacy(context: CodecContext): boolean {
  return context.request.answerHints?.functions === true;
}

/**
 * An entry of `annotations`. The vendor knows citations of addresses only, and strict clients no other type:
 * every citation takes that shape. Offsets count from the message's start; a citation without any covers
 * its whole block, `[start, end)`. null = it cites nothing that a client could show.
 */
export function annotationObject(
  annotation: Annotation,
  [start, end]: readonly [number, number],
  losses: LossList,
): JsonObject | null {
  const { url, title, citedText } = annotation;
  reportCitation(annotation, losses);
  if (!citesSomething(annotation)) return null;
  return {
    type: "url_citation",
    url_citation: {
      start_index: annotation.start < 0 ? start : start + annotation.start,
      end_index: annotation.end < 0 ? end : start + annotation.end,
      title,
      url,
      ...(citedText === "" ? {} : { cited_text: citedText }),
    },
  };
}

/**
 * An entry of `images`, which the vendor's types do not know but routers of its shape and their clients do;
 * null, with a loss, when nobody but the vendor has the bytes. A film is a loss too, though its bytes are there.
 */
export function imageObject(source: MediaSource, index: number, losses: LossList): JsonObject | null {
  const url = urlOfSource(source, "image/png");
  const isImage = source.mediaType === "" || source.mediaType.startsWith("image/");
  if (url === null || !isImage) reportMedia(source, losses);
  return url === null ? null : { index, type: "image_url", image_url: { url } };
}

/** The message's `audio`: one sound, by value; `before` is one that it replaces. */
export function audioObject(
  source: MediaSource,
  before: JsonObject | null,
  context: CodecContext,
  losses: LossList,
): JsonObject {
  if (before !== null || source.data === null) losses.add("audio");
  const id = source.fileId ?? `audio_${context.requestId}`;
  return { id, data: source.data ?? "", expires_at: 0, transcript: "" };
}

/** The dialect has no word for a turn that its vendor paused. */
const WORDLESS: ReadonlySet<StopReason> = new Set<StopReason>(["pause"]);

/** Reports what `finish_reason` leaves unsaid. */
export function reportFinish(reason: StopReason | null, sequence: string | null, losses: LossList): void {
  reportStop(reason, WORDLESS, losses);
  if (sequence !== null) losses.add("stop_sequence");
}

/** The legacy form has one call, by name and arguments alone. `index`: calls before this one. */
export function reportLegacyCall(signature: string, index: number, losses: LossList): void {
  if (index > 0) losses.add("tool_calls");
  else if (signature !== "") losses.add("tool_call_signature");
}

/** The signature of a call, in Google's place for it; {} = none. */
export function signatureFields(signature: string): JsonObject {
  return signature === "" ? {} : { extra_content: { google: { thought_signature: signature } } };
}

/** An entry of `tool_calls`. */
export function callObject(
  call: Pick<ToolCallBlock, "id" | "name" | "arguments" | "signature" | "flavour">,
): JsonObject {
  const { id, flavour: type, name } = call;
  const called =
    type === "custom" ? { custom: { name, input: call.arguments } } : { function: { name, arguments: call.arguments } };
  return { id, type, ...called, ...signatureFields(call.signature) };
}

/** Counts the places of an answer's blocks, as its message will be read back: its text is one block. */
export interface Places {
  taken: number;
  text: boolean;
  refusal: boolean;
}

export function newPlaces(): Places {
  return { taken: 0, text: false, refusal: false };
}

/** The place of the next block of this kind. */
export function takePlace(places: Places, kind: AnswerBlock["kind"]): number {
  if (kind === "text" || kind === "refusal") {
    if (places[kind]) return places.taken;
    places[kind] = true;
  }
  return places.taken++;
}
