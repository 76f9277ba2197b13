/** What the documents name: links, paths, commands, scripts and the rows of their tables. */
import { posix } from "node:path";

/** A page with its code taken apart from its prose. */
export interface Page {
  /** Path from the repository's root. */
  readonly path: string;
  readonly text: string;
}

const FENCE = /^```[^\n]*\n([\s\S]*?)^```/gm;
const INLINE_CODE = /`([^`\n]+)`/g;
const LINK = /\[[^\]\n]*\]\(([^)\s]+)\)/g;
const TREE_PATH = /^\.?(?:src|docs|bench|test|deploy|ci)\/[\w./*<>-]*/;

/** The fenced blocks and inline spans of code on a page. */
export function codeOf(text: string): string[] {
  const fenced = [...text.matchAll(FENCE)].map((match) => match[1]!);
  const prose = text.replace(FENCE, "");
  return [...fenced, ...[...prose.matchAll(INLINE_CODE)].map((match) => match[1]!)];
}

/** Targets of relative links, as paths from the root. */
export function relativeLinks(page: Page): string[] {
  return [...page.text.replace(FENCE, "").matchAll(LINK)]
    .map((match) => match[1]!)
    .filter((target) => !/^[a-z]+:|^#/.test(target))
    .map((target) => posix.join(posix.dirname(page.path), target.replace(/#.*$/, "")));
}

/** Paths of the tree that stand in inline code; a pattern is cut back to its folder. */
export function namedPaths(page: Page): string[] {
  return [...page.text.replace(FENCE, "").matchAll(INLINE_CODE)]
    .map((match) => TREE_PATH.exec(match[1]!)?.[0])
    .filter((path) => path !== undefined)
    .map((path) => path.replace(/[^/]*[*<].*$/, "").replace(/[./]+$/, ""));
}

/** The `weir` commands a page tells people to type. */
export function namedCommands(page: Page): string[] {
  const call = /(?:^|[\s(;|&])(?:weir|node dist\/main\.js)[ \t]+([a-z][a-z-]*)/g;
  return codeOf(page.text).flatMap((code) => [...code.matchAll(call)].map((match) => match[1]!));
}

/** The npm scripts a page tells people to run. */
export function namedScripts(page: Page): string[] {
  const call = /npm (?:run ([\w:-]+)|(start|test)\b)/g;
  return codeOf(page.text).flatMap((code) => [...code.matchAll(call)].map((match) => (match[1] ?? match[2])!));
}

/** The cells of every table row under the heading row that starts with `firstHeading`. */
export function tableRows(text: string, firstHeading: string): string[][] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${firstHeading} |`));
  const rows: string[][] = [];
  if (start < 0) return rows;
  for (let at = start + 2; lines[at]?.startsWith("|"); at++) {
    rows.push(
      lines[at]!.slice(1, -1)
        .split("|")
        .map((cell) => cell.trim().replace(/^`([^`]*)`$/, "$1")),
    );
  }
  return rows;
}
