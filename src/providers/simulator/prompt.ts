/** What the simulator understands of a request, whatever dialect it came in. */
import { countOf, isObject, type JsonObject, listOf, objectOf, stringOf } from "./json.js";

/** Where a streamed answer tells its usage; "usual" is as the vendor does it. */
export const USAGE_VARIANTS = ["usual", "none", "on_every_chunk", "with_choices", "after_stop"] as const;
export type UsageVariant = (typeof USAGE_VARIANTS)[number];

/** Timing and usage that a request may script in `metadata.simulator` (an object, or its JSON as a string). */
export interface SimulatorKnobs {
  /** Before the first byte, in ms. */
  readonly delayMs: number;
  /** Between two events of a stream, in ms. */
  readonly gapMs: number;
  /** Length of the answer in words; -1 = the usual sentence. */
  readonly words: number;
  /** Size of a sound or an image in bytes; -1 = the usual one. */
  readonly bytes: number;
  readonly usage: UsageVariant;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
}

export interface ToolSpec {
  readonly name: string;
  /** JSON Schema of the arguments. */
  readonly schema: JsonObject;
}

export interface ToolChoice {
  readonly mode: "auto" | "none" | "required";
  /** The one tool to call; null = any. */
  readonly name: string | null;
}

export interface Prompt {
  readonly model: string;
  readonly stream: boolean;
  readonly body: JsonObject;
  readonly userText: string;
  /** The result of the tool called last, when that is what the request ends with. */
  readonly toolResult: string | null;
  readonly inputTokens: number;
  readonly tools: readonly ToolSpec[];
  readonly toolChoice: ToolChoice;
  /** -1 = no cap. */
  readonly maxOutputTokens: number;
  /** How many alternatives to answer. */
  readonly choices: number;
  /** Did the caller ask for usage in the stream? */
  readonly usageAsked: boolean;
  /** JSON Schema the answer must follow ({} = any object); null = free text. */
  readonly schema: JsonObject | null;
  readonly knobs: SimulatorKnobs;
}

export const AUTO: ToolChoice = Object.freeze({ mode: "auto", name: null });

export const HIGHEST = Object.freeze({
  delayMs: 60_000,
  gapMs: 10_000,
  words: 10_000,
  bytes: 67_108_864,
  tokens: 1_000_000,
  choices: 8,
});

/** Reads the knobs of a request's `metadata`; all bounded. */
export function readKnobs(metadata: unknown): SimulatorKnobs {
  const given = objectOf(metadata).simulator;
  const knobs = objectOf(typeof given === "string" ? parsed(given) : given);
  return {
    delayMs: countOf(knobs.delay_ms, 0, HIGHEST.delayMs),
    gapMs: countOf(knobs.gap_ms, 0, HIGHEST.gapMs),
    words: countOf(knobs.words, -1, HIGHEST.words),
    bytes: countOf(knobs.bytes, -1, HIGHEST.bytes),
    usage: USAGE_VARIANTS.find((variant) => variant === knobs.usage) ?? "usual",
    cacheReadTokens: countOf(knobs.cache_read_tokens, 0, HIGHEST.tokens),
    cacheWriteTokens: countOf(knobs.cache_write_tokens, 0, HIGHEST.tokens),
    reasoningTokens: countOf(knobs.reasoning_tokens, 0, HIGHEST.tokens),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Everything readable in a content field: a string, or parts with `text`, `content`, `output` or `input`. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(textOf).filter(Boolean).join("\n");
  if (!isObject(content)) return "";
  const part = content.text ?? content.content ?? content.output ?? content.thinking;
  if (part !== undefined) return textOf(part);
  return content.input === undefined ? "" : JSON.stringify(content.input);
}

/** About four characters a token, as the vendors' rule of thumb has it. Cheap on purpose. */
export function countTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

/** Tokens of a conversation: its texts, four a turn for its frame, and the tools' definitions. */
export function countInput(turns: readonly unknown[], more: readonly unknown[]): number {
  let total = 0;
  for (const turn of turns) total += 4 + countTokens(textOf(turn)) + countCalls(turn);
  for (const extra of more) {
    if (extra !== undefined && extra !== null)
      total += countTokens(typeof extra === "string" ? extra : JSON.stringify(extra));
  }
  return total;
}

function countCalls(turn: unknown): number {
  const message = objectOf(turn);
  const calls = message.tool_calls ?? message.arguments;
  return calls === undefined ? 0 : countTokens(JSON.stringify(calls));
}

/** The tools of a list, given where an entry keeps its name and its schema. */
export function toolsOf(value: unknown, entry: (tool: JsonObject) => { name: unknown; schema: unknown }): ToolSpec[] {
  const tools: ToolSpec[] = [];
  for (const item of listOf(value)) {
    const { name, schema } = entry(objectOf(item));
    if (stringOf(name) !== "") tools.push({ name: stringOf(name), schema: objectOf(schema) });
  }
  return tools;
}

/** OpenAI's spellings of a tool choice: "auto" | "none" | "required" | an object naming a function. */
export function openaiToolChoice(value: unknown): ToolChoice {
  if (value === "none" || value === "required") return { mode: value, name: null };
  if (!isObject(value)) return AUTO;
  const name = stringOf(objectOf(value.function).name, stringOf(value.name));
  return name === "" ? AUTO : { mode: "required", name };
}
