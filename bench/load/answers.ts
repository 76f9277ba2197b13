/**
 * What the scripted upstream says. The loader's expectations come from the same functions, so that an answer
 * that was altered on its way is seen at once.
 */
import type { ExpectedAnswer } from "./plan.js";

export type Surface = "chat" | "messages" | "embeddings";

export const SURFACE_PATHS: Readonly<Record<Surface, string>> = {
  chat: "/v1/chat/completions",
  messages: "/v1/messages",
  embeddings: "/v1/embeddings",
};

/** What a caller asks for. */
export interface Ask {
  readonly surface: Surface;
  /** The upstream's script, see `scriptOf`. */
  readonly model: string;
  /** Extra bytes of prompt in each request. */
  readonly padBytes: number;
  /** Messages of the conversation, the prompt spread over them. */
  readonly turns: number;
}

/** Models that begin so are under every rule that the gateway has; the upstream knows them without it. */
export const RULED = "ruled-";

/** The model's name is the script: "whole", "burst-50", "paced-64-20" (64 deltas, 20 ms apart), each also "ruled-…". */
export interface Script {
  readonly kind: "whole" | "burst" | "paced";
  readonly deltas: number;
  readonly gapMs: number;
}

export function scriptOf(model: string): Script {
  const [kind, deltas, gap] = model.replace(RULED, "").split("-");
  if (kind === "burst") return { kind, deltas: count(deltas, 50), gapMs: 0 };
  if (kind === "paced") return { kind, deltas: count(deltas, 64), gapMs: count(gap, 20) };
  return { kind: "whole", deltas: 0, gapMs: 0 };
}

function count(text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback);
  return Number.isInteger(value) && value > 0 && value <= 10_000 ? value : fallback;
}

// Words of different lengths: no two neighbouring events are the same.
const WORDS = [
  "The",
  " gateway",
  " relays",
  " what",
  " it",
  " is",
  " given,",
  " word",
  " by",
  " word",
  " and",
  " no",
  " faster.",
];
const CREATED = 1_760_000_000;
const CHAT_ID = "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG";
const MESSAGE_ID = "msg_01XFDUDYJgAACzvnptvVoYEL";
const FINGERPRINT = "fp_44709d6fcb";

function word(index: number): string {
  return WORDS[index % WORDS.length] as string;
}

/** The whole answer's body, about 600–700 bytes for chat and messages. */
export function wholeAnswer(surface: Surface, model: string): string {
  if (surface === "chat") return JSON.stringify(wholeChat(model));
  if (surface === "messages") return JSON.stringify(wholeMessage(model));
  const embedding = Array.from({ length: 64 }, (_, index) => Math.round(Math.sin(index + 1) * 1e6) / 1e7);
  return JSON.stringify({
    object: "list",
    data: [{ object: "embedding", index: 0, embedding }],
    model,
    usage: { prompt_tokens: 8, total_tokens: 8 },
  });
}

function wholeChat(model: string): object {
  return {
    id: CHAT_ID,
    object: "chat.completion",
    created: CREATED,
    model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: WORDS.join(""), refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: chatUsage(13),
    service_tier: "default",
    system_fingerprint: FINGERPRINT,
  };
}

function chatUsage(output: number): object {
  return {
    prompt_tokens: 19,
    completion_tokens: output,
    total_tokens: 19 + output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function wholeMessage(model: string): object {
  return {
    id: MESSAGE_ID,
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text: WORDS.join("").repeat(4) }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: messageUsage(52),
  };
}

function messageUsage(output: number): object {
  return { input_tokens: 19, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: output };
}

/** The stream's events in order, terminator included, each with its empty line. Embeddings do not stream. */
export function streamEvents(surface: Surface, model: string, deltas: number, withUsage: boolean): string[] {
  return surface === "messages" ? messageEvents(model, deltas) : chatEvents(model, deltas, withUsage);
}

function chatEvents(model: string, deltas: number, withUsage: boolean): string[] {
  const base = { id: CHAT_ID, object: "chat.completion.chunk", created: CREATED, model };
  const frame = (choices: object[], usage?: object): string => {
    const tail = withUsage ? { usage: usage ?? null } : {};
    return `data: ${JSON.stringify({ ...base, system_fingerprint: FINGERPRINT, choices, ...tail })}\n\n`;
  };
  const events: string[] = [];
  for (let index = 0; index < deltas; index++) {
    const delta = index === 0 ? { role: "assistant", content: word(0) } : { content: word(index) };
    events.push(frame([{ index: 0, delta, logprobs: null, finish_reason: null }]));
  }
  events.push(frame([{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }]));
  if (withUsage) events.push(frame([], chatUsage(deltas)));
  events.push("data: [DONE]\n\n");
  return events;
}

function messageEvents(model: string, deltas: number): string[] {
  const frame = (data: { type: string; [field: string]: unknown }): string =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
  const message = { ...wholeMessage(model), content: [], stop_reason: null, usage: messageUsage(1) };
  const events = [
    frame({ type: "message_start", message }),
    frame({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  ];
  for (let index = 0; index < deltas; index++) {
    events.push(frame({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: word(index) } }));
  }
  const delta = { stop_reason: "end_turn", stop_sequence: null };
  events.push(
    frame({ type: "content_block_stop", index: 0 }),
    frame({ type: "message_delta", delta, usage: { output_tokens: deltas } }),
    frame({ type: "message_stop" }),
  );
  return events;
}

/** What a caller of the same dialect must get, byte for byte. */
export function expectedAnswer(surface: Surface, model: string): ExpectedAnswer {
  const script = scriptOf(model);
  if (script.kind === "whole") return { kind: "exact", bytes: wholeAnswer(surface, model), eventEnds: [] };
  const events = streamEvents(surface, model, script.deltas, true);
  const eventEnds: number[] = [];
  let end = 0;
  for (const event of events) {
    end += Buffer.byteLength(event);
    eventEnds.push(end);
  }
  return { kind: "exact", bytes: events.join(""), eventEnds };
}

/** What a caller of the messages API must get of the chat script's answer: its meaning, in whatever bytes. */
export function translatedAnswer(model: string): ExpectedAnswer {
  const { kind, deltas } = scriptOf(model);
  const streamed = kind !== "whole";
  const texts = streamed ? Array.from({ length: deltas }, (_, index) => word(index)) : [WORDS.join("")];
  return { kind: "message", streamed, model, texts, inputTokens: 19, outputTokens: streamed ? deltas : WORDS.length };
}

/** Quotes, line ends and letters beyond ASCII, as code and prose have them: a translator must not get off lightly. */
const PADDING = ' Answer "briefly" – and exactly,\nplease.';

/** A request body as a client of that surface sends it. */
export function requestBody({ surface, model, padBytes, turns }: Ask): string {
  const streams = scriptOf(model).kind !== "whole";
  const padding = PADDING.repeat(Math.ceil(padBytes / turns / Buffer.byteLength(PADDING)));
  const prompt = `Say in one sentence what a gateway does.${padding}`;
  if (surface === "embeddings") return JSON.stringify({ model, input: prompt });
  const messages = Array.from({ length: turns }, (_, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content: prompt,
  }));
  if (surface === "messages") return JSON.stringify({ model, max_tokens: 256, stream: streams, messages });
  const options = streams ? { stream: true, stream_options: { include_usage: true } } : {};
  const system = { role: "system", content: "You are a concise assistant." };
  return JSON.stringify({ model, ...options, temperature: 0.7, max_tokens: 256, messages: [system, ...messages] });
}

/** The caller's headers, with the key where a client of that surface puts it. */
export function requestHeaders({ surface, model }: Ask, key: string): Record<string, string> {
  // A cached answer asks no upstream, which would be no measure of anything: look it up, never find it, keep the new one.
  const cached = model.startsWith(RULED) ? { "cache-control": "no-cache" } : {};
  if (surface === "messages")
    return { "x-api-key": key, "anthropic-version": "2023-06-01", accept: "application/json", ...cached };
  return { authorization: `Bearer ${key}`, accept: "application/json", ...cached };
}
