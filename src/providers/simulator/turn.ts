/** Decides what the simulator says, before any dialect gives it its shape. Pure but for the calls' ids. */
import { randomUUID } from "node:crypto";
import { isObject, type JsonObject, listOf, objectOf, stringOf } from "./json.js";
import { HIGHEST, type Prompt, type ToolSpec } from "./prompt.js";

export interface SimulatedUsage {
  /** Every prompt token, cached ones included. */
  readonly inputTokens: number;
  /** Reasoning tokens included. */
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
  /** What is not counted in tokens; absent = nothing. */
  readonly units?: SimulatedUnits;
}

export interface SimulatedUnits {
  readonly images?: number;
  readonly seconds?: number;
  readonly characters?: number;
}

export interface SimulatedCall {
  /** Letters and digits; each dialect puts its own prefix before it. */
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
  readonly pieces: readonly string[];
}

export interface Turn {
  /** The text, one piece a token; joined they are the answer. */
  readonly pieces: readonly string[];
  readonly text: string;
  readonly calls: readonly SimulatedCall[];
  readonly stop: "stop" | "length" | "tool";
  readonly usage: SimulatedUsage;
  /** Of the answer: 32 hex digits, unlike any other answer's. */
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

/** Plans the answer: the same prompt gives the same words, calls and counts. */
export function planTurn(prompt: Prompt): Turn {
  const calls = chooseTools(prompt).map(makeCall);
  const all = calls.length > 0 ? [] : piecesOf(answerText(prompt));
  const cut = prompt.maxOutputTokens >= 0 && all.length > prompt.maxOutputTokens;
  const pieces = cut ? all.slice(0, prompt.maxOutputTokens) : all;
  // A call's name counts as one token, which its first event deals out.
  const spoken = calls.reduce((sum, call) => sum + call.pieces.length + 1, pieces.length);
  return {
    pieces,
    text: pieces.join(""),
    calls,
    stop: calls.length > 0 ? "tool" : cut ? "length" : "stop",
    usage: usageOf(prompt, spoken),
    id: newId(),
    created: Math.floor(Date.now() / 1000),
  };
}

export function newId(): string {
  return randomUUID().replaceAll("-", "");
}

/** Usage of an answer of which each alternative has so many tokens besides its reasoning. */
export function usageOf(prompt: Prompt, spokenTokens: number): SimulatedUsage {
  const { cacheReadTokens, cacheWriteTokens, reasoningTokens } = prompt.knobs;
  return {
    inputTokens: prompt.inputTokens + cacheReadTokens + cacheWriteTokens,
    outputTokens: (spokenTokens + reasoningTokens) * prompt.choices,
    cacheReadTokens,
    cacheWriteTokens,
    reasoningTokens: reasoningTokens * prompt.choices,
  };
}

/** Cuts a text into its tokens: a word with the blanks before it, long words in parts. */
export function piecesOf(text: string): string[] {
  return text.match(/\s{0,8}\S{1,12}|\s{1,8}/gu) ?? [];
}

const WORDS = "the water runs over the weir and the level stays as the river made it".split(" ");

function answerText(prompt: Prompt): string {
  if (prompt.knobs.words >= 0) return wordsText(prompt.knobs.words);
  if (prompt.schema !== null) return JSON.stringify(sample(prompt.schema, prompt.schema, 0));
  if (prompt.toolResult !== null) return `The tool answered: ${short(prompt.toolResult)}`;
  return prompt.userText === "" ? "The simulator hears nothing." : `You said: ${short(prompt.userText)}`;
}

export function wordsText(count: number): string {
  return Array.from({ length: count }, (_, i) => WORDS[i % WORDS.length]).join(" ");
}

function short(text: string): string {
  const characters = Array.from(text.slice(0, 400).trim());
  return characters.length > 200 ? `${characters.slice(0, 200).join("")}…` : characters.join("");
}

function chooseTools(prompt: Prompt): readonly ToolSpec[] {
  const { tools, toolChoice, userText } = prompt;
  if (tools.length === 0 || toolChoice.mode === "none" || prompt.toolResult !== null) return [];
  const text = userText.toLowerCase();
  const asked = tools.filter((tool) => text.includes(`call ${tool.name.toLowerCase()}`));
  if (toolChoice.name !== null) return tools.filter((tool) => tool.name === toolChoice.name).slice(0, 1);
  if (asked.length > 0) return asked;
  return toolChoice.mode === "required" || text.includes("use a tool") ? tools.slice(0, 1) : [];
}

function makeCall(tool: ToolSpec): SimulatedCall {
  const object = Object.keys(tool.schema).length === 0 ? {} : sample(tool.schema, tool.schema, 0);
  const text = JSON.stringify(isObject(object) ? object : {});
  return { id: newId().slice(0, 24), name: tool.name, arguments: text, pieces: piecesOf(text) };
}

/** A value that follows the common part of JSON Schema; deeper than eight levels it is null. */
export function sample(schema: JsonObject, root: JsonObject, depth: number): unknown {
  if (depth > 8) return null;
  if ("const" in schema) return schema.const;
  if ("default" in schema) return schema.default;
  if (listOf(schema.enum).length > 0) return listOf(schema.enum)[0];
  const other = schema.$ref === undefined ? alternative(schema) : resolve(stringOf(schema.$ref), root);
  if (other !== null) return sample(other, root, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type.find((name) => name !== "null") : schema.type;
  if (type === "array") return sampleList(schema, root, depth);
  if (type === "string") return sampleString(schema);
  if (type === "boolean") return true;
  if (type === "null") return null;
  if (type === "number" || type === "integer") return typeof schema.minimum === "number" ? schema.minimum : 1;
  const entries = Object.entries(objectOf(schema.properties));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sample(objectOf(inner), root, depth + 1)]));
}

function alternative(schema: JsonObject): JsonObject | null {
  const list = [schema.anyOf, schema.oneOf, schema.allOf].map(listOf).find((found) => found.length > 0);
  return list === undefined ? null : objectOf(list.find((item) => objectOf(item).type !== "null"));
}

function resolve(reference: string, root: JsonObject): JsonObject {
  let found: unknown = root;
  for (const part of reference.replace(/^#\/?/, "").split("/")) {
    if (part !== "") found = objectOf(found)[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return objectOf(found);
}

function sampleList(schema: JsonObject, root: JsonObject, depth: number): unknown[] {
  const wanted = typeof schema.minItems === "number" ? schema.minItems : 1;
  const length = Math.min(HIGHEST.choices, Math.max(0, wanted));
  return Array.from({ length }, () => sample(objectOf(schema.items), root, depth + 1));
}

const STRINGS: Readonly<Record<string, string>> = {
  date: "2024-05-01",
  time: "12:00:00Z",
  "date-time": "2024-05-01T12:00:00Z",
  email: "someone@example.com",
  uri: "https://example.com/",
  url: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
};

function sampleString(schema: JsonObject): string {
  const text = STRINGS[stringOf(schema.format)] ?? "sample";
  const shortest = typeof schema.minLength === "number" ? Math.min(schema.minLength, 1000) : 0;
  return text.padEnd(shortest, "x");
}
