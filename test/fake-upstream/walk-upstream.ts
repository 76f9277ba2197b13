/**
 * All vendors at one address: the first part of a path names the vendor, what follows is a path of its API. Every
 * answer says what it dealt out, in the words of a usage event.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { JsonObject } from "../../src/dialects/semantic.js";
import { COUNTING } from "../../src/dialects/dialect.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { eventFrame } from "../unit/providers/framing/frames.js";
import { type Route, routeOf } from "./behaviour.js";
import { planAnswer } from "./plan.js";
import { COHERE } from "./vendor-cohere.js";
import { CONVERSE } from "./vendor-converse.js";
import { GEMINI, VERTEX } from "./vendor-gemini.js";
import { listReply } from "./vendor-lists.js";
import { type Said, text } from "./vendor-talk.js";
import type { VendorWire } from "./vendor-upstream.js";

/** What an answer used; what is not named is 0. */
export type Dealing = Partial<UsageEvent>;

export interface WalkRequest {
  readonly vendor: string;
  readonly method: string;
  /** Below the vendor's own part, with the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  dealt: Dealing;
  /** Tokens that a counter has told; -1 = it was none. */
  counted: number;
  /** Why it was refused; "" = it was not. */
  refusal: string;
}

export interface WalkUpstream {
  readonly url: string;
  /** What a vendor has been asked since the last look. */
  taken(vendor: string): WalkRequest[];
  close(): Promise<void>;
}

interface Reply {
  readonly type: string;
  readonly bytes: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly dealt: Dealing;
  readonly counted?: number;
}

export const ENTRA_TOKEN = "entra-token";
const JSON_TYPE = "application/json";
const COUNTED = 11;

function json(value: unknown, dealt: Dealing = {}, more: Partial<Reply> = {}): Reply {
  return { type: JSON_TYPE, bytes: Buffer.from(JSON.stringify(value)), dealt, ...more };
}

/** What the vendors say who have the dialects of callers. */
export async function simulated(route: Route, body: Buffer): Promise<Reply> {
  const plan = await planAnswer(route, body, {});
  if (plan.status !== 200) throw new Error(`the body is not understood: ${plan.chunks[0]?.bytes}`);
  const bytes = Buffer.concat(plan.chunks.map((chunk) => chunk.bytes));
  const type = plan.headers["content-type"] ?? JSON_TYPE;
  if (COUNTING.has(route.operation)) return { type, bytes, dealt: {}, counted: plan.inputTokens };
  const { images = 0, seconds = 0, characters = 0 } = plan.units;
  const dealt = {
    input_tokens: plan.inputTokens,
    output_tokens: plan.chunks.reduce((sum, { tokens }) => sum + tokens, 0),
    images,
    audio_seconds: seconds,
    characters,
    search_units: route.operation === "rerank" ? 1 : 0,
  };
  return { type, bytes, dealt };
}

/** What the vendors say who have wires of their own. */
function spoken(wire: VendorWire, body: JsonObject, streamed: boolean): Reply {
  wire.hear(body);
  const cached = { cacheRead: 16, cacheWrite: wire.cast.countsCacheWrites ? 3 : 0 };
  const usage = { input: 61, output: 12, ...cached, reasoning: wire.cast.countsReasoning ? 5 : 0 };
  const said: Said = { pieces: [text("Hello to you.")], usage };
  const dealt = {
    input_tokens: usage.input,
    output_tokens: usage.output,
    cache_read_tokens: usage.cacheRead,
    cache_write_tokens: usage.cacheWrite,
    reasoning_tokens: usage.reasoning,
  };
  if (!streamed) return json(wire.whole(said), dealt);
  return { type: wire.streamType, bytes: Buffer.concat(wire.frames(said)), dealt };
}

/** By the clouds: messages in a framing of the cloud's. */
async function invokedMessages(body: JsonObject, streamed: boolean): Promise<Reply> {
  const route = { operation: "messages", dialect: "anthropic-messages" } as const;
  const reply = await simulated(route, Buffer.from(JSON.stringify({ ...body, stream: streamed })));
  if (!streamed) return reply;
  const events = [...reply.bytes.toString("utf8").matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => data);
  const frames = events.map((data) => eventFrame("chunk", { bytes: Buffer.from(data).toString("base64") }));
  return { ...reply, type: "application/vnd.amazon.eventstream", bytes: Buffer.concat(frames) };
}

/** What stands between a prompt and a suffix, told in the words of chat. */
function filledIn({ prompt, suffix: _, ...body }: JsonObject): Promise<Reply> {
  if (typeof prompt !== "string" || "messages" in body) throw new Error("a prompt is needed, and nothing else");
  const chat = { ...body, messages: [{ role: "user", content: prompt }], stream_options: { include_usage: true } };
  return simulated({ operation: "chat", dialect: "openai-chat" }, Buffer.from(JSON.stringify(chat)));
}

/** Two tokens for a short text; rankings by the search, or by the tokens of two documents. */
const LIST_DEALT: readonly (readonly [RegExp, Dealing])[] = [
  [/:batchEmbedContents$/, { estimated: true }],
  [/^\/v2\/rerank$/, { search_units: 1 }],
  [/rerank.*\/invoke$/, { search_units: 1, estimated: true }],
  [/^\/rerank$/, {}],
  [/\/rerank$/, { input_tokens: 4 }],
  [/:generateContent$/, { images: 1, input_tokens: 2, output_tokens: 1290 }],
  [/canvas.*\/invoke$/, { images: 1 }],
  [/./, { input_tokens: 2 }],
];

/** Vendors whose lists the fake of lists finds by their names. */
const NAMED: ReadonlySet<string> = new Set(["jina", "voyage", "mistral"]);

function listed(vendor: string, path: string, body: JsonObject): Reply {
  const { body: said, headers = {} } = listReply(NAMED.has(vendor) ? `/${vendor}${path}` : path, body);
  return json(said, LIST_DEALT.find(([pattern]) => pattern.test(path))?.[1], { headers });
}

/** Files, jobs, and responses that were made before. */
function kept(method: string, path: string): Reply {
  if (path.endsWith("/content")) return { type: "text/plain", bytes: Buffer.from("line 1\n"), dealt: {} };
  const id = path.endsWith("/input_items") ? "msg_walk" : (/\/(\w+[-_]walk)/.exec(path)?.[1] ?? "file-made");
  if (method === "DELETE") return json({ id, object: "file.deleted", deleted: true });
  const isList = /\/(?:files|batches|jobs|events|checkpoints|input_items)$/.test(path) && method === "GET";
  return json(isList ? { object: "list", data: [{ id, object: "file" }], has_more: false } : { id, object: "file" });
}

const KEPT_PATH = /\/(?:files|batches|fine_tuning\/jobs)(?:\/|$)|\/responses\/resp_walk/;

async function replyTo({ vendor, method, path: asked, body }: WalkRequest): Promise<Reply> {
  const path = asked.split("?")[0] ?? "";
  if (path.includes("/anything")) return json({ method, echoed: body.toString("utf8") });
  if (KEPT_PATH.test(path)) return kept(method, path);
  if (method !== "POST") throw new Error(`there is no ${method} ${path}`);
  const parsed = (): JsonObject => JSON.parse(body.toString("utf8")) as JsonObject;
  const talk = vendor === "vertex" ? VERTEX : GEMINI;
  const isImage = body.includes("responseModalities");
  if (path.endsWith(":generateContent") && !isImage) return spoken(talk, parsed(), false);
  if (path.endsWith(":streamGenerateContent")) return spoken(talk, parsed(), true);
  if (path.endsWith(":countTokens")) return json({ totalTokens: COUNTED }, {}, { counted: COUNTED });
  if (path.endsWith("/count-tokens")) return json({ inputTokens: COUNTED }, {}, { counted: COUNTED });
  if (path.endsWith("/count-tokens:rawPredict")) return json({ input_tokens: COUNTED }, {}, { counted: COUNTED });
  if (/:(?:streamR|r)awPredict$/.test(path)) {
    return simulated({ operation: "messages", dialect: "anthropic-messages" }, body);
  }
  if (/\/converse(?:-stream)?$/.test(path)) return spoken(CONVERSE, parsed(), path.endsWith("stream"));
  if (path.endsWith("/invoke-with-response-stream")) return invokedMessages(parsed(), true);
  if (path.endsWith("/invoke") && vendor === "bedrock-anthropic") return invokedMessages(parsed(), false);
  if (path === "/v2/chat") return spoken(COHERE, parsed(), parsed().stream === true);
  if (path === "/v1/fim/completions") return filledIn(parsed());
  const route = NAMED.has(vendor) && !path.endsWith("/chat/completions") ? null : routeOf(path);
  const isList = path === "/rerank" || path.startsWith("/v2/");
  return route === null || isList ? listed(vendor, path, parsed()) : simulated(route, body);
}

function send(response: ServerResponse, status: number, { type, bytes, headers }: Reply): void {
  response.writeHead(status, { ...headers, "content-type": type, "content-length": bytes.length }).end(bytes);
}

async function answer(request: WalkRequest, response: ServerResponse): Promise<void> {
  try {
    const reply = await replyTo(request);
    request.dealt = reply.dealt;
    request.counted = reply.counted ?? -1;
    send(response, 200, reply);
  } catch (error) {
    request.refusal = String(error);
    send(response, 400, json({ error: { message: request.refusal, type: "invalid_request_error" } }));
  }
}

export async function startWalkUpstream(): Promise<WalkUpstream> {
  const asked = new Map<string, WalkRequest[]>();
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => {
      const [, vendor = "", path = ""] = /^\/([^/]*)(.*)$/.exec(incoming.url ?? "") ?? [];
      const { method = "", headers } = incoming;
      if (vendor === "login") {
        return send(response, 200, json({ access_token: ENTRA_TOKEN, token_type: "Bearer", expires_in: 3600 }));
      }
      const body = Buffer.concat(parts);
      const request = { vendor, method, path, headers, body, dealt: {}, counted: -1, refusal: "" };
      asked.set(vendor, [...(asked.get(vendor) ?? []), request]);
      void answer(request, response);
    });
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: (vendor) => {
      const list = asked.get(vendor) ?? [];
      asked.delete(vendor);
      return list;
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
