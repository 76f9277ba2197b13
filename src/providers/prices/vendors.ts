/** List prices of the other vendors, as their own pricing pages have them; of servers of one's own, nothing. */
import type { PriceRow } from "../../config/prices.js";
import { type Extras, type InOut, price } from "./row.js";

type Row = readonly [models: string, inOut: InOut, extras?: Extras];

function vendor(provider: string, rows: readonly Row[]): PriceRow[] {
  return rows.map(([models, inOut, extras]) => price([provider], models, inOut, extras));
}

/** A prompt of more than 200,000 tokens doubles every price. */
function doubled(input: number, cachedInput: number, output: number): Extras {
  const longPrompt = { above: 200_000, input: input * 2, cachedInput: cachedInput * 2, output: output * 2 };
  return { cachedInput, longPrompt };
}

export const VENDOR_PRICES: readonly PriceRow[] = [
  ...vendor("mistral", [
    ["mistral-large-2512", [0.5, 1.5]],
    ["mistral-large-2411 pixtral-large-2411", [2, 6]],
    ["mistral-medium-3-5", [1.5, 7.5]],
    ["mistral-medium-2505 mistral-medium-2508", [0.4, 2]],
    ["mistral-small-2503 mistral-small-2506", [0.1, 0.3]],
    ["codestral-2501 codestral-2508", [0.3, 0.9]],
    ["ministral-3b-2410", [0.04, 0.04]],
    ["ministral-8b-2410", [0.1, 0.1]],
    ["open-mistral-nemo open-mistral-nemo-2407", [0.15, 0.15]],
    ["mistral-embed", [0.1]],
    ["codestral-embed codestral-embed-2505", [0.15]],
  ]),
  ...vendor("cohere", [
    ["command-a-03-2025", [2.5, 10]],
    ["command-r-plus-08-2024", [2.5, 10]],
    ["command-r-08-2024", [0.15, 0.6]],
    ["command-r7b-12-2024", [0.0375, 0.15]],
    ["embed-v4.0", [0.12]],
    ["embed-english-v3.0 embed-multilingual-v3.0", [0.1]],
  ]),
  ...vendor("xai", [
    ["grok-4.7 grok-4.6 grok-4.5", [2, 6], doubled(2, 0.5, 6)],
    ["grok-4.3", [1.25, 2.5], doubled(1.25, 0.2, 2.5)],
  ]),
  ...vendor("groq", [
    ["openai/gpt-oss-120b", [0.15, 0.6], { cachedInput: 0.075 }],
    ["openai/gpt-oss-20b", [0.075, 0.3], { cachedInput: 0.0375 }],
    ["llama-3.3-70b-versatile", [0.59, 0.79]],
    ["llama-3.1-8b-instant", [0.05, 0.08]],
    ["meta-llama/llama-4-scout-17b-16e-instruct", [0.11, 0.34]],
    ["qwen/qwen3-32b", [0.29, 0.59]],
  ]),
  ...vendor("together", [
    ["openai/gpt-oss-120b", [0.15, 0.6]],
    ["meta-llama/Llama-3.3-70B-Instruct-Turbo", [0.88, 0.88]],
    ["meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", [0.18, 0.18]],
  ]),
  ...vendor("perplexity", [
    // Each request is charged too, by how much it searches: this is the smallest size, the default.
    ["sonar", [1, 1], { perRequest: 0.005 }],
    ["sonar-pro", [3, 15], { perRequest: 0.006 }],
    ["sonar-reasoning-pro", [2, 8], { perRequest: 0.006 }],
  ]),
  ...vendor("voyage", [
    ["voyage-3.5", [0.06]],
    ["voyage-3.5-lite", [0.02]],
    ["voyage-3-large voyage-code-3", [0.18]],
  ]),
  ...["simulator", "vllm", "ollama", "lmstudio", "tgi"].flatMap((own) => vendor(own, [["*", [0, 0]]])),
];
