// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resources is in play here.
import { describe, expect, it } from "vitest";
import type { ResourcesContext } from "../../../src/config/entry.js";
import { parseEntries, parseResources } from "../../../src/config/load.js";
import { entriesOf, isTooDeep, type RawEntry } from "../../../src/config/resource-set.js";
import { EntryMemory } from "../../../src/config/resources-file.js";

const CONTEXT: ResourcesContext = {
  providers: new Set(["openai"]),
  adapters: new Set(),
  operations: new Set(),
  patternProblem: () => null,
  environment: { VENDOR_KEY: "filled in" },
};

const FILE = {
  _format_version: "1",
  provider_keys: [{ display_name: "main", provider: "openai", api_key: "${VENDOR_KEY}" }],
  models: [
    { display_name: "a", provider: "openai", model_name: "a", provider_key: "main" },
    { name: "b", provider: "openai", model_name: "b", provider_key: "main" },
  ],
  guardrails: [{ name: "words", kind: "keyword", patterns: [] }],
  guardrail_attachments: [{ guardrail: "words", scope_type: "model", scope_id: "a" }],
};
const ORIGIN = { source: "nats", revision: "1" };

function errorsOf(entries: readonly RawEntry[], memory = new EntryMemory()): string[] {
  const result = parseEntries(entries, CONTEXT, { ...ORIGIN, memory });
  return result.ok ? [] : result.errors.map(({ path, message }) => `${path}: ${message}`);
}

describe("entries that stand in no file", () => {
  it("make what a file with them makes", () => {
    const entries = entriesOf(FILE);
    expect(entries.map(({ collection, name }) => `${collection}/${name}`)).toEqual([
      "provider_keys/main",
      "models/a",
      "models/b",
      "guardrails/words",
      "guardrail_attachments/words@model:a",
    ]);
    expect(entries[0]?.value).toEqual(FILE.provider_keys[0]);
    const made = parseEntries(entries, CONTEXT, ORIGIN);
    const read = parseResources(JSON.stringify(FILE), CONTEXT, "nats");
    if (!made.ok || !read.ok) throw new Error("both must be good");
    expect(made.value.resources).toEqual({ ...read.value, revision: "1" });
    expect(made.value.entries).toBe(entries);
  });

  it("are called by their names in messages", () => {
    const entries: RawEntry[] = [
      { collection: "models", name: 'a"b', value: { display_name: 'a"b', provider_key: "none", surprise: [1] } },
      { collection: "models", name: "c", value: { display_name: "c", provider: 3 } },
      { collection: "models", name: "d", value: "text" },
      { collection: "__proto__", name: "x", value: {} },
      { collection: "api_keys", name: "one", value: { display_name: "one", key_hash: "a".repeat(64) } },
      { collection: "api_keys", name: "two", value: { display_name: "two", key_hash: "a".repeat(64) } },
    ];
    const errors = errorsOf(entries);
    for (const part of [
      'models "a\\"b".surprise: unknown field',
      'models "a\\"b".provider_key: ',
      'models "c".provider: must be a string',
      'models "d": must be a mapping',
      "__proto__: unknown field",
      'api_keys "two".key_hash: is the same as that of api_keys "one"',
    ]) {
      expect(
        errors.find((error) => error.startsWith(part)),
        `${part}\n${errors.join("\n")}`,
      ).toBeDefined();
    }
  });

  it("are found to be the same when they are read again, good or bad", () => {
    const memory = new EntryMemory();
    const read = (entries: readonly RawEntry[]) => parseEntries(entries, CONTEXT, { ...ORIGIN, memory });
    const good = entriesOf(FILE);
    const first = read(good);
    expect(read(good)).toEqual(first);
    expect(first).toEqual(parseEntries(good, CONTEXT, ORIGIN));
    const lacking = good.filter(({ collection }) => collection !== "provider_keys");
    expect(errorsOf(lacking, memory)).toEqual(errorsOf(lacking));
    expect(errorsOf(lacking, memory)).not.toEqual([]);
    const bad: RawEntry[] = [
      ...good,
      { collection: "models", name: "x", value: { display_name: "x", api: "${NONE}" } },
    ];
    const told = errorsOf(bad);
    expect(told.length).toBeGreaterThan(1);
    for (let time = 0; time < 2; time += 1) expect(errorsOf(bad, memory)).toEqual(told);
    expect(read(good)).toEqual(first);
  });

  it("are too deep beyond any use", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
    expect([isTooDeep(nested(64)), isTooDeep(nested(65)), isTooDeep("text")]).toEqual([false, true, false]);
  });
});
