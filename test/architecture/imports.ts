/** Laws on what may import what. */
import { posix } from "node:path";
import type { Law } from "./law.js";
import { lineOf, type SourceFile, type SyntaxNode, type Tree } from "./tree.js";

/** The stairs: a room imports from its own step and from those below it. */
const STAIRS: readonly (readonly string[])[] = [
  ["config", "errors"],
  ["dialects"],
  ["routing", "quota", "cache", "guardrails", "usage", "providers", "cluster", "observability"],
  ["pipeline"],
  ["acceptor", "ops"],
  ["runtime"],
  ["cli"],
  ["main"],
];

/** Actor bodies live beside their domain and reach the runtime through this one file. */
const ACTOR_SEAM = "src/runtime/actor.ts";

/** Package → where it may be imported; a trailing slash means the folder and all below it, a star any end of a name. */
const IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  "uWebSockets.js": ["src/acceptor/", "src/ops/server.ts"],
  nats: ["src/cluster/connection.ts"],
  msgpackr: ["src/runtime/wire.ts", "src/cluster/wire.ts"],
  "node:worker_threads": ["src/runtime/"],
  piscina: ["src/runtime/"],
  "node:tls": ["src/providers/http1/socket.ts", "src/runtime/tls-files.ts"],
  "prom-client": ["src/observability/"],
  pino: ["src/observability/"],
  "gpt-tokenizer": ["src/runtime/pool-jobs.ts"],
  zod: ["src/config/schema*.ts", "src/ops/", "src/cluster/"],
};

interface Import {
  readonly specifier: string;
  readonly line: number;
  /** A whole type-only import, which is gone at run time. */
  readonly typeOnly: boolean;
}

const IMPORT_NODES = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
]);

/** Every module a file names: static, type-only, re-exported and dynamic imports. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  for (const node of file.nodes) {
    if (!IMPORT_NODES.has(node.type)) continue;
    const source = node.source as SyntaxNode | null;
    if (source !== null && typeof source.value === "string") {
      const typeOnly = node.type === "TSImportType" || node.importKind === "type" || node.exportKind === "type";
      found.push({ specifier: source.value, line: lineOf(file, node.start), typeOnly });
    }
  }
  return found.sort((left, right) => left.line - right.line);
}

function sourceRoom(path: string): string {
  return path.split("/")[1]!.replace(/\.ts$/, "");
}

function step(path: string): number {
  return STAIRS.findIndex((rooms) => rooms.includes(sourceRoom(path)));
}

function resolveImport(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier).replace(/\.js$/, ".ts");
}

function packageName(specifier: string): string {
  if (specifier === "worker_threads") return "node:worker_threads";
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0]!;
}

function ownSources(tree: Tree): readonly SourceFile[] {
  return tree.sources.filter((file) => file.path.startsWith("src/"));
}

function climbs(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const file of ownSources(tree)) {
    for (const { specifier, line } of importsOf(file)) {
      if (!specifier.startsWith(".")) continue;
      const target = resolveImport(file.path, specifier);
      if (!target.startsWith("src/")) breaches.push(`${file.path}:${line} imports ${target}, which is outside src`);
      else if (target !== ACTOR_SEAM && step(target) > step(file.path)) {
        breaches.push(`${file.path}:${line} imports ${target}, which stands above it`);
      }
    }
  }
  return breaches;
}

function importGraph(tree: Tree, counts: (found: Import) => boolean): Map<string, string[]> {
  const known = new Set(tree.sources.map((file) => file.path));
  return new Map(
    ownSources(tree).map((file) => [
      file.path,
      importsOf(file)
        .filter((found) => found.specifier.startsWith(".") && counts(found))
        .map(({ specifier }) => resolveImport(file.path, specifier))
        .filter((target) => known.has(target)),
    ]),
  );
}

function roomGraph(files: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const rooms = new Map<string, Set<string>>();
  for (const [from, targets] of files) {
    const own = rooms.get(sourceRoom(from)) ?? new Set<string>();
    for (const target of targets) {
      if (target !== ACTOR_SEAM && sourceRoom(target) !== sourceRoom(from)) own.add(sourceRoom(target));
    }
    rooms.set(sourceRoom(from), own);
  }
  return new Map([...rooms].map(([room, targets]) => [room, [...targets]]));
}

/** The cycles a depth-first walk meets, each as its path; empty = none. */
function cyclesOf(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (name: string): void => {
    const seen = trail.indexOf(name);
    if (seen >= 0) {
      cycles.push([...trail.slice(seen), name].join(" → "));
      return;
    }
    if (done.has(name)) return;
    trail.push(name);
    for (const target of graph.get(name) ?? []) visit(target);
    trail.pop();
    done.add(name);
  };
  for (const name of graph.keys()) visit(name);
  return cycles;
}

function isAt(path: string, place: string): boolean {
  const star = place.indexOf("*");
  if (star >= 0) return path.startsWith(place.slice(0, star)) && path.endsWith(place.slice(star + 1));
  return place.endsWith("/") ? path.startsWith(place) : path === place;
}

function foreignImporters(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const file of ownSources(tree)) {
    for (const { specifier, line } of importsOf(file)) {
      const allowed = IMPORTERS[packageName(specifier)];
      if (allowed === undefined) continue;
      const fits = allowed.some((place) => isAt(file.path, place));
      if (!fits) breaches.push(`${file.path}:${line} imports ${specifier}; only ${allowed.join(", ")} may`);
    }
  }
  return breaches;
}

function undeclaredPackages(tree: Tree): string[] {
  const manifest = JSON.parse(tree.text("package.json") || "{}") as { dependencies?: Record<string, string> };
  const breaches: string[] = [];
  for (const file of ownSources(tree)) {
    for (const { specifier, line } of importsOf(file)) {
      if (specifier.startsWith(".") || specifier.startsWith("node:")) continue;
      if (manifest.dependencies?.[packageName(specifier)] === undefined) {
        breaches.push(`${file.path}:${line} imports ${specifier}, which is not among the dependencies`);
      }
    }
  }
  return breaches;
}

interface LockEntry {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Node's own look-up: the nearest node_modules upwards. */
function isLocked(entries: Readonly<Record<string, LockEntry>>, from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf("/node_modules/"), 0))) {
    if (entries[`${folder === "" ? "" : `${folder}/`}node_modules/${name}`] !== undefined) return true;
    if (folder === "") return false;
  }
}

function unlockedPackages(tree: Tree): string[] {
  const lock = JSON.parse(tree.text("package-lock.json") || "{}") as { packages?: Record<string, LockEntry> };
  const entries = lock.packages ?? {};
  return Object.entries(entries).flatMap(([from, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter((name) => !isLocked(entries, from, name))
      .map((name) => `package-lock.json: ${from || "the project"} needs ${name}, which has no entry`),
  );
}

export const IMPORT_LAWS: readonly Law[] = [
  {
    name: "imports go one way: cli → runtime → acceptor|ops → pipeline → domains → dialects → config|errors",
    advice: `Move the shared part down a step, or hand it in as an argument; actors reach the runtime through ${ACTOR_SEAM}.`,
    check: climbs,
    breaches: [
      { "src/quota/lease.ts": 'import { run } from "../pipeline/pipeline.js";' },
      { "src/config/load.ts": 'import type { DialectId } from "../dialects/dialect.js";' },
      { "src/usage/actor.ts": 'import { send } from "../runtime/messages.js";' },
      { "src/cli/serve.ts": 'export * from "../../bench/load/loader.js";' },
    ],
    kept: {
      "src/usage/actor.ts": 'import { Actor } from "../runtime/actor.js";',
      "src/pipeline/settle.ts": 'import { meter } from "../usage/meter.js";',
    },
  },
  {
    name: "no cycles: not of files at run time, not of rooms in any way",
    advice: "Give what both sides need a file of its own, below them.",
    check: (tree) => {
      const atRunTime = importGraph(tree, (found) => !found.typeOnly);
      return [...cyclesOf(atRunTime), ...cyclesOf(roomGraph(importGraph(tree, () => true)))];
    },
    breaches: [
      { "src/usage/a.ts": 'import "./b.js";', "src/usage/b.ts": 'import { a } from "./a.js";' },
      {
        "src/usage/a.ts": 'import "../quota/c.js";',
        "src/usage/b.ts": "export {};",
        "src/quota/c.ts": "export {};",
        "src/quota/d.ts": 'import type { B } from "../usage/b.js";',
      },
    ],
    kept: { "src/usage/a.ts": 'import "./b.js";', "src/usage/b.ts": 'import type { A } from "./a.js";' },
  },
  {
    name: "a risky package has one importer",
    advice: "Ask the room that owns the package for what you need; IMPORTERS in test/architecture/imports.ts names it.",
    check: foreignImporters,
    breaches: [
      { "src/pipeline/dispatch.ts": 'import { connect } from "node:tls";' },
      { "src/acceptor/actor.ts": 'import { Worker } from "worker_threads";' },
      { "src/pipeline/resolve.ts": 'const zod = await import("zod");' },
      { "src/config/load.ts": 'import { z } from "zod";' },
      { "src/usage/actor.ts": 'import type { Logger } from "pino";' },
    ],
    kept: { "src/providers/http1/socket.ts": 'import { connect } from "node:tls";' },
  },
  {
    name: "src imports only packages that package.json lists as dependencies",
    advice: "Add the package to dependencies, or do without it.",
    check: undeclaredPackages,
    breaches: [
      { "package.json": '{"dependencies":{"zod":"4"}}', "src/config/schema.ts": 'import { parse } from "yaml";' },
    ],
    kept: { "package.json": '{"dependencies":{"zod":"4"}}', "src/config/schema.ts": 'import { z } from "zod/v4";' },
  },
  {
    name: "the lock file has an entry for every package, those of other systems included",
    advice: "npm ci refuses a lock file with gaps. Add the entry: version, os, cpu and optional: true.",
    check: unlockedPackages,
    breaches: [
      { "package-lock.json": '{"packages":{"node_modules/a":{"optionalDependencies":{"a-darwin":"1.0.0"}}}}' },
      { "package-lock.json": '{"packages":{"":{"dependencies":{"a":"1.0.0"}},"node_modules/b/node_modules/a":{}}}' },
    ],
    kept: {
      "package-lock.json":
        '{"packages":{"":{"dependencies":{"a":"1.0.0"}},"node_modules/a":{},"node_modules/a/node_modules/b":{"dependencies":{"a":"1","c":"1"}},"node_modules/a/node_modules/c":{}}}',
    },
  },
];
