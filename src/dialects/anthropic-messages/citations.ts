/** Citations of this wire and the hub's annotations. */
import { reportCitation } from "../answer-losses.js";
import { asString } from "../json.js";
import type { Annotation, JsonObject, LossList } from "../semantic.js";

/** All types of citation that this wire has end so; no other vendor's does. */
const OWN_SUFFIX = "_location";

/** Reads a citation; its raw form is kept, for a way back to this wire. */
export function decodeCitation(raw: JsonObject): Annotation {
  const url = asString(raw.url);
  // An address without its index was written by `encodeCitation`: the vendor would refuse it.
  const made = raw.type === "web_search_result_location" && raw.encrypted_index === "";
  return {
    kind: made || url !== "" ? "url" : asString(raw.type).endsWith(OWN_SUFFIX) ? "document" : "foreign",
    url,
    title: asString(raw.title) || asString(raw.document_title),
    citedText: asString(raw.cited_text),
    // The wire's offsets count in the cited document, not in the text that cites it.
    start: -1,
    end: -1,
    raw: made ? null : raw,
  };
}

/** The citation as this wire wrote it; null when it is another's. */
export function ownCitation(annotation: Annotation): JsonObject | null {
  const { raw } = annotation;
  return raw !== null && asString(raw.type).endsWith(OWN_SUFFIX) ? raw : null;
}

/**
 * A citation for a caller: the wire's own, or the nearest that it has. It stands behind a whole block, of
 * `length` UTF-16 units so far; one that meant a part of it no longer says so.
 */
export function encodeCitation(annotation: Annotation, length: number, losses: LossList): JsonObject {
  const own = ownCitation(annotation);
  if (own !== null) return own;
  reportCitation(annotation, losses);
  if (annotation.start > 0 || (annotation.end >= 0 && annotation.end < length)) losses.add("citation_offsets");
  return {
    type: "web_search_result_location",
    cited_text: annotation.citedText,
    encrypted_index: "",
    title: annotation.title === "" ? null : annotation.title,
    url: annotation.url,
  };
}
