import { afterAll, describe, expect, it } from "vitest";
import { readEntryFile } from "../../../src/cli/entry-file.js";
import { behindReferences } from "../../../src/cli/entry-order.js";
import { contextWith, errorsOf, loaded, temporaryDirectory } from "../config/files.js";

const directory = temporaryDirectory();
afterAll(() => directory.remove());

const variable = (name: string): string => `$${`{${name}}`}`;
const read = (collections: Record<string, unknown>) => {
  const text = JSON.stringify({ _format_version: "1", ...collections });
  return readEntryFile(directory.write("resources.yaml", text), contextWith());
};

describe("a file of entries", () => {
  it("leaves what a variable holds to the nodes", () => {
    const key = {
      display_name: "main",
      provider: variable("PROVIDER"),
      adapter: variable("ADAPTER"),
      api_base: variable("BASE"),
      api_key: variable("KEY"),
      request: { default_headers: { "x-team": variable("TEAM") } },
    };
    const callers = ["a", "b"].map((name) => ({ display_name: name, key_hash: variable(`HASH_${name}`) }));
    const entries = loaded(read({ provider_keys: [key], api_keys: callers }));
    expect(entries.get("provider_keys")).toEqual([{ name: "main", value: key }]);
    expect(entries.get("api_keys")?.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(entries.has("models")).toBe(false);
  });

  it("still finds what is wrong beside it", () => {
    const key = { display_name: "main", provider: "openai", api_key: variable("KEY"), region: "", nonsense: 1 };
    const lost = { display_name: "m", provider: "openai", model_name: variable("M"), provider_key: "gone" };
    expect(errorsOf(read({ provider_keys: [key], models: [lost] }))).toEqual([
      "provider_keys[0].region: must be the name of a region",
      "provider_keys[0].nonsense: unknown field",
      "models[0].provider_key: there is no provider key of this name",
    ]);
  });

  it("refuses malformed fields, and names that differ from node to node", () => {
    const budget = (name: string) => ({ name, scope: "all", limit_usd: 1 });
    expect(errorsOf(read({ budgets: [budget(variable("NAME")), budget("a$$b")] }))).toEqual([
      "budgets[0].name: must not hold a variable: an entry has one name on all nodes",
      "budgets[1].name: must not hold a variable: an entry has one name on all nodes",
    ]);
  });

  it("checks secrets that it can see, and not those that are redacted", () => {
    const key = (name: string, secret: unknown) => ({ display_name: name, provider: "openai", api_key: secret });
    expect(errorsOf(read({ provider_keys: [key("a", 7), key("b", "[redacted]")] }))).toEqual([
      "provider_keys[0].api_key: must be a string",
    ]);
    expect(loaded(read({ provider_keys: [key("b", "[redacted]")] })).size).toBe(1);
  });

  it("gives attachments names, and tells where two would have the same", () => {
    const guardrails = [{ name: "words", kind: "keyword", patterns: [] }];
    const everywhere = { guardrail: "words", scope_type: "env" };
    const entries = loaded(read({ guardrails, guardrail_attachments: [everywhere, { ...everywhere, id: "second" }] }));
    expect(entries.get("guardrail_attachments")).toEqual([
      { name: "words@env", value: { id: "words@env", ...everywhere } },
      { name: "second", value: { id: "second", ...everywhere } },
    ]);
    expect(errorsOf(read({ guardrails, guardrail_attachments: [everywhere, everywhere] }))).toEqual([
      "guardrail_attachments[1]: hangs where guardrail_attachments[0] hangs: give one of them an id",
    ]);
  });
});

describe("entries behind those they refer to", () => {
  const entry = (name: string, value: Record<string, unknown> = {}) => ({ name, value });

  it("keeps the order where nothing refers to anything", () => {
    expect(behindReferences([entry("b"), entry("a")]).map(({ name }) => name)).toEqual(["b", "a"]);
  });

  it("goes by names and ids, however deep, and bears circles", () => {
    const entries = [
      entry("top", { routing: { targets: [{ model_id: "ID" }] } }),
      entry("round", { judge: "trip" }),
      entry("trip", { judge: "round" }),
      entry("low", { id: "ID" }),
    ];
    expect(behindReferences(entries).map(({ name }) => name)).toEqual(["low", "top", "trip", "round"]);
  });
});
