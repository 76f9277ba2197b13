/** Citations of an answer → annotations of its text. */
import { asCount, asObject, asObjects, asString } from "../json.js";
import type { Annotation, JsonObject } from "../semantic.js";

/** Does the citation stand in the answer's text (and not in its plan or thinking)? */
export function isOfText(citation: JsonObject): boolean {
  const type = asString(citation.type);
  return type === "" || type === "TEXT_CONTENT";
}

/** One annotation a source; a citation without sources is one too. */
export function annotationsOf(citation: JsonObject): Annotation[] {
  const sources = asObjects(citation.sources);
  const found = sources.map((source) => asObject(source.document) ?? asObject(source.tool_output) ?? {});
  return (found.length === 0 ? [{}] : found).map((document) => annotation(document, citation));
}

function annotation(document: JsonObject, citation: JsonObject): Annotation {
  const url = asString(document.url);
  return {
    kind: url === "" ? "document" : "url",
    url,
    title: asString(document.title),
    citedText: asString(citation.text),
    start: asCount(citation.start),
    end: asCount(citation.end),
    raw: citation,
  };
}
