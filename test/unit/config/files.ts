/** What the tests of this room share: a temporary directory, contexts, and a minimal resource file. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectModel, Resources } from "../../../src/config/resources.js";
import type { ResourcesContext, Result } from "../../../src/config/load.js";

export function temporaryDirectory(): { write(name: string, content: string | Buffer): string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), "weir-config-"));
  return {
    write(name, content) {
      const path = join(directory, name);
      writeFileSync(path, content);
      return path;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function contextWith(
  environment: Record<string, string> = {},
  change: Partial<ResourcesContext> = {},
): ResourcesContext {
  return {
    providers: new Set(["openai", "anthropic", "simulator"]),
    adapters: new Set(["openai", "anthropic"]),
    operations: new Set(["chat", "messages", "embeddings"]),
    patternProblem: (pattern) => (pattern.includes("(?=") ? "must be a pattern" : null),
    environment,
    ...change,
  };
}

/** The errors as `path: message` lines; fails when there are none. */
export function errorsOf(result: Result<unknown>): string[] {
  if (result.ok) throw new Error("expected errors, got a value");
  return result.errors.map((error) => `${error.path}: ${error.message}`);
}

export function loaded<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`expected a value, got ${errorsOf(result).join("; ")}`);
  return result.value;
}

export const HASH = "ab".repeat(32);

export const MINIMAL = `
_format_version: "1"
provider_keys:
  - display_name: main
    provider: openai
    api_key: upstream-key
models:
  - display_name: fast
    provider: openai
    model_name: gpt-4o-mini
    provider_key: main
api_keys:
  - display_name: ci
    key_hash: ${HASH}
    allowed_models: ["*"]
`;

/** The direct models of some resources, by name. */
export function directModel(resources: Resources, name: string): DirectModel {
  const model = resources.models.find((entry) => entry.name === name);
  if (model?.kind !== "direct") throw new Error(`no direct model ${name}`);
  return model;
}
