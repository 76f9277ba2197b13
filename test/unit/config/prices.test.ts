import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadPrices } from "../../../src/config/prices.js";
import { renderError } from "../../../src/config/result.js";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "prices-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function load(text: string) {
  const path = join(directory, "prices.yaml");
  writeFileSync(path, text);
  const result = loadPrices(path);
  return result.ok ? result.value : result.errors.map((error) => renderError(error).replace(path, "prices.yaml"));
}

describe("loadPrices", () => {
  test("reads every field", () => {
    const prices = load(`
version: 1
dated: 2026-11-01
prices:
  - provider: [acme, "acme-*"]
    model: big
    input_per_1m: 1
    output_per_1m: 2
    reasoning_per_1m: 3
    cached_input_per_1m: 0.1
    cache_write_per_1m: 1.25
    cache_write_1h_per_1m: 2
    per_request: 0.001
    per_image: 0.04
    per_image_of: { "512x512": 0.018 }
    characters_per_1m: 15
    per_second: 0.0001
    input_audio_per_1m: 40
    input_image_per_1m: 10
    output_audio_per_1m: 80
    per_search: 0.01
    long_prompt: { above: 200000, input_per_1m: 2, output_per_1m: 4 }
  - provider: acme
    model: [small, "small-*"]
    input_per_1m: 0.5
`);
    expect(prices).toMatchObject({ version: 1, dated: "2026-11-01" });
    expect(prices).toHaveProperty("rows.0", {
      providers: ["acme", "acme-*"],
      models: ["big"],
      input: 1,
      output: 2,
      reasoning: 3,
      cachedInput: 0.1,
      cacheWrite: 1.25,
      cacheWriteHour: 2,
      inputAudio: 40,
      inputImage: 10,
      outputAudio: 80,
      perRequest: 0.001,
      perImage: 0.04,
      perImageOf: { "512x512": 0.018 },
      perCharacter: 15e-6,
      perSecond: 0.0001,
      perSearch: 0.01,
      longPrompt: {
        above: 200_000,
        input: 2,
        output: 4,
        reasoning: null,
        cachedInput: null,
        cacheWrite: null,
        cacheWriteHour: null,
        inputAudio: null,
        inputImage: null,
        outputAudio: null,
      },
    });
    expect(prices).toMatchObject({ rows: [{}, { models: ["small", "small-*"], output: null, longPrompt: null }] });
  });

  test("JSON is as good", () => {
    expect(load('{"version":1,"prices":[{"provider":"a","model":"b","input_per_1m":1}]}')).toMatchObject({ dated: "" });
  });

  test("names the file, the place and the reason of everything that is wrong", () => {
    const text = `
version: 2
prices:
  - provider: acme
    model: []
    input_per_1m: -1
    output_per_1k: 3
  - model: x
`;
    expect(load(text)).toEqual([
      "prices.yaml:version: must be one of 1 (line 2)",
      "prices.yaml:prices[0].model: must have at least 1 entries (line 5)",
      "prices.yaml:prices[0].input_per_1m: must be a number of US dollars from 0 to 1000000 (line 6)",
      "prices.yaml:prices[0].output_per_1k: unknown field (line 7)",
      "prices.yaml:prices[1].provider: is required (line 8)",
    ]);
    expect(load("- a\n")).toHaveLength(1);
    expect(load("version: 1\nprices: [")).toHaveLength(1);
  });

  test("says when there is no such file", () => {
    const result = loadPrices(join(directory, "gone.yaml"));
    expect(result).toMatchObject({ ok: false, errors: [{ message: "the file cannot be read (ENOENT)" }] });
  });
});
