/**
 * The tree as the laws see it: every file with its text, and the source files parsed. A law takes a `Tree`,
 * so that its own test can hand it a bad one made of snippets.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAst } from "vitest/node";

/** A node of the syntax tree, as far as the laws look at it. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface SourceFile {
  /** Path from the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly nodes: readonly SyntaxNode[];
  /** Comments as [start, end) offsets into the text, in order. */
  readonly comments: readonly (readonly [number, number])[];
  /** Offset of each line's first character. */
  readonly lineStarts: readonly number[];
}

export interface Tree {
  /** Every file that belongs to the project, built and installed ones left out. */
  readonly paths: readonly string[];
  /** Text of a file by its path. */
  text(path: string): string;
  /** The parsed TypeScript and JavaScript files. */
  readonly sources: readonly SourceFile[];
}

const LEFT_OUT = new Set(["node_modules", "dist", ".git", "coverage", "weir-data"]);
const GENERATED = "bench/results/";
const SOURCE_NAME = /\.(ts|mts|mjs|js)$/;

/** 1-based line of an offset. */
export function lineOf(file: SourceFile, offset: number): number {
  let low = 0;
  let high = file.lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (file.lineStarts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}

/** All comments that touch the lines [first, last], joined. */
export function commentsOnLines(file: SourceFile, first: number, last: number): string {
  return file.comments
    .filter(([start, end]) => lineOf(file, start) <= last && lineOf(file, end - 1) >= first)
    .map(([start, end]) => file.text.slice(start, end))
    .join("\n");
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}

function collectNodes(root: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  const stack: unknown[] = [root];
  while (stack.length > 0) {
    const value = stack.pop();
    if (Array.isArray(value)) {
      stack.push(...value);
    } else if (isNode(value)) {
      found.push(value);
      stack.push(...Object.values(value));
    }
  }
  return found;
}

function isQuotedText(node: SyntaxNode): boolean {
  if (node.type === "TemplateElement") return true;
  return node.type === "Literal" && (typeof node.value === "string" || "regex" in node);
}

function findComments(text: string, nodes: readonly SyntaxNode[]): [number, number][] {
  const quoted = nodes.filter(isQuotedText).sort((left, right) => left.start - right.start);
  const comments: [number, number][] = [];
  let next = 0;
  for (let at = 0; at < text.length; at++) {
    while (next < quoted.length && quoted[next]!.end <= at) next++;
    const literal = quoted[next];
    if (literal !== undefined && literal.start <= at) {
      at = literal.end - 1;
    } else if (text.startsWith("//", at) || text.startsWith("/*", at)) {
      const close = text[at + 1] === "/" ? text.indexOf("\n", at) : text.indexOf("*/", at) + 2;
      const end = close < 2 ? text.length : close;
      comments.push([at, end]);
      at = end - 1;
    }
  }
  return comments;
}

/** Parses one source file. */
export function sourceFile(path: string, text: string): SourceFile {
  const program = parseAst(text, { lang: /ts$/.test(path) ? "ts" : "js" }, path) as unknown as SyntaxNode;
  const nodes = collectNodes(program);
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  return { path, text, nodes, comments: findComments(text, nodes), lineStarts };
}

/** A tree made of snippets, for the laws' own tests. */
export function snippetTree(files: Readonly<Record<string, string>>): Tree {
  const paths = Object.keys(files);
  const text = (path: string): string => files[path] ?? "";
  return {
    paths,
    text,
    sources: paths.filter((path) => SOURCE_NAME.test(path)).map((path) => sourceFile(path, text(path))),
  };
}

function walk(root: string, folder: string, into: string[]): string[] {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (LEFT_OUT.has(entry.name)) continue;
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) walk(root, path, into);
    else if (entry.isFile() && !path.startsWith(GENERATED) && !path.endsWith(".log")) into.push(path);
  }
  return into;
}

/** Reads the project's tree from disk. */
export function projectTree(root: string): Tree {
  const paths = walk(root, "", []).sort();
  const texts = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  return {
    paths,
    text: (path) => texts.get(path) ?? "",
    sources: paths.filter((path) => SOURCE_NAME.test(path)).map((path) => sourceFile(path, texts.get(path) ?? "")),
  };
}
