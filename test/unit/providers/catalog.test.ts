import { describe, expect, it } from "vitest";
import { DIALECTS, OPERATIONS, TARGET_WIRES } from "../../../src/dialects/dialect.js";
import { CATALOG, PROVIDER_IDS, providerRow, rowFor } from "../../../src/providers/catalog.js";

describe("the catalog", () => {
  it("has one row an id, and finds it", () => {
    expect(new Set(PROVIDER_IDS).size).toBe(CATALOG.length);
    for (const row of CATALOG) expect(providerRow(row.id)).toBe(row);
    expect(providerRow("nobody")).toBeUndefined();
  });

  it("names every provider that the gateway promises", () => {
    const promised =
      "openai anthropic azure-openai gemini groq xai together cohere mistral deepinfra deepseek hunyuan tencent-lke " +
      "tars sambanova jina voyage openrouter fireworks perplexity moonshot zhipu qwen cerebras nvidia-nim vllm ollama " +
      "lmstudio tgi tei simulator bedrock bedrock-anthropic vertex vertex-anthropic";
    expect([...PROVIDER_IDS].sort()).toEqual(promised.split(" ").sort());
  });

  it.each(CATALOG)("$id serves known operations in known dialects", (row) => {
    const served = Object.entries(row.serves);
    expect(served.length).toBeGreaterThan(0);
    for (const [operation, wires] of served) {
      expect(OPERATIONS).toContain(operation);
      expect(wires.length).toBeGreaterThan(0);
      for (const wire of wires) {
        expect([...DIALECTS, ...TARGET_WIRES]).toContain(wire.dialect);
        for (const path of [wire.path, wire.streamPath ?? wire.path]) {
          expect(path.replaceAll(/\{(?:model|region|project)\}/g, "x")).toMatch(
            /^\/[a-zA-Z0-9/_:-]+[a-zA-Z_0-9](\?alt=sse)?$/,
          );
        }
      }
    }
    if (row.baseUrl !== null) expect(row.baseUrl).toMatch(/^https:\/\/.*[^/]$|^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  });

  it("gives no model pattern to two providers, and no environment variable either", () => {
    const patterns = CATALOG.flatMap((row) => row.modelPatterns);
    expect(new Set(patterns).size).toBe(patterns.length);
    for (const pattern of patterns) expect(pattern.split("*").length).toBeLessThanOrEqual(2);
    const variables = CATALOG.flatMap((row) => (row.environment ? [row.environment.key, row.environment.baseUrl] : []));
    expect(new Set(variables).size).toBe(variables.length);
  });

  it("makes a general row for a provider that has none", () => {
    expect(rowFor("mine", "openai")).toMatchObject({ id: "mine", family: "openai", baseUrl: null, basePath: "/v1" });
    expect(rowFor("mine", "anthropic")?.serves.messages?.[0]?.path).toBe("/v1/messages");
    expect(rowFor("mine", null)).toBeUndefined();
    expect(rowFor("mine", "carrier-pigeon")).toBeUndefined();
  });

  it("lets an adapter of another family replace a known provider's row, and one of its own not", () => {
    expect(rowFor("openai", "openai")).toBe(providerRow("openai"));
    expect(rowFor("openai", null)).toBe(providerRow("openai"));
    expect(rowFor("openai", "anthropic")).toMatchObject({ id: "openai", family: "anthropic", auth: "x-api-key" });
  });
});
