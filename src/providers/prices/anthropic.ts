/**
 * List prices of Anthropic's models, as its pricing page has them. Amazon and Google sell them at the same
 * prices in their global regions.
 */
import type { PriceRow } from "../../config/prices.js";
import { price } from "./row.js";

const PROVIDERS = ["anthropic", "bedrock", "bedrock-anthropic", "vertex", "vertex-anthropic"];

/** The prices in the order of the vendor's table: input, cache writes (5 minutes, 1 hour), cache hits, output. */
type Columns = readonly [input: number, write: number, writeHour: number, hit: number, output: number];

function claude(names: string, columns: Columns, longPrompt?: { above: number; columns: Columns }): PriceRow {
  const [input, cacheWrite, cacheWriteHour, cachedInput, output] = columns;
  const prices = { cacheWrite, cacheWriteHour, cachedInput };
  if (longPrompt === undefined) return price(PROVIDERS, everywhere(names), [input, output], prices);
  const [longInput, longWrite, longWriteHour, longHit, longOutput] = longPrompt.columns;
  const long = { above: longPrompt.above, input: longInput, output: longOutput };
  return price(PROVIDERS, everywhere(names), [input, output], {
    ...prices,
    longPrompt: { ...long, cacheWrite: longWrite, cacheWriteHour: longWriteHour, cachedInput: longHit },
  });
}

/** Here `NAME`, `NAME-20250101` and `NAME-latest`; at Google `NAME@20250101`; at Amazon `us.anthropic.NAME-20250101-v1:0`. */
function everywhere(names: string): string {
  return names
    .split(" ")
    .flatMap((name) => [
      name,
      `${name}-20*`,
      `${name}-latest`,
      `${name}@*`,
      `*anthropic.${name}`,
      `*anthropic.${name}-20*`,
      `*anthropic.${name}-v*`,
    ])
    .join(" ");
}

export const ANTHROPIC_PRICES: readonly PriceRow[] = [
  claude("claude-fable-5-1", [10, 12.5, 20, 0.25, 50]),
  claude("claude-fable-5", [10, 12.5, 20, 1, 50]),
  claude("claude-opus-5-5", [4, 5, 8, 0.2, 20]),
  claude("claude-opus-5 claude-opus-4-8 claude-opus-4-7 claude-opus-4-6 claude-opus-4-5", [5, 6.25, 10, 0.5, 25]),
  claude("claude-opus-4-1 claude-opus-4-0 claude-opus-4", [15, 18.75, 30, 1.5, 75]),
  claude("claude-sonnet-5-5", [2, 2.5, 4, 0.1, 10]),
  claude("claude-sonnet-5", [2, 2.5, 4, 0.2, 10]),
  claude("claude-sonnet-4-6", [3, 3.75, 6, 0.3, 15]),
  claude("claude-sonnet-4-5 claude-sonnet-4-0 claude-sonnet-4", [3, 3.75, 6, 0.3, 15], {
    above: 200_000,
    columns: [6, 7.5, 12, 0.6, 22.5],
  }),
  claude("claude-3-7-sonnet claude-3-5-sonnet", [3, 3.75, 6, 0.3, 15]),
  claude("claude-haiku-5-5", [0.1, 0.125, 0.2, 0.01, 0.5], { above: 100_000, columns: [0.5, 0.625, 1, 0.05, 2.5] }),
  claude("claude-haiku-4-5", [1, 1.25, 2, 0.1, 5]),
  claude("claude-3-5-haiku", [0.8, 1, 1.6, 0.08, 4]),
  claude("claude-3-haiku", [0.25, 0.3, 0.5, 0.03, 1.25]),
  claude("claude-3-opus", [15, 18.75, 30, 1.5, 75]),
];
