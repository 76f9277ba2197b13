/** Streams as their callers read them: the vendors' own clients fold them, and give what they made of them. */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { accumulateResponse } from "openai/lib/responses/ResponseAccumulator";
import type { Response as ResponsesAnswer, ResponseStreamEvent } from "openai/resources/responses/responses";
import type { JsonObject } from "../../src/dialects/semantic.js";
import { parseSse } from "../../src/dialects/sse.js";
import type { Client } from "./cells.js";

/** Any value as plain JSON. */
export function plain(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

function fetching(sse: string) {
  return async () => new Response(sse, { headers: { "content-type": "text/event-stream" } });
}

function openai(sse: string): OpenAI {
  return new OpenAI({ apiKey: "none", maxRetries: 0, fetch: fetching(sse) });
}

const USER = [{ role: "user" as const, content: "x" }];

async function foldChat(sse: string): Promise<JsonObject> {
  const runner = openai(sse).chat.completions.stream({ model: "m", messages: USER });
  return plain(await runner.finalChatCompletion());
}

async function foldMessages(sse: string): Promise<JsonObject> {
  const client = new Anthropic({ apiKey: "none", maxRetries: 0, fetch: fetching(sse) });
  return plain(await client.messages.stream({ model: "m", max_tokens: 9, messages: USER }).finalMessage());
}

/** The accumulator's state before the last event, which holds the whole answer anyway. */
async function foldResponses(sse: string): Promise<JsonObject> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of await openai(sse).responses.create({ model: "m", input: "x", stream: true })) {
    events.push(event);
  }
  let snapshot: ResponsesAnswer | undefined;
  for (const event of events.slice(0, -1)) snapshot = accumulateResponse(event, snapshot);
  const last = events.at(-1);
  if (snapshot === undefined || last === undefined || !("response" in last)) throw new Error("no answer in the stream");
  return plain({ ...last.response, output: snapshot.output });
}

async function foldCompletions(sse: string): Promise<JsonObject> {
  let folded: JsonObject = {};
  let text = "";
  let finish: string | null = null;
  for await (const chunk of await openai(sse).completions.create({ model: "m", prompt: "x", stream: true })) {
    const { choices, usage, ...head } = chunk;
    for (const choice of choices) {
      text += choice.text;
      finish = choice.finish_reason ?? finish;
    }
    folded = plain({ ...folded, ...head, ...(usage ? { usage } : {}) });
  }
  return { ...folded, choices: [{ text, index: 0, logprobs: null, finish_reason: finish }] };
}

const FOLDS: Readonly<Record<Client, (sse: string) => Promise<JsonObject>>> = {
  "openai-chat": foldChat,
  "anthropic-messages": foldMessages,
  "openai-responses": foldResponses,
  "openai-completions": foldCompletions,
};

/** What the vendor's client makes of a stream of this dialect; rejects when it is no proper one. */
export function folded(client: Client, sse: string): Promise<JsonObject> {
  return FOLDS[client](sse);
}

// ---- the order of events -----------------------------------------------------------------------------

/** The data of every event; "[DONE]" as it is. */
export function dataOf(sse: string): (JsonObject | "[DONE]")[] {
  return parseSse(Buffer.from(sse)).map(({ data }) => (data === "[DONE]" ? data : (JSON.parse(data) as JsonObject)));
}

interface Chunk {
  readonly error?: unknown;
  readonly usage?: unknown;
  readonly choices: readonly { delta?: JsonObject; text?: string; finish_reason: string | null }[];
}

function chunkName({ error, usage, choices }: Chunk): string {
  if (error !== undefined) return "error";
  const [choice] = choices;
  if (choice === undefined) return usage === undefined ? "empty" : "usage";
  if (choice.finish_reason !== null) return `finish:${choice.finish_reason}`;
  return choice.delta === undefined ? "text" : Object.keys(choice.delta).sort().join("+");
}

function eventName(data: JsonObject): string {
  const part = (data.delta ?? data.content_block ?? data.item ?? {}) as JsonObject;
  return typeof part.type === "string" ? `${data.type}:${part.type}` : String(data.type);
}

/** The events of a stream by type, runs of one type counted: "role content×3 finish:stop usage [DONE]". */
export function sequenceOf(sse: string): string {
  const names = dataOf(sse).map((data) => {
    if (data === "[DONE]") return data;
    return typeof data.type === "string" ? eventName(data) : chunkName(data as unknown as Chunk);
  });
  const runs: { name: string; count: number }[] = [];
  for (const name of names) {
    const last = runs.at(-1);
    if (last?.name === name) last.count++;
    else runs.push({ name, count: 1 });
  }
  return runs.map(({ name, count }) => (count === 1 ? name : `${name}×${count}`)).join(" ");
}
