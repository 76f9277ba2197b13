/** List prices of Google's Gemini models (the Gemini API and Vertex AI) and of Amazon's own models (Bedrock). */
import type { PriceRow } from "../../config/prices.js";
import { type Extras, type InOut, price } from "./row.js";

const GEMINI = ["gemini", "vertex"];
const BEDROCK = ["bedrock"];

/** Some callers write a model's name as the vendor lists it, with its folder. */
function gemini(names: string, inOut: InOut, extras: Extras): PriceRow {
  const listed = names.split(" ").flatMap((name) => [name, `models/${name}`, `google/${name}`]);
  return price(GEMINI, listed.join(" "), inOut, extras);
}

/** Amazon's names may begin with a region ("eu.amazon.nova-lite-v1:0"). */
function amazon(name: string, inOut: InOut, extras: Extras = {}): PriceRow {
  return price(BEDROCK, `*amazon.${name} *amazon.${name}-v*`, inOut, extras);
}

export const GEMINI_PRICES: readonly PriceRow[] = [
  gemini("gemini-3.1-pro-preview gemini-3-pro-preview", [2, 12], {
    cachedInput: 0.2,
    longPrompt: { above: 200_000, input: 4, output: 18, cachedInput: 0.4 },
  }),
  gemini("gemini-3.5-flash", [1.5, 9], {}),
  gemini("gemini-3.5-flash-lite", [0.3, 2.5], {}),
  gemini("gemini-2.5-pro", [1.25, 10], {
    cachedInput: 0.125,
    longPrompt: { above: 200_000, input: 2.5, output: 15, cachedInput: 0.25 },
  }),
  gemini("gemini-2.5-flash", [0.3, 2.5], { cachedInput: 0.03 }),
  gemini("gemini-2.5-flash-lite", [0.1, 0.4], { cachedInput: 0.01 }),
  gemini("gemini-2.0-flash gemini-2.0-flash-001", [0.1, 0.4], { cachedInput: 0.025 }),
  gemini("gemini-2.0-flash-lite gemini-2.0-flash-lite-001", [0.075, 0.3], {}),
  gemini("gemini-embedding-2", [0.2], {}),
  gemini("gemini-embedding-001", [0.15], {}),
];

export const AMAZON_PRICES: readonly PriceRow[] = [
  amazon("nova-micro", [0.035, 0.14], { cachedInput: 0.008_75 }),
  amazon("nova-lite", [0.06, 0.24], { cachedInput: 0.015 }),
  amazon("nova-pro", [0.8, 3.2], { cachedInput: 0.2 }),
  amazon("nova-premier", [2.5, 12.5]),
  amazon("titan-embed-text-v2:0", [0.02]),
  amazon("titan-embed-text-v1", [0.1]),
];
