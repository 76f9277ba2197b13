/** Reads a YAML file within bounds: size, depth, and how much its aliases may expand to. */
import { readFileSync, statSync } from "node:fs";
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { ConfigError, Path, Result } from "./result.js";

/** Largest file that is read, in bytes. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024;
/** How many nodes all aliases of a file together may stand for (a long string counts as several). */
const MAX_ALIASED_NODES = 1_000_000;

export interface YamlFile {
  readonly value: unknown;
  /** Line (from 1) of the nearest node on the way to `path`; null when there is none. */
  lineOf(path: Path): number | null;
}

// The parser's own messages may quote the file, secrets included; these do not.
const MESSAGES: Readonly<Record<string, string>> = {
  BAD_INDENT: "the indentation is wrong",
  BAD_DQ_ESCAPE: "a double-quoted string holds an unknown escape",
  DUPLICATE_KEY: "the same key stands twice in one mapping",
  MISSING_CHAR: "a character is missing (a colon, a comma, a bracket or a closing quote)",
  MULTILINE_IMPLICIT_KEY: "a key goes over more than one line",
  MULTIPLE_DOCS: "only one document is allowed in a file",
  TAB_AS_INDENT: "a tab is used for indentation",
  TAG_RESOLVE_FAILED: "a tag is unknown",
  UNEXPECTED_TOKEN: "an unexpected character",
};

/** Reads a file as UTF-8 text; refuses what is too large, unreadable or not UTF-8. */
export function readText(file: string): Result<string> {
  const fail = (message: string): Result<string> => ({ ok: false, errors: [{ file, path: "", message, line: null }] });
  try {
    if (statSync(file).size > MAX_FILE_BYTES) return fail("the file is larger than 64 MiB");
    const bytes = readFileSync(file);
    if (bytes.length > MAX_FILE_BYTES) return fail("the file is larger than 64 MiB");
    try {
      // The byte order mark stays, so that the text hashes like the file's bytes.
      const value = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      return { ok: true, value, ignored: [] };
    } catch {
      return fail("the file is not valid UTF-8");
    }
  } catch (error) {
    return fail(`the file cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown reason"})`);
  }
}

/** Parses YAML 1.2 with merge keys. Every syntax error is listed with its line. */
export function parseYaml(text: string, file: string): Result<YamlFile> {
  const fail = (message: string, line: number | null): Result<YamlFile> => ({
    ok: false,
    errors: [{ file, path: "", message, line }],
  });
  if (text.length > MAX_FILE_BYTES) return fail("the file is larger than 64 MiB", null);
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, merge: true, logLevel: "silent" });
    const errors = [...document.errors, ...document.warnings].map((issue): ConfigError => {
      const message = `not valid YAML: ${MESSAGES[issue.code] ?? issue.code.toLowerCase().replaceAll("_", " ")}`;
      return { file, path: "", message, line: lines.linePos(issue.pos[0]).line };
    });
    if (errors.length > 0) return { ok: false, errors };
    const refusal = aliasRefusal(document);
    if (refusal !== null) return fail(refusal, null);
    // The count above replaces the parser's own, which would refuse a plain anchor used 101 times.
    const value: unknown = document.toJS({ maxAliasCount: -1 });
    return { ok: true, value: { value, lineOf: (path) => lineOf(document, lines, path) }, ignored: [] };
  } catch {
    // Recursion is the only thing left that throws: the parser's, or the one below.
    return fail("not valid YAML: nested too deeply", null);
  }
}

function lineOf(document: Document, lines: LineCounter, path: Path): number | null {
  for (let length = path.length; length > 0; length--) {
    try {
      const node = document.getIn(path.slice(0, length), true) as { range?: readonly number[] | null } | undefined;
      const start = node?.range?.[0];
      if (start !== undefined) return lines.linePos(start).line;
    } catch {
      // The path leads through an alias; its parent is near enough.
    }
  }
  return null;
}

/**
 * Counts what every alias stands for, each anchor once, before anything is expanded: a few lines of
 * nested aliases can stand for billions of nodes.
 */
function aliasRefusal(document: Document): string | null {
  const sizes = new Map<string, number>();
  let aliased = 0;
  let refusal: string | null = null;
  const size = (node: unknown): number => {
    if (isAlias(node)) {
      const target = sizes.get(node.source);
      if (target === undefined) refusal ??= "an alias names no anchor before it, or stands inside its own anchor";
      aliased += target ?? 0;
      return target ?? 0;
    }
    let total = 1;
    if (isPair(node)) total += size(node.key) + size(node.value);
    else if (isMap(node) || isSeq(node)) for (const item of node.items) total += size(item);
    else if (isScalar(node) && typeof node.value === "string") total += node.value.length >>> 6;
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
    if (anchor !== undefined) sizes.set(anchor, total);
    return total;
  };
  size(document.contents);
  if (refusal !== null) return refusal;
  return aliased > MAX_ALIASED_NODES ? "the aliases of the file expand to more than 1,000,000 nodes" : null;
}
