/**
 * Text for token estimates: what a model would read or has written, gathered leniently. Runs in the pool;
 * never throws, whatever the bytes are.
 */
import { closingQuote } from "./json-string.js";
import { asArray, asObject, asText, parseJson } from "./json-values.js";
import { parseSse, type SseEvent } from "./sse.js";

/** Members that no model reads as text: names of kinds, ids, signatures, and data that is not text. */
const NOT_TEXT = new Set([
  "type",
  "role",
  "id",
  "call_id",
  "tool_call_id",
  "tool_use_id",
  "file_id",
  "item_id",
  "status",
  "signature",
  "encrypted_content",
  "data",
  "url",
  "image_url",
  "file_url",
  "file_data",
  "input_audio",
  "b64_json",
  "media_type",
  "detail",
  "cache_control",
]);

/** Nested deeper than this, text no longer matters for an estimate. */
const MAX_DEPTH = 64;

/** Stands for one token of a prompt given as token numbers. */
const ONE_TOKEN = " a";

/** Adds every text below a value to `out`; a number inside an array stands for one token. */
export function collectText(value: unknown, out: string[], depth: number = 0): void {
  if (typeof value === "string") out.push(value);
  else if (Array.isArray(value)) {
    if (depth > MAX_DEPTH) return;
    if (value.length > 0 && typeof value[0] === "number") out.push(ONE_TOKEN.repeat(value.length));
    else for (const item of value) collectText(item, out, depth + 1);
  } else if (typeof value === "object" && value !== null && depth <= MAX_DEPTH) {
    for (const [name, member] of Object.entries(value)) {
      if (!NOT_TEXT.has(name)) collectText(member, out, depth + 1);
    }
  }
}

/**
 * The text of a request: its conversation under `fields`, and definitions (tools, schemas) under
 * `definitions` as the JSON that a model is shown.
 */
export function requestTextOf(body: Buffer, fields: readonly string[], definitions: readonly string[]): string {
  const parsed = parseJson(body);
  const request = asObject(parsed);
  if (request === null) return parsed === undefined ? looseText(body) : "";
  const out: string[] = [];
  for (const field of fields) collectText(request[field], out);
  for (const field of definitions) {
    const value = request[field];
    if (typeof value === "object" && value !== null) out.push(JSON.stringify(value));
  }
  return out.join("\n");
}

/** How the members that usually hold text begin; for bytes that are cut or broken. */
const LOOSE_MEMBER =
  /"(?:content|text|input|prompt|arguments|reasoning_content|reasoning|refusal|thinking|partial_json|delta|instructions)"\s{0,8}:\s{0,8}"/g;

/** Best effort on broken JSON: the strings that usually hold text; the last one may be cut. */
export function looseText(bytes: Buffer): string {
  const out: string[] = [];
  const latin1 = bytes.toString("latin1");
  LOOSE_MEMBER.lastIndex = 0;
  while (LOOSE_MEMBER.test(latin1)) {
    const start = LOOSE_MEMBER.lastIndex;
    const quote = closingQuote(bytes, start);
    const end = quote < 0 ? bytes.length : quote;
    const raw = bytes.toString("utf8", start, end);
    const value = parseJson(Buffer.from(`"${raw}"`));
    out.push(typeof value === "string" ? value : raw);
    LOOSE_MEMBER.lastIndex = end;
  }
  return out.join("\n");
}

/** Text of a whole JSON answer found under `field`, or of its broken bytes. */
export function answerTextOf(bytes: Buffer, field: string): string {
  const parsed = parseJson(bytes);
  if (parsed === undefined) return looseText(bytes);
  const out: string[] = [];
  collectText(asObject(parsed)?.[field], out);
  return out.join("\n");
}

/** Text of a run of SSE bytes: `read` adds what one event's data says. A cut event gives what can be found. */
export function streamTextOf(bytes: Buffer, read: (data: unknown, out: string[]) => void): string {
  const out: string[] = [];
  for (const event of parseSse(bytes)) {
    const data = parseEvent(event);
    if (data !== undefined) read(data, out);
    else if (event.data.startsWith("{")) out.push(looseText(Buffer.from(event.data)));
  }
  return out.join("");
}

function parseEvent(event: SseEvent): unknown {
  try {
    return JSON.parse(event.data);
  } catch {
    return undefined;
  }
}

/** Adds the text of one chunk's choices: `text` of completions, `delta` of chat. */
export function readChunkText(data: unknown, out: string[]): void {
  for (const item of asArray(asObject(data)?.choices)) {
    const choice = asObject(item);
    if (choice === null) continue;
    out.push(asText(choice.text));
    const delta = asObject(choice.delta);
    if (delta === null) continue;
    out.push(asText(delta.content), asText(delta.reasoning_content) || asText(delta.reasoning), asText(delta.refusal));
    for (const call of asArray(delta.tool_calls)) {
      const called = asObject(asObject(call)?.function);
      out.push(asText(called?.name), asText(called?.arguments));
    }
  }
}
