/** What an answer rests on: grounding and citation metadata → annotations of its text. */
import { asArray, asCount, asObject, asObjects, asString } from "../json.js";
import type { Annotation, JsonObject } from "../semantic.js";

/** The text that offsets refer to, as it stands in the open block. */
export interface GroundedText {
  /** "" when it was not kept: offsets stay unsaid. */
  readonly text: string;
  /** Where each part of the answer begins in it, in UTF-16 units; a part not listed begins at 0. */
  readonly partStarts: readonly number[];
}

/** A passage in bytes of a part. */
interface Passage {
  readonly part: number;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The annotations of grounding metadata: one a passage and source; sources without passages stand for all of it. */
export function groundingAnnotations(metadata: JsonObject, grounded: GroundedText): Annotation[] {
  const sources = asObjects(metadata.groundingChunks);
  const supports = asObjects(metadata.groundingSupports);
  if (supports.length === 0) return sources.map((source) => annotation(source, null, [-1, -1]));
  const passages = supports.map((support) => passageOf(asObject(support.segment) ?? {}));
  const offsets = utf16Ranges(passages, grounded);
  return supports.flatMap((support, at) =>
    asArray(support.groundingChunkIndices).flatMap((index) => {
      const source = typeof index === "number" ? sources[index] : undefined;
      return source === undefined ? [] : [annotation(source, passages[at] ?? null, offsets[at] ?? [-1, -1])];
    }),
  );
}

/** The annotations of citation metadata; the two hosts of this wire name the list differently. */
export function citationAnnotations(metadata: JsonObject, grounded: GroundedText): Annotation[] {
  const citations = [...asObjects(metadata.citationSources), ...asObjects(metadata.citations)];
  const offsets = utf16Ranges(citations.map(passageOf), grounded);
  return citations.map((citation, at) => {
    const [start, end] = offsets[at] ?? [-1, -1];
    const url = asString(citation.uri);
    const kind = url === "" ? "document" : "url";
    return { kind, url, title: asString(citation.title), citedText: "", start, end, raw: citation };
  });
}

function annotation(source: JsonObject, passage: Passage | null, range: readonly [number, number]): Annotation {
  const found =
    asObject(source.web) ?? asObject(source.retrievedContext) ?? asObject(source.maps) ?? asObject(source.image);
  const url = asString(found?.uri) || asString(found?.sourceUri);
  const [start, end] = range;
  const kind = url === "" ? "document" : "url";
  return { kind, url, title: asString(found?.title), citedText: passage?.text ?? "", start, end, raw: source };
}

function passageOf(segment: JsonObject): Passage {
  return {
    part: Math.max(asCount(segment.partIndex), 0),
    // A start of 0 is left out on this wire.
    start: Math.max(asCount(segment.startIndex), 0),
    end: asCount(segment.endIndex),
    text: asString(segment.text),
  };
}

/** Bytes of UTF-8 → UTF-16 units, in one walk over each part's text; [-1, -1] where the passage lies outside. */
function utf16Ranges(passages: readonly Passage[], grounded: GroundedText): (readonly [number, number])[] {
  const walks = new Map<number, Map<number, number>>();
  for (const part of new Set(passages.map((passage) => passage.part))) {
    const wanted = passages.filter((passage) => passage.part === part).flatMap(({ start, end }) => [start, end]);
    walks.set(part, walk(grounded.text, grounded.partStarts[part] ?? 0, wanted));
  }
  return passages.map(({ part, start, end }) => {
    const from = walks.get(part)?.get(start) ?? -1;
    const to = walks.get(part)?.get(end) ?? -1;
    return grounded.text === "" || from < 0 || to < from ? [-1, -1] : [from, to];
  });
}

function walk(text: string, begin: number, wanted: readonly number[]): Map<number, number> {
  const sorted = [...new Set(wanted)].sort((left, right) => left - right);
  const found = new Map<number, number>();
  let bytes = 0;
  let at = begin;
  for (const target of sorted) {
    while (bytes < target && at < text.length) {
      const code = text.codePointAt(at) ?? 0;
      bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
      at += code < 0x1_0000 ? 1 : 2;
    }
    if (target >= 0 && bytes >= target) found.set(target, at);
  }
  return found;
}
