/** Reads the files of deploy/, and asks the gateway itself what it thinks of those that are its own. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import { validate } from "../../../src/cli/validate.js";
import { loadConfig, renderError } from "../../../src/config/load.js";
import type { WeirConfig } from "../../../src/config/schema.js";
import { OPERATIONS } from "../../../src/dialects/dialect.js";
import { patternProblem } from "../../../src/guardrails/pattern.js";
import { PROVIDER_IDS } from "../../../src/providers/catalog.js";
import { ADAPTERS } from "../../../src/providers/provider.js";

/** A parsed file: tests look into it as deep as they like. */
// biome-ignore lint/suspicious/noExplicitAny: the shape of foreign formats is what the tests check.
export type Tree = any;

/** What the environment adds to the weir.yaml of a fleet. */
const NODE_ENVIRONMENT = { WEIR_CLUSTER__NATS__PASSWORD: "secret" };

export function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../../deploy/${name}`, import.meta.url));
}

export function textOf(name: string): string {
  return readFileSync(pathOf(name), "utf8");
}

/** One YAML document, with merge keys. */
export function yamlOf(name: string): Tree {
  return parse(textOf(name), { merge: true });
}

/** All documents of a YAML file. */
export function documentsOf(name: string): Tree[] {
  const documents = parseAllDocuments(textOf(name));
  return (Array.isArray(documents) ? documents : []).map((document) => {
    if (document.errors.length > 0) throw new Error(`${name}: ${document.errors[0]?.message}`);
    return document.toJS() as Tree;
  });
}

/** A weir.yaml as a node reads it. */
export function configOf(name: string): WeirConfig {
  const isAlone = !textOf(name).includes("cluster:");
  const loaded = loadConfig(pathOf(name), isAlone ? {} : NODE_ENVIRONMENT);
  if (!loaded.ok) throw new Error(loaded.errors.map(renderError).join("\n"));
  return loaded.value;
}

/** What `weir validate` says of a resource file; "" = nothing is wrong. */
export async function problemsOf(resources: string, environment: Record<string, string>): Promise<string> {
  let problems = "";
  const code = await validate(["--resources", pathOf(resources)], {
    providers: new Set<string>(PROVIDER_IDS),
    adapters: new Set<string>(ADAPTERS),
    operations: new Set<string>(OPERATIONS),
    patternProblem,
    environment,
    stdout: () => {},
    stderr: (text: string) => {
      problems += text;
    },
  });
  return code === 0 ? "" : problems;
}

/** How long a node takes at most from SIGTERM to its end, in seconds. */
export function drainSeconds({ drain }: WeirConfig): number {
  return (drain.notice_ms + drain.max_ms) / 1000;
}
