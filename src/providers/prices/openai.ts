/**
 * List prices of OpenAI's models, as its pricing page has them for standard processing. A deployment on
 * Azure that is named like its model has the same prices (global deployments).
 */
import type { PriceRow } from "../../config/prices.js";
import { type Extras, price } from "./row.js";

const PROVIDERS = ["openai", "azure-openai"];

/** Input, cached input, output: the columns of the vendor's table. */
function model(names: string, input: number, cachedInput: number | null, output: number): PriceRow {
  return price(PROVIDERS, dated(names), [input, output], { cachedInput });
}

/** Each name, and its dated versions ("gpt-4o-2024-08-06"). */
function dated(names: string): string {
  return names
    .split(" ")
    .flatMap((name) => [name, `${name}-20*`])
    .join(" ");
}

/** A prompt of more than 272,000 tokens doubles the price of all input and adds half to the output's. */
function steps(names: string, input: number, cachedInput: number, output: number): PriceRow {
  const longPrompt = { above: 272_000, input: input * 2, cachedInput: cachedInput * 2, output: output * 1.5 };
  return price(PROVIDERS, dated(names), [input, output], { cachedInput, longPrompt } satisfies Extras);
}

/** Wide and tall ones cost more, and so does detail. */
const DALL_E_3 = {
  "1024x1024 hd": 0.08,
  "1024x1792 hd": 0.12,
  "1792x1024 hd": 0.12,
  "1024x1792": 0.08,
  "1792x1024": 0.08,
};

export const OPENAI_PRICES: readonly PriceRow[] = [
  steps("gpt-5.5", 5, 0.5, 30),
  model("gpt-5.5-pro gpt-5.4-pro", 30, null, 180),
  steps("gpt-5.4", 2.5, 0.25, 15),
  model("gpt-5.4-mini", 0.75, 0.075, 4.5),
  model("gpt-5.4-nano", 0.2, 0.02, 1.25),
  model("gpt-5.2 gpt-5.2-chat-latest gpt-5.2-codex gpt-5.3-codex", 1.75, 0.175, 14),
  model("gpt-5.2-pro", 21, null, 168),
  model("gpt-5.1 gpt-5.1-chat-latest gpt-5.1-codex gpt-5 gpt-5-chat-latest gpt-5-codex", 1.25, 0.125, 10),
  model("gpt-5-pro", 15, null, 120),
  model("gpt-5-mini gpt-5.1-codex-mini", 0.25, 0.025, 2),
  model("gpt-5-nano", 0.05, 0.005, 0.4),
  model("gpt-4.1", 2, 0.5, 8),
  model("gpt-4.1-mini", 0.4, 0.1, 1.6),
  model("gpt-4.1-nano", 0.1, 0.025, 0.4),
  model("gpt-4o", 2.5, 1.25, 10),
  price(PROVIDERS, "gpt-4o-2024-05-13 chatgpt-4o-latest", [5, 15]),
  model("gpt-4o-mini", 0.15, 0.075, 0.6),
  model("o1 o1-preview", 15, 7.5, 60),
  model("o1-pro", 150, null, 600),
  model("o1-mini o3-mini", 1.1, 0.55, 4.4),
  model("o3", 2, 0.5, 8),
  model("o3-pro", 20, null, 80),
  model("o3-deep-research", 10, 2.5, 40),
  model("o4-mini", 1.1, 0.275, 4.4),
  model("o4-mini-deep-research", 2, 0.5, 8),
  model("codex-mini-latest", 1.5, 0.375, 6),
  model("computer-use-preview", 3, null, 12),
  price(PROVIDERS, "gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4-0125-preview gpt-4-1106-preview", [10, 30]),
  price(PROVIDERS, "gpt-4 gpt-4-0613", [30, 60]),
  price(PROVIDERS, "gpt-3.5-turbo gpt-3.5-turbo-0125", [0.5, 1.5]),
  price(PROVIDERS, "gpt-3.5-turbo-instruct", [1.5, 2]),
  price(PROVIDERS, "davinci-002", [2, 2]),
  price(PROVIDERS, "babbage-002", [0.4, 0.4]),
  price(PROVIDERS, "text-embedding-3-small", [0.02]),
  price(PROVIDERS, "text-embedding-3-large", [0.13]),
  price(PROVIDERS, "text-embedding-ada-002", [0.1]),
  price(PROVIDERS, dated("gpt-4o-audio-preview"), [2.5, 10], { inputAudio: 40, outputAudio: 80 }),
  price(PROVIDERS, dated("gpt-4o-mini-audio-preview"), [0.15, 0.6], { inputAudio: 10, outputAudio: 20 }),
  price(PROVIDERS, dated("gpt-audio"), [2.5, 10], { inputAudio: 32, outputAudio: 64 }),
  price(PROVIDERS, dated("gpt-audio-mini"), [0.6, 2.4], { inputAudio: 10, outputAudio: 20 }),
  price(PROVIDERS, dated("gpt-4o-transcribe gpt-4o-transcribe-diarize"), [2.5, 10], { inputAudio: 6 }),
  price(PROVIDERS, dated("gpt-4o-mini-transcribe"), [1.25, 5], { inputAudio: 3 }),
  price(PROVIDERS, dated("gpt-image-1"), [5, 40], { cachedInput: 1.25, inputImage: 10 }),
  price(PROVIDERS, dated("gpt-image-1.5"), [5, 32], { cachedInput: 1.25, inputImage: 8 }),
  price(PROVIDERS, dated("gpt-image-1-mini"), [2, 8], { cachedInput: 0.2, inputImage: 2.5 }),
  price(PROVIDERS, "whisper-1 whisper", [0], { perSecond: 0.0001 }),
  price(PROVIDERS, "tts-1 tts", [0], { perCharacter: 15e-6 }),
  price(PROVIDERS, "tts-1-hd tts-hd", [0], { perCharacter: 30e-6 }),
  price(PROVIDERS, "dall-e-2", [0], { perImage: 0.02, perImageOf: { "256x256": 0.016, "512x512": 0.018 } }),
  price(PROVIDERS, "dall-e-3", [0], { perImage: 0.04, perImageOf: DALL_E_3 }),
  price(PROVIDERS, "omni-moderation-* text-moderation-*", [0]),
];
