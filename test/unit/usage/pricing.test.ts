import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PriceRow } from "../../../src/config/prices.js";
import type { ResolvedDirect, ResolvedModel } from "../../../src/config/snapshot.js";
import type { ModelCost } from "../../../src/config/traffic.js";
import { BUNDLED_PRICES } from "../../../src/providers/prices/catalog.js";
import { price } from "../../../src/providers/prices/row.js";
import { PROVIDER_IDS } from "../../../src/providers/catalog.js";
import { dollarsFromNanos, dollarsOf, nanosOf } from "../../../src/usage/dollars.js";
import { covers, PriceIndex } from "../../../src/usage/price-index.js";
import { comparablePrice, costMicros, estimateMicros, type PricedUsage, Pricing } from "../../../src/usage/pricing.js";

const NO_COST: ModelCost = {
  inputPer1k: null,
  outputPer1k: null,
  cachedInputPer1k: null,
  cacheWritePer1k: null,
  perRequest: null,
  perImage: null,
  perSecond: null,
};

function model(provider: string, upstreamModel: string, cost: Partial<ModelCost> | null = null): ResolvedDirect {
  const entry = { kind: "direct", provider, cost: cost === null ? null : { ...NO_COST, ...cost } };
  return { entry, upstreamModel, providerKey: {} } as unknown as ResolvedDirect;
}

function used(change: Partial<PricedUsage> = {}): PricedUsage {
  return {
    input_tokens: 0,
    output_tokens: 0,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    cache_write_1h_tokens: 0,
    reasoning_tokens: 0,
    ...change,
  };
}

const bundled = new Pricing();

describe("costMicros", () => {
  test("each part of the input has its own price", () => {
    const sonnet = bundled.of(model("anthropic", "claude-sonnet-4-6"));
    // 1,000 fresh, 10,000 read, 2,000 written for five minutes, 3,000 for an hour, 500 of output.
    const usage = used({
      input_tokens: 16_000,
      cache_read_tokens: 10_000,
      cache_write_tokens: 5_000,
      cache_write_1h_tokens: 3_000,
      output_tokens: 500,
    });
    expect(costMicros(sonnet, usage)).toBe(1_000 * 3 + 10_000 * 0.3 + 2_000 * 3.75 + 3_000 * 6 + 500 * 15);
  });

  test("sound and pictures have prices of their own, cached ones the cache's", () => {
    const painter = bundled.of(model("openai", "gpt-image-1"));
    const painted = used({ input_tokens: 400, input_image_tokens: 300, output_tokens: 1_000 });
    expect(costMicros(painter, painted)).toBe(100 * 5 + 300 * 10 + 1_000 * 40);
    expect(costMicros(painter, { ...painted, cache_read_tokens: 200 })).toBe(200 * 1.25 + 200 * 10 + 1_000 * 40);
    const listener = bundled.of(model("openai", "gpt-4o-transcribe"));
    const heard = used({ input_tokens: 120, input_audio_tokens: 100, output_tokens: 50 });
    expect(costMicros(listener, heard)).toBe(20 * 2.5 + 100 * 6 + 50 * 10);
    const speaker = bundled.of(model("openai", "gpt-audio"));
    const spoken = used({ input_tokens: 10, output_tokens: 80, reasoning_tokens: 20, output_audio_tokens: 50 });
    expect(costMicros(speaker, spoken)).toBe(10 * 2.5 + 20 * 10 + 10 * 10 + 50 * 64);
    const own = bundled.of(model("openai", "gpt-audio", { inputPer1k: 0.001, outputPer1k: 0.002 }));
    expect(costMicros(own, spoken)).toBe(10 * 1 + 80 * 2);
  });

  test("what has no price of its own has the input's or the output's", () => {
    const plain = new Pricing([price(["acme"], "m", [2, 8])]).of(model("acme", "m"));
    const usage = used({ input_tokens: 100, cache_read_tokens: 40, cache_write_tokens: 30, output_tokens: 10 });
    expect(costMicros(plain, { ...usage, cache_write_1h_tokens: 30, reasoning_tokens: 4 })).toBe(100 * 2 + 10 * 8);
  });

  test("reasoning is a part of the output, at its own price where there is one", () => {
    const thinker = new Pricing([price(["acme"], "m", [1, 2], { reasoning: 5 })]).of(model("acme", "m"));
    expect(costMicros(thinker, used({ output_tokens: 10, reasoning_tokens: 7 }))).toBe(3 * 2 + 7 * 5);
    expect(costMicros(thinker, used({ output_tokens: 10, reasoning_tokens: 99 }))).toBe(10 * 5);
  });

  test("requests, images, seconds and searches count too", () => {
    const extras = { perRequest: 0.005, perImage: 0.04, perSecond: 0.0001, perSearch: 0.01 };
    const pricing = new Pricing([price(["acme"], "m", [0, 0], extras)]);
    const units = used({ images: 2, audio_seconds: 30, search_units: 3 });
    expect(costMicros(pricing.of(model("acme", "m")), units)).toBe(5_000 + 80_000 + 3_000 + 30_000);
  });

  test("an image costs by its size and quality, by its size, or what one costs", () => {
    const perImageOf = { "1024x1024 hd": 0.08, "512x512": 0.018 };
    const row = price(["acme"], "m", [0, 0], { perImage: 0.04, perImageOf });
    const micros = (image_size: string, image_quality: string, cost: Partial<ModelCost> | null = null) =>
      costMicros(new Pricing([row]).of(model("acme", "m", cost)), used({ images: 2, image_size, image_quality }));
    expect(micros("1024x1024", "hd")).toBe(160_000);
    expect(micros("512x512", "hd")).toBe(36_000);
    expect(micros("1024x1024", "standard")).toBe(80_000);
    expect(micros("", "")).toBe(80_000);
    expect(micros("1024x1024", "hd", { perImage: 0.01 })).toBe(20_000);
  });

  test("speech costs by the character, listening by the second", () => {
    const cost = (name: string, change: Partial<PricedUsage>) =>
      costMicros(bundled.of(model("openai", name)), used(change));
    expect(cost("tts-1", { characters: 1_000_000 })).toBe(15_000_000);
    expect(cost("whisper-1", { audio_seconds: 60 })).toBe(6_000);
    expect(cost("dall-e-3", { images: 1, image_size: "1792x1024", image_quality: "hd" })).toBe(120_000);
    expect(bundled.of(model("openai", "omni-moderation-latest")).known).toBe(true);
  });

  test("a prompt above the step has the other prices for all of its tokens", () => {
    const pro = bundled.of(model("gemini", "gemini-2.5-pro"));
    expect(costMicros(pro, used({ input_tokens: 200_000, output_tokens: 100 }))).toBe(200_000 * 1.25 + 100 * 10);
    expect(costMicros(pro, used({ input_tokens: 200_001, output_tokens: 100 }))).toBe(200_001 * 2.5 + 100 * 15);
    expect(estimateMicros(pro, 300_000, 10)).toBe(300_000 * 2.5 + 10 * 15);
  });

  test("is never negative, whatever an upstream says", () => {
    const some = bundled.of(model("openai", "gpt-4o"));
    const count = fc.nat({ max: 1e7 });
    const usage = fc.record({
      input_tokens: count,
      output_tokens: count,
      cache_read_tokens: count,
      cache_write_tokens: count,
      cache_write_1h_tokens: count,
      reasoning_tokens: count,
    });
    fc.assert(fc.property(usage, (counts) => costMicros(some, counts) >= 0));
  });

  test("costs become dollars of whole billionths, whose sum does not depend on the order", () => {
    const micros = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { maxLength: 50 });
    fc.assert(
      fc.property(micros, (costs) => {
        const dollars = costs.map(dollarsOf);
        for (const amount of dollars) expect(dollarsFromNanos(nanosOf(amount))).toBe(amount);
        const sum = (list: number[]) => list.reduce((total, amount) => total + nanosOf(amount), 0);
        expect(sum(dollars)).toBe(sum([...dollars].reverse()));
      }),
    );
  });
});

describe("Pricing", () => {
  test("the model's own cost goes over the catalog's, field by field", () => {
    const own = bundled.of(model("openai", "gpt-4o", { inputPer1k: 0.001 }));
    expect(own).toMatchObject({ known: true, rates: { input: 1, cachedInput: 1.25, output: 10 } });
    const all = bundled.of(model("openai", "gpt-4o", { outputPer1k: 0, cachedInputPer1k: 0.000_25, perRequest: 0.01 }));
    expect(all).toMatchObject({
      rates: { input: 2.5, cachedInput: 0.25, output: 0, reasoning: 0 },
      perRequest: 10_000,
    });
  });

  test("a price of one's own holds for long prompts too", () => {
    const own = bundled.of(model("gemini", "gemini-2.5-pro", { inputPer1k: 0.001 }));
    expect(costMicros(own, used({ input_tokens: 300_000, output_tokens: 10 }))).toBe(300_000 * 1 + 10 * 15);
  });

  test("a model that nobody knows costs nothing and says so", () => {
    const unknown = bundled.of(model("acme", "anything"));
    expect(unknown.known).toBe(false);
    expect(costMicros(unknown, used({ input_tokens: 1e6, output_tokens: 1e6 }))).toBe(0);
    expect(bundled.of(model("acme", "anything", {})).known).toBe(false);
    expect(bundled.of(model("acme", "anything", { perRequest: 0.01 })).known).toBe(true);
    expect(comparablePrice(unknown)).toBeNull();
  });

  test("rows of one's own win over every bundled one", () => {
    const pricing = new Pricing([price(["openai"], "gpt-*", [1, 1])]);
    expect(pricing.of(model("openai", "gpt-4o")).rates.input).toBe(1);
    expect(pricing.of(model("openai", "o3")).rates.input).toBe(2);
  });

  test("a price is found once for a model", () => {
    const direct = model("openai", "gpt-4o");
    expect(bundled.of(direct)).toBe(bundled.of(direct));
  });

  test("what several models stand behind is estimated at the dearest one's price", () => {
    const direct = (name: string): ResolvedModel =>
      ({ name, entry: { kind: "direct" }, direct: model("openai", name) }) as unknown as ResolvedModel;
    const members = new Map(["gpt-4o-mini", "gpt-4o", "no-such"].map((name) => [name, direct(name)]));
    const targets = [...members.keys(), "gone"].map((name) => ({ model: name }));
    const group = { name: "g", entry: { kind: "routing", routing: { targets } }, direct: null };
    const dearest = bundled.dearestOf(group as unknown as ResolvedModel, (name) => members.get(name));
    expect(dearest.rates).toMatchObject({ input: 2.5, output: 10 });
    expect(comparablePrice(dearest)).toBeCloseTo(0.0125);
  });
});

describe("PriceIndex", () => {
  const row = (models: string, input: number, providers = ["acme"]): PriceRow => price(providers, models, [input]);

  test("a name written out wins, then the most literal characters, then the earlier row", () => {
    const index = new PriceIndex([row("*", 1), row("a*", 2), row("a-*-c", 3), row("a-b-c", 4), row("a-*", 5, ["*"])]);
    const find = (provider: string, name: string) => index.find(provider, name)?.input ?? null;
    expect(find("acme", "a-b-c")).toBe(4);
    expect(find("acme", "A-x-C")).toBe(3);
    expect(find("acme", "abc")).toBe(2);
    expect(find("acme", "z")).toBe(1);
    expect(find("other", "a-1")).toBe(5);
    expect(find("other", "b")).toBeNull();
  });

  test("patterns cover what the same pattern as an expression covers", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "-"), maxLength: 12 });
    const patterns = fc.string({ unit: fc.constantFrom("a", "b", "-", "*"), maxLength: 8 });
    fc.assert(
      fc.property(patterns, letters, (pattern, text) => {
        expect(covers(pattern, text)).toBe(new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("takes no time over a pattern made to take long", () => {
    const started = performance.now();
    expect(covers(`${"*a".repeat(200)}*b`, "a".repeat(1_024))).toBe(false);
    // One that tries every way would need longer than anybody has.
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe("the bundled catalog", () => {
  test("says when, for providers that exist, and never the same thing twice", () => {
    expect(BUNDLED_PRICES.dated).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    const seen = new Set<string>();
    for (const { providers, models } of BUNDLED_PRICES.rows) {
      for (const provider of providers) {
        expect(PROVIDER_IDS).toContain(provider);
        for (const name of models) {
          expect(seen).not.toContain(`${provider} ${name}`);
          seen.add(`${provider} ${name}`);
        }
      }
    }
  });

  test.each([
    ["openai", "gpt-4o-2024-08-06", 2.5, 10],
    ["openai", "gpt-4o-2024-05-13", 5, 15],
    ["openai", "gpt-4o-mini", 0.15, 0.6],
    ["azure-openai", "gpt-4.1", 2, 8],
    ["anthropic", "claude-opus-4-20250514", 15, 75],
    ["anthropic", "claude-opus-4-5-20251101", 5, 25],
    ["bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", 1, 5],
    ["vertex-anthropic", "claude-sonnet-4-5@20250929", 3, 15],
    ["gemini", "models/gemini-2.5-flash", 0.3, 2.5],
    ["bedrock", "eu.amazon.nova-lite-v1:0", 0.06, 0.24],
    ["groq", "llama-3.1-8b-instant", 0.05, 0.08],
    ["simulator", "simulator", 0, 0],
  ])("%s %s", (provider, name, input, output) => {
    const found = bundled.of(model(provider, name));
    expect([found.known, found.rates.input, found.rates.output]).toEqual([true, input, output]);
  });

  test("no family is priced by a name that merely begins like it", () => {
    for (const name of ["gpt-4o-audio", "gpt-4o-realtime-preview", "gpt-6", "o3-mini-high-2"]) {
      expect(bundled.of(model("openai", name)).known).toBe(false);
    }
    expect(bundled.of(model("anthropic", "claude-opus-4-9")).known).toBe(false);
  });
});
