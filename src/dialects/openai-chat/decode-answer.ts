/** A whole chat answer of the vendor or a look-alike → events. */
import { type AnswerBlock, answerEvents, type FoldedChoice, NO_USAGE } from "../answer-fold.js";
import { DecodeError, type EncodedRequest } from "../codec.js";
import { asCount, asObject, asObjects, asString, isObject } from "../json.js";
import type { Annotation, AnswerEvent, JsonObject, JsonValue, TextBlock } from "../semantic.js";
import { foreignBlocks, imagesOf, signatureOf } from "./decode-messages.js";
import { annotationOf } from "./decode-parts.js";
import { errorIn, readError } from "./error.js";
import { stopReason } from "./finish.js";
import { dataSource, sourceOfUrl } from "../media.js";
import { readThinking, thinkingOfPart, withThinking } from "./reasoning.js";
import { reportUnread, reportUnreadBeside, sourcesIn } from "./unread.js";
import { usageIn } from "./usage.js";
import { WIRE } from "./wire-name.js";

/** What the readers of one answer share. */
export interface Reading {
  readonly encoded: EncodedRequest;
  answerId: string;
  /** Calls seen so far, over all candidates: the base of ids that are made up. */
  calls: number;
  /** Sources that stand beside the choices. */
  sources: readonly Annotation[];
}

/** An id for a call that came without one: the same for the same answer, another for every other call. */
export function madeUpId(reading: Reading): string {
  const base = reading.answerId
    .replace(/^chatcmpl-/, "")
    .replace(/[^a-zA-Z0-9]/g, "")
    .slice(0, 24);
  return `call_${base}${base === "" ? "" : "_"}${reading.calls}`;
}

/** Reads a whole answer. Throws DecodeError when it has no choices and is no error either. */
export function decodeAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[] {
  const id = asString(body.id);
  const error = errorIn(body);
  if (error !== null) return [{ kind: "error", error: readError(error, 0) }];
  if (!Array.isArray(body.choices)) throw new DecodeError("The answer has no choices.");
  const reading: Reading = { encoded, answerId: id, calls: 0, sources: sourcesIn(body) ?? [] };
  const choices = asObjects(body.choices).map((choice, at) => readChoice(choice, at, reading));
  const failed = asObjects(body.choices).find((choice) => isObject(choice.error));
  return answerEvents({
    id,
    model: asString(body.model),
    created: Math.max(0, asCount(body.created)),
    choices,
    usage: usageIn(body) ?? NO_USAGE,
    error: failed === undefined ? null : readError(failed.error as JsonObject, 0),
    losses: unreadIn(body),
  });
}

function unreadIn(body: JsonObject): string[] {
  const events: AnswerEvent[] = [];
  reportUnreadBeside(body, events);
  for (const choice of asObjects(body.choices)) reportUnread(asObject(choice.message) ?? {}, events);
  return events.map((event) => (event.kind === "loss" ? event.name : ""));
}

function readChoice(choice: JsonObject, at: number, reading: Reading): FoldedChoice {
  const message = asObject(choice.message) ?? {};
  const blocks = messageBlocks(message, reading);
  const index = asCount(choice.index);
  const hasCalls = blocks.some((block) => block.kind === "tool_call");
  return { index: index < 0 ? at : index, blocks, ...stopOf(choice, hasCalls), logprobs: asObject(choice.logprobs) };
}

/** Why a choice ended. Some servers name the stop sequence in `stop_reason`. */
export function stopOf(choice: JsonObject, hasCalls: boolean): Pick<FoldedChoice, "stop" | "sequence" | "native"> {
  const native = asString(choice.finish_reason);
  const sequence = native === "stop" && typeof choice.stop_reason === "string" ? choice.stop_reason : null;
  return { stop: sequence === null ? stopReason(native, hasCalls) : "stop_sequence", sequence, native };
}

function messageBlocks(message: JsonObject, reading: Reading): AnswerBlock[] {
  const others = [
    ...(foreignBlocks(message) as AnswerBlock[]),
    ...annotated(contentOf(message), message, reading.sources),
    ...refusalOf(message),
    ...imagesOf(message),
    ...audioOf(message),
    ...callsOf(message, reading),
  ];
  return withThinking(readThinking(message, WIRE), others);
}

function plainText(text: string): TextBlock[] {
  return text === "" ? [] : [{ kind: "text", text, cache: null, annotations: [] }];
}

/** Content as text or as a list of parts, as some look-alikes give it. */
function contentOf(message: JsonObject): AnswerBlock[] {
  const { content } = message;
  if (typeof content === "string") return plainText(content);
  return asObjects(content).flatMap(partBlocks);
}

/** A part of an answer's content. */
export function partBlocks(part: JsonObject): AnswerBlock[] {
  const thinking = thinkingOfPart(part, WIRE);
  if (thinking !== null) return [thinking];
  if (part.type === "refusal") return [{ kind: "refusal", text: asString(part.refusal) }];
  if (typeof part.text === "string") return plainText(part.text);
  const url = isObject(part.image_url) ? asString(part.image_url.url) : asString(part.image_url);
  if (url !== "") return [{ kind: "image", source: sourceOfUrl(url), detail: null, cache: null }];
  return [{ kind: "foreign", wire: WIRE, type: asString(part.type), raw: part }];
}

/** Annotations belong to the text; they stand on its first block. */
function annotated(blocks: AnswerBlock[], message: JsonObject, sources: readonly Annotation[]): AnswerBlock[] {
  const own = asObjects(message.annotations).map(annotationOf);
  const annotations = own.length > 0 ? own : sources;
  const at = blocks.findIndex((block) => block.kind === "text");
  const block = blocks[at];
  if (annotations.length > 0 && block?.kind === "text") blocks[at] = { ...block, annotations };
  return blocks;
}

function refusalOf(message: JsonObject): AnswerBlock[] {
  const text = asString(message.refusal);
  return text === "" ? [] : [{ kind: "refusal", text }];
}

/** Sound comes with what is said in it. The request chose its format; the answer does not name it. */
function audioOf(message: JsonObject): AnswerBlock[] {
  const audio = asObject(message.audio);
  const data = asString(audio?.data);
  const said = plainText(asString(audio?.transcript));
  return data === "" ? said : [...said, { kind: "audio", source: dataSource(data, "audio/wav") }];
}

/** Arguments as text; look-alikes also give the object itself. */
export function argumentsOf(value: JsonValue | undefined): string {
  return isObject(value) ? JSON.stringify(value) : asString(value);
}

function callsOf(message: JsonObject, reading: Reading): AnswerBlock[] {
  const legacy = asObject(message.function_call);
  const calls = asObjects(message.tool_calls);
  const all = legacy === null || calls.length > 0 ? calls : [{ function: legacy }];
  return all.flatMap((call) => callBlocks(call, reading));
}

function callBlocks(call: JsonObject, reading: Reading): AnswerBlock[] {
  const custom = asObject(call.custom);
  const called = custom ?? asObject(call.function) ?? {};
  const name = asString(called.name);
  const said = custom === null ? argumentsOf(called.arguments) : asString(custom.input);
  const { formatTool, renamed } = reading.encoded;
  if (formatTool !== "" && name === formatTool) return plainText(said);
  if (name === "") throw new DecodeError("A tool call has no name.");
  const id = asString(call.id) || madeUpId(reading);
  reading.calls++;
  return [
    {
      kind: "tool_call",
      id,
      name: renamed.get(name) ?? name,
      arguments: said === "" && custom === null ? "{}" : said,
      signature: signatureOf(call),
      flavour: custom === null ? "function" : "custom",
      cache: null,
    },
  ];
}
