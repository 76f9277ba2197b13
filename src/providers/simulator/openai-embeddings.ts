/** The simulator on POST /embeddings. Shape: `CreateEmbeddingResponse` of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { countOf, type JsonObject, stringOf } from "./json.js";
import { AUTO, countTokens, type Prompt, readKnobs } from "./prompt.js";
import type { Turn } from "./turn.js";

const USUAL_DIMENSIONS = 64;

/** Reads an embedding request: a text, texts, or their tokens. */
export function readEmbeddings(body: JsonObject): Prompt {
  return {
    model: stringOf(body.model),
    stream: false,
    body,
    userText: "",
    toolResult: null,
    inputTokens: inputsOf(body.input).reduce((sum: number, input) => sum + tokensOf(input), 0),
    tools: [],
    toolChoice: AUTO,
    maxOutputTokens: 0,
    choices: 1,
    usageAsked: false,
    schema: null,
    knobs: readKnobs(body.metadata),
  };
}

function inputsOf(input: unknown): readonly unknown[] {
  if (!Array.isArray(input)) return [input];
  return typeof input[0] === "number" ? [input] : input;
}

function tokensOf(input: unknown): number {
  return Array.isArray(input) ? input.length : countTokens(stringOf(input));
}

/** Gives every input its vector: of length one, and the same for the same input. */
export function answerEmbeddings(prompt: Prompt, turn: Turn): FrameList {
  const dimensions = Math.max(1, countOf(prompt.body.dimensions, USUAL_DIMENSIONS, 4096));
  const base64 = prompt.body.encoding_format === "base64";
  const data = inputsOf(prompt.body.input).map((input, index) => {
    const vector = vectorOf(typeof input === "string" ? input : JSON.stringify(input ?? ""), dimensions);
    return { object: "embedding", index, embedding: base64 ? base64Of(vector) : Array.from(vector) };
  });
  const total = turn.usage.inputTokens;
  const usage = prompt.knobs.usage === "none" ? {} : { usage: { prompt_tokens: total, total_tokens: total } };
  return FrameList.whole({ object: "list", data, model: prompt.model, ...usage }, 0);
}

function vectorOf(text: string, dimensions: number): Float32Array {
  // FNV-1a seeds a xorshift generator; neither needs to be good, only quick and the same everywhere.
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  state = state >>> 0 || 1;
  const vector = new Float32Array(dimensions);
  let squares = 0;
  for (let i = 0; i < dimensions; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const value = (state >>> 0) / 0x80000000 - 1;
    vector[i] = value;
    squares += value * value;
  }
  const length = Math.sqrt(squares) || 1;
  return vector.map((value) => value / length);
}

/** 32-bit floats, little-endian, as the vendor packs them. */
function base64Of(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * 4);
  return bytes.toString("base64");
}
