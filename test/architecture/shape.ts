/** Laws on the shape of files and functions, and on names. */
import type { Law } from "./law.js";
import { commentsOnLines, lineOf, type SourceFile, type SyntaxNode, type Tree } from "./tree.js";

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 60;
const MAX_PARAMETERS = 4;

/** A longer function says why, in a comment above it or on its first lines, with these words. */
const LONGER_BECAUSE = /Longer than 60 lines: \S+/;

const TOP_FOLDERS = new Set([".ci", "bench", "deploy", "docs", "src", "test"]);
const ROOMS = new Set([
  "acceptor",
  "cache",
  "cli",
  "cluster",
  "config",
  "dialects",
  "guardrails",
  "observability",
  "ops",
  "pipeline",
  "providers",
  "quota",
  "routing",
  "runtime",
  "usage",
]);
const SOURCE_ROOT_FILES = new Set(["main.ts", "errors.ts"]);
const BANNED_NAMES = new Set(["utils", "util", "helpers", "helper", "common", "services", "managers"]);

const WITH_BODY = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);
const WITH_PARAMETERS = new Set([
  ...WITH_BODY,
  "TSDeclareFunction",
  "TSEmptyBodyFunctionExpression",
  "TSMethodSignature",
  "TSFunctionType",
]);

function isTest(path: string): boolean {
  return path.endsWith(".test.ts");
}

function longFiles(tree: Tree): string[] {
  return tree.sources
    .map((file) => ({ path: file.path, lines: file.text.replace(/\n$/, "").split("\n").length }))
    .filter(({ lines }) => lines > MAX_FILE_LINES)
    .map(({ path, lines }) => `${path} has ${lines} lines`);
}

function functionName(file: SourceFile, node: SyntaxNode): string {
  const own = node.id as SyntaxNode | null | undefined;
  if (own !== null && own !== undefined) return String(own.name);
  const before = file.text.slice(file.lineStarts[lineOf(file, node.start) - 1], node.start);
  return /([\w$]+)\s*(?:[=:(]\s*)?(?:async\s*)?$/.exec(before)?.[1] ?? "a function";
}

function longFunctions(tree: Tree): string[] {
  const breaches: string[] = [];
  // A test file's outermost functions are its suites: their length is the file's, which has its own bound.
  for (const file of tree.sources.filter(({ path }) => !isTest(path))) {
    for (const node of file.nodes) {
      if (!WITH_BODY.has(node.type)) continue;
      const first = lineOf(file, node.start);
      const lines = lineOf(file, node.end) - first + 1;
      if (lines <= MAX_FUNCTION_LINES) continue;
      if (LONGER_BECAUSE.test(commentsOnLines(file, first - 1, first + 1))) continue;
      breaches.push(`${file.path}:${first} ${functionName(file, node)} has ${lines} lines`);
    }
  }
  return breaches;
}

function manyParameters(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const file of tree.sources) {
    for (const node of file.nodes) {
      if (!WITH_PARAMETERS.has(node.type)) continue;
      const parameters = (node.params as readonly SyntaxNode[]).filter((parameter) => parameter.name !== "this");
      if (parameters.length <= MAX_PARAMETERS) continue;
      const line = lineOf(file, node.start);
      breaches.push(`${file.path}:${line} ${functionName(file, node)} takes ${parameters.length} parameters`);
    }
  }
  return breaches;
}

function strangeFolders(tree: Tree): string[] {
  const breaches = new Set<string>();
  for (const path of tree.paths) {
    const [top, room, ...rest] = path.split("/");
    if (room !== undefined && !TOP_FOLDERS.has(top!)) breaches.add(`${top}/ is not a folder of the house`);
    if (top !== "src" || room === undefined) continue;
    if (rest.length === 0 && !SOURCE_ROOT_FILES.has(room)) breaches.add(`${path} belongs into a room`);
    if (rest.length > 0 && !ROOMS.has(room)) breaches.add(`src/${room}/ is not a room of the house`);
  }
  return [...breaches];
}

function bannedNames(tree: Tree): string[] {
  return tree.paths.filter((path) =>
    path.split("/").some((part) => BANNED_NAMES.has(part.replace(/\..*$/, "").toLowerCase())),
  );
}

function unreasonedAny(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const file of tree.sources) {
    if (!file.path.startsWith("src/")) continue;
    for (const node of file.nodes) {
      if (node.type !== "TSAnyKeyword") continue;
      const line = lineOf(file, node.start);
      if (commentsOnLines(file, line - 1, line) === "") breaches.push(`${file.path}:${line} any`);
    }
  }
  return breaches;
}

function lines(count: number, line: string): string {
  return `${line}\n`.repeat(count);
}

export const SHAPE_LAWS: readonly Law[] = [
  {
    name: `a file has at most ${MAX_FILE_LINES} lines`,
    advice: "Split it by concept; each part gets one noun as its name.",
    check: longFiles,
    breaches: [{ "src/quota/window.ts": lines(401, "export {};") }],
    kept: { "src/quota/window.ts": lines(400, "export {};") },
  },
  {
    name: `a function has at most ${MAX_FUNCTION_LINES} lines`,
    advice: 'Split it; only a flat byte parser may stay, with a comment "Longer than 60 lines: <why>" above it.',
    check: longFunctions,
    breaches: [
      { "src/quota/window.ts": `export function roll(): void {\n${lines(60, "  roll();")}}\n` },
      { "src/quota/window.ts": `class Window {\n  roll(): void {\n${lines(60, "    roll();")}}\n}\n` },
    ],
    kept: {
      "src/quota/window.ts": `export function roll(): void {\n${lines(58, "  roll();")}}\n`,
      "src/dialects/scan.ts": `// Longer than 60 lines: one flat state machine.\nexport function scan(): void {\n${lines(60, "  scan();")}}\n`,
    },
  },
  {
    name: `a function takes at most ${MAX_PARAMETERS} parameters`,
    advice: "Pass one object with named fields.",
    check: manyParameters,
    breaches: [
      { "src/quota/window.ts": "export function roll(a: 1, b: 2, c: 3, d: 4, e: 5): void {}" },
      { "src/quota/window.ts": "export interface Window { roll(a: 1, b: 2, c: 3, d: 4, e: 5): void }" },
    ],
    kept: { "src/quota/window.ts": "export function roll(a: 1, b: 2, c: 3, d: 4): void {}" },
  },
  {
    name: "folders are those of the house",
    advice: "Put the file into the room that owns its subject.",
    check: strangeFolders,
    breaches: [{ "scripts/run.sh": "" }, { "src/relay/relay.ts": "" }, { "src/server.ts": "" }],
    kept: { "README.md": "", "src/main.ts": "", "src/pipeline/pipeline.ts": "", "docs/adr/0001-a.md": "" },
  },
  {
    name: "no file or folder is called utils, helpers, common, services or managers",
    advice: "Name it after the one thing it knows.",
    check: bannedNames,
    breaches: [{ "src/dialects/utils/text.ts": "" }, { "test/helpers.ts": "" }, { "bench/common.ts": "" }],
    kept: { "src/dialects/text.ts": "" },
  },
  {
    name: "any stands only with a reason",
    advice: "Use unknown and narrow it, or say in a comment on the same or the previous line why any is right.",
    check: unreasonedAny,
    breaches: [{ "src/quota/window.ts": "export type Loose = any;" }],
    kept: { "src/quota/window.ts": "// the library hands out any here\nexport type Loose = any;" },
  },
];
