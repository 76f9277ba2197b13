/**
 * What a caller's dialect cannot say of an answer, by name: one word for one thing in every client codec.
 *
 *   annotations        a citation of which nothing could be said
 *   citation_location  where in its source a citation points (pages, file ids, opaque indexes)
 *   citation_offsets   which words of the answer it stands behind
 *   image, audio, video, document   what the model made and the dialect has no part for, even if its address is said
 *   refusal            that these words are a refusal; the words themselves stay
 *   stop_reason        why the answer ended, where the dialect's nearest word says something else
 *   stop_sequence      which of the caller's stop sequences ended it
 *   n                  candidates beyond the first
 *   thinking, tool_calls, tool_call_signature, logprobs, and the types of blocks that only their own wire knows
 *
 * Not losses, as they say nothing of what was answered: ids, fingerprints, timings, echoed settings, counts
 * beyond the usage, and notes of a filter that found nothing.
 */
import { asArray } from "./json.js";
import { lossName } from "./loss-name.js";
import type { Annotation, ForeignBlock, JsonObject, LossList, MediaSource, StopReason } from "./semantic.js";

/** A block of another wire that is left out. */
export function reportForeign(block: ForeignBlock, losses: LossList): void {
  if (block.told !== true) losses.add(lossName(block.type, "foreign_block"));
}

/** An image or sound that is left out, or said in other words. */
export function reportMedia(source: MediaSource, losses: LossList): void {
  const slash = source.mediaType.indexOf("/");
  const type = slash < 0 ? "image" : source.mediaType.slice(0, slash);
  losses.add(type === "image" || type === "audio" || type === "video" ? type : "document");
}

/** Log probabilities that are left out; lists without a token say nothing. */
export function reportLogprobs(logprobs: JsonObject | null, losses: LossList): void {
  if (logprobs !== null && Object.values(logprobs).some((list) => asArray(list).length > 0)) losses.add("logprobs");
}

/** Is there anything of it that a caller could be shown? */
export function citesSomething({ url, title, citedText }: Annotation): boolean {
  return url !== "" || title !== "" || citedText !== "";
}

/** A citation that is written as address, title and words. */
export function reportCitation(annotation: Annotation, losses: LossList): void {
  const { raw, kind } = annotation;
  if (!citesSomething(annotation)) losses.add("annotations");
  else if (raw !== null && (kind !== "url" || holdsIndex(raw))) losses.add("citation_location");
}

/** An opaque index into search results, which its vendor wants back with the citation. */
function holdsIndex(raw: JsonObject): boolean {
  return typeof raw.encrypted_index === "string" && raw.encrypted_index !== "";
}

/** The end of an answer; `wordless`: reasons for which the dialect has no word. */
export function reportStop(reason: StopReason | null, wordless: ReadonlySet<StopReason>, losses: LossList): void {
  if (reason !== null && wordless.has(reason)) losses.add("stop_reason");
}
