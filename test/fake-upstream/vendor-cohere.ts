/** /v2/chat, with a model that plans, thinks and calls tools. */
import { CohereClientV2 } from "cohere-ai";
import type { JsonObject, JsonValue } from "../../src/dialects/semantic.js";
import {
  type Cast,
  demandResults,
  type Heard,
  type HeardStep,
  objectOf,
  objectsOf,
  type Piece,
  Refused,
  type Said,
  text,
  textOf,
  wordsOf,
} from "./vendor-talk.js";
import type { VendorWire } from "./vendor-upstream.js";

export const MODEL = "command-a-reasoning-08-2025";
const SECRET = "cohere-key";

const CAST: Cast = {
  loop: [
    [
      { kind: "plan", text: "First the time." },
      { kind: "call", id: "now_a", name: "now", args: {}, signature: "" },
    ],
    [
      { kind: "thought", text: "Now both cities.", signature: "", encrypted: "" },
      { kind: "call", id: "weather_b", name: "weather", args: { city: "Vienna" }, signature: "" },
      { kind: "call", id: "weather_c", name: "weather", args: { city: "Rome" }, signature: "" },
    ],
    [{ kind: "thought", text: "That is all.", signature: "", encrypted: "" }, text("It is noon; Vienna 21, Rome 21.")],
  ],
  placeholder: "",
  countsReasoning: false,
  countsCacheWrites: false,
};

/** The vendor's own client at this address. */
export function vendorClient(url: string): CohereClientV2 {
  return new CohereClientV2({ token: SECRET, environment: url, maxRetries: 0 });
}

/** The wire's names as the vendor's client calls them; what stands inside the caller's own schemas stays. */
export function clientNames(value: JsonValue | undefined, name = ""): JsonValue | undefined {
  if (name === "parameters" || name === "json_schema") return value;
  if (Array.isArray(value)) return value.map((item) => clientNames(item) ?? null);
  if (typeof value !== "object" || value === null) return value;
  const camel = (key: string) => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [camel(key), clientNames(member, key)]));
}

async function sentByVendor(body: JsonObject, recorder: string): Promise<null> {
  const client = vendorClient(recorder);
  const request = clientNames(body) as never;
  // What it is answered is nothing that it could read; what it sent is all that counts.
  await (body.stream === true ? client.chatStream(request) : client.chat(request)).catch(() => {});
  return null;
}

// ---- requests --------------------------------------------------------------------------------------

function hear(body: JsonObject): Heard {
  const steps: HeardStep[] = [];
  const images: string[] = [];
  let system = "";
  let prompt = "";
  for (const message of objectsOf(body.messages)) {
    const parts = partsOf(message.content);
    const said = parts.map((part) => textOf(part.text)).join("");
    if (message.role === "system") system += said;
    else if (message.role === "assistant") steps.push({ pieces: piecesOf(message, parts), results: [] });
    else if (message.role === "tool") readResult(textOf(message.tool_call_id), said, steps.at(-1));
    else {
      prompt = said;
      for (const part of parts) if (part.type === "image_url") images.push(imageOf(part));
    }
  }
  demandResults(steps);
  const declared = objectsOf(body.tools).map((tool) => objectOf(tool.function));
  const format = objectOf(body.response_format);
  if (format.type !== undefined && declared.length > 0) throw new Refused("response_format goes without tools");
  const [only] = declared;
  return {
    system,
    prompt,
    images,
    tools: declared.map(({ name }) => textOf(name)),
    forced: body.tool_choice === "REQUIRED" ? { name: textOf(only?.name), schema: only?.parameters } : null,
    schema: format.json_schema,
    thinks: objectOf(body.thinking).type === "enabled",
    steps,
  };
}

function partsOf(content: unknown): JsonObject[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : objectsOf(content);
}

function imageOf(part: JsonObject): string {
  const [, type, data] = /^data:([^;]+);base64,(.*)$/.exec(textOf(objectOf(part.image_url).url)) ?? [];
  return `${type} ${data}`;
}

function piecesOf(message: JsonObject, parts: readonly JsonObject[]): Piece[] {
  const plan = textOf(message.tool_plan);
  const pieces: Piece[] = plan === "" ? [] : [{ kind: "plan", text: plan }];
  for (const part of parts) {
    if (part.type === "text") pieces.push(text(textOf(part.text)));
    else pieces.push({ kind: "thought", text: textOf(part.thinking), signature: "", encrypted: "" });
  }
  for (const call of objectsOf(message.tool_calls)) {
    const called = objectOf(call.function);
    const args = JSON.parse(textOf(called.arguments)) as JsonObject;
    pieces.push({ kind: "call", id: textOf(call.id), name: textOf(called.name), args, signature: "" });
  }
  return pieces;
}

function readResult(id: string, said: string, step: HeardStep | undefined): void {
  const call = step?.pieces.find((piece) => piece.kind === "call" && piece.id === id);
  if (step === undefined || call?.kind !== "call") throw new Refused(`there was no call ${id}`);
  step.results.push({ id, name: call.name, text: said });
}

// ---- answers ---------------------------------------------------------------------------------------

function usageOf({ usage }: Said): JsonObject {
  const { input, output, cacheRead } = usage;
  return {
    billed_units: { input_tokens: input - 20, output_tokens: output },
    tokens: { input_tokens: input, output_tokens: output },
    cached_tokens: cacheRead,
  };
}

function finishOf({ pieces }: Said): string {
  return pieces.some(({ kind }) => kind === "call") ? "TOOL_CALL" : "COMPLETE";
}

function callOf(piece: Extract<Piece, { kind: "call" }>, written: string): JsonObject {
  return { id: piece.id, type: "function", function: { name: piece.name, arguments: written } };
}

function whole(said: Said): JsonObject {
  const message: JsonObject = { role: "assistant" };
  const content: JsonObject[] = [];
  const calls: JsonObject[] = [];
  for (const piece of said.pieces) {
    if (piece.kind === "plan") message.tool_plan = piece.text;
    else if (piece.kind === "text") content.push({ type: "text", text: piece.text });
    else if (piece.kind === "thought") content.push({ type: "thinking", thinking: piece.text });
    else calls.push(callOf(piece, JSON.stringify(piece.args)));
  }
  if (content.length > 0) message.content = content;
  if (calls.length > 0) message.tool_calls = calls;
  return { id: "answer-1", finish_reason: finishOf(said), message, usage: usageOf(said) };
}

function frameOf(event: JsonObject): Buffer {
  return Buffer.from(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

function eventsOf(piece: Piece, index: number): JsonObject[] {
  const event = (type: string, message: JsonObject): JsonObject => ({ type, index, delta: { message } });
  if (piece.kind === "plan") {
    return wordsOf(piece.text).map((word) => event("tool-plan-delta", { tool_plan: word }));
  }
  if (piece.kind === "call") {
    const written = JSON.stringify(piece.args);
    const more = [written.slice(0, 5), written.slice(5)].filter((part) => part !== "");
    const deltas = more.map((part) => event("tool-call-delta", { tool_calls: { function: { arguments: part } } }));
    return [event("tool-call-start", { tool_calls: callOf(piece, "") }), ...deltas, { type: "tool-call-end", index }];
  }
  const [type, name] = piece.kind === "text" ? ["text", "text"] : ["thinking", "thinking"];
  const deltas = wordsOf(piece.text).map((word) => event("content-delta", { content: { [name]: word } }));
  return [event("content-start", { content: { type, [name]: "" } }), ...deltas, { type: "content-end", index }];
}

function frames(said: Said): Buffer[] {
  const start = { role: "assistant", content: [], tool_plan: "", tool_calls: [], citations: [] };
  const events: JsonObject[] = [{ type: "message-start", id: "answer-1", delta: { message: start } }];
  // Calls and contents are numbered apart.
  const counts = { call: 0, content: 0 };
  for (const piece of said.pieces) {
    const index = piece.kind === "call" ? counts.call++ : piece.kind === "plan" ? 0 : counts.content++;
    events.push(...eventsOf(piece, index));
  }
  events.push({ type: "message-end", delta: { finish_reason: finishOf(said), usage: usageOf(said) } });
  return events.map(frameOf);
}

export const COHERE: VendorWire = {
  cast: CAST,
  route: ({ path, headers, body }) => {
    if (headers.authorization !== `Bearer ${SECRET}`) return `authorization is ${headers.authorization}`;
    return path === "/v2/chat" ? body.stream === true : `there is no ${path}`;
  },
  sentByVendor,
  hear,
  whole,
  streamType: "text/event-stream",
  frames,
  failureFrame: (error) => frameOf({ type: "message-end", delta: { finish_reason: "ERROR", error } }),
  error: (status, message) => ({
    headers: status === 429 ? { "retry-after": "7" } : {},
    body: { id: "error-1", message },
  }),
};
