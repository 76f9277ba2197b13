/** Names with several models behind them: resources for an upstream that plays all of them, and looks at its requests. */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import type { UsageEvent } from "../../src/usage/event.js";
import type { FakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway } from "./gateway.js";

export type Entry = Record<string, unknown>;

/** A model named NAME that the upstream knows as "up-NAME". */
export function chatModel(name: string, more: Entry = {}): Entry {
  return { display_name: name, provider: "openai", model_name: `up-${name}`, provider_key: "openai-main", ...more };
}

/** Of provider keys whose upstream speaks that one dialect, so that callers of all others are translated. */
export const MESSAGES_ONLY: Entry = Object.freeze({ provider: "in-house", adapter: "anthropic" });

export function messagesModel(name: string, more: Entry = {}): Entry {
  return chatModel(name, { provider: "in-house", provider_key: "messages-only", ...more });
}

/** `oneProvider` with other models. */
export function withModels(url: string, models: readonly Entry[], key: Entry = {}, more: Entry = {}): Entry {
  const file = oneProvider(url, key);
  (file.provider_keys as unknown[]).push({
    display_name: "messages-only",
    ...MESSAGES_ONLY,
    api_base: url,
    api_key: "sk-upstream-messages",
  });
  return { ...file, models, ...more };
}

export interface Clients {
  readonly openai: OpenAI;
  readonly anthropic: Anthropic;
}

export function clientsOf(gateway: RunningGateway): Clients {
  return {
    openai: new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 }),
    anthropic: new Anthropic({ apiKey: KEY, authToken: null, baseURL: gateway.url, maxRetries: 0 }),
  };
}

/** What an upstream was asked under a model's name, in order. */
// biome-ignore lint/suspicious/noExplicitAny: a body is looked into field by field.
export function bodiesFor(upstream: FakeUpstream, model: string): any[] {
  const asked = upstream.requests().filter((request) => request.model === model);
  return asked.map(({ body }) => JSON.parse(body.toString("utf8")));
}

/** The events of one request, by attempt, once there are so many. */
export async function eventsOf(gateway: RunningGateway, requestId: string, count: number): Promise<UsageEvent[]> {
  const found = await gateway.until(async () => {
    const events = (await gateway.events()).filter((event) => event.request_id === requestId);
    return events.length >= count ? events : null;
  });
  return found.sort((one, other) => one.attempt - other.attempt);
}

export function requestIdOf(response: Response): string {
  return response.headers.get("x-weir-request-id") ?? "";
}

const QUESTION = "How high is the water?";
const TURNS = [{ role: "user" as const, content: QUESTION }];

export interface Told {
  readonly text: string;
  readonly requestId: string;
}

/** One way in which a client asks a model the same question, and what it folds of the answer. */
export interface Way {
  readonly name: string;
  readonly path: string;
  /** The same request as JSON. */
  body(model: string): Entry;
  ask(clients: Clients, model: string): Promise<Told>;
}

async function chatWhole({ openai }: Clients, model: string): Promise<Told> {
  const { data, response } = await openai.chat.completions.create({ model, messages: TURNS }).withResponse();
  return { text: data.choices[0]?.message.content ?? "", requestId: requestIdOf(response) };
}

async function chatStream({ openai }: Clients, model: string): Promise<Told> {
  const call = openai.chat.completions.create({ model, messages: TURNS, stream: true });
  const { data, response } = await call.withResponse();
  let text = "";
  for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? "";
  return { text, requestId: requestIdOf(response) };
}

async function completionsWhole({ openai }: Clients, model: string): Promise<Told> {
  const { data, response } = await openai.completions.create({ model, prompt: QUESTION }).withResponse();
  return { text: data.choices[0]?.text ?? "", requestId: requestIdOf(response) };
}

async function completionsStream({ openai }: Clients, model: string): Promise<Told> {
  const { data, response } = await openai.completions.create({ model, prompt: QUESTION, stream: true }).withResponse();
  let text = "";
  for await (const chunk of data) text += chunk.choices[0]?.text ?? "";
  return { text, requestId: requestIdOf(response) };
}

async function responsesWhole({ openai }: Clients, model: string): Promise<Told> {
  const { data, response } = await openai.responses.create({ model, input: QUESTION }).withResponse();
  return { text: data.output_text, requestId: requestIdOf(response) };
}

/** The deltas and the final response must tell the same. */
async function responsesStream({ openai }: Clients, model: string): Promise<Told> {
  const { data, response } = await openai.responses.create({ model, input: QUESTION, stream: true }).withResponse();
  let text = "";
  let final = "";
  for await (const event of data) {
    if (event.type === "response.output_text.delta") text += event.delta;
    if (event.type === "error") throw new Error(`error event: ${event.message}`);
    if (event.type !== "response.completed") continue;
    const said = event.response.output.flatMap((item) => (item.type === "message" ? item.content : []));
    final = said.map((part) => (part.type === "output_text" ? part.text : "")).join("");
  }
  if (final !== text) throw new Error(`deltas say ${JSON.stringify(text)}, the end ${JSON.stringify(final)}`);
  return { text, requestId: requestIdOf(response) };
}

async function messagesWhole({ anthropic }: Clients, model: string): Promise<Told> {
  const call = anthropic.messages.create({ model, max_tokens: 100, messages: TURNS });
  const { data, response } = await call.withResponse();
  return { text: textOf(data.content), requestId: requestIdOf(response) };
}

async function messagesStream({ anthropic }: Clients, model: string): Promise<Told> {
  const stream = anthropic.messages.stream({ model, max_tokens: 100, messages: TURNS });
  const [{ response }, message] = await Promise.all([stream.withResponse(), stream.finalMessage()]);
  return { text: textOf(message.content), requestId: requestIdOf(response) };
}

function textOf(content: readonly { readonly type: string }[]): string {
  return content.map((block) => ("text" in block ? String(block.text) : "")).join("");
}

const CHAT = {
  path: "/v1/chat/completions",
  body: (model: string): Entry => ({ model, messages: TURNS }),
};
const COMPLETIONS = { path: "/v1/completions", body: (model: string): Entry => ({ model, prompt: QUESTION }) };
const RESPONSES = { path: "/v1/responses", body: (model: string): Entry => ({ model, input: QUESTION }) };
const MESSAGES = {
  path: "/v1/messages",
  body: (model: string): Entry => ({ model, max_tokens: 100, messages: TURNS }),
};

export const WHOLE_WAYS: readonly Way[] = [
  { name: "chat", ...CHAT, ask: chatWhole },
  { name: "completions", ...COMPLETIONS, ask: completionsWhole },
  { name: "responses", ...RESPONSES, ask: responsesWhole },
  { name: "messages", ...MESSAGES, ask: messagesWhole },
];
export const STREAM_WAYS: readonly Way[] = [
  { name: "chat, streamed", ...CHAT, ask: chatStream },
  { name: "completions, streamed", ...COMPLETIONS, ask: completionsStream },
  { name: "responses, streamed", ...RESPONSES, ask: responsesStream },
  { name: "messages, streamed", ...MESSAGES, ask: messagesStream },
];
export const WAYS: readonly Way[] = [...WHOLE_WAYS, ...STREAM_WAYS];
