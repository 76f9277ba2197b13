/** An upstream that says what the test tells it to, in the dialect in which it is asked. */
import type { DialectId } from "../../src/dialects/dialect.js";
import { clientCodecOf } from "../../src/dialects/codecs.js";
import { type AnswerEvent, LossList } from "../../src/dialects/semantic.js";
import { type HandUpstream, startHandUpstream } from "./wire.js";

export interface Speech {
  readonly events: readonly AnswerEvent[];
  /** Destroy the connection after so many frames. */
  readonly cutAfter?: number;
}

/** A failure of the whole request. */
export interface Refusal {
  readonly status: number;
  readonly body: string;
}

export interface SpokenUpstream extends HandUpstream {
  /** The JSON bodies that came, in order. */
  // biome-ignore lint/suspicious/noExplicitAny: a body is looked into field by field.
  readonly asked: any[];
}

// biome-ignore lint/suspicious/noExplicitAny: a body is looked into field by field.
type Speaker = (body: any) => Speech | Refusal;

const DIALECTS: readonly (readonly [string, DialectId])[] = [
  ["/chat/completions", "openai-chat"],
  ["/messages", "anthropic-messages"],
  ["/responses", "openai-responses"],
];

/** `speak`: what is said to a request. */
export async function startSpokenUpstream(speak: Speaker): Promise<SpokenUpstream> {
  // biome-ignore lint/suspicious/noExplicitAny: a body is looked into field by field.
  const asked: any[] = [];
  const upstream = await startHandUpstream((response, bytes, request) => {
    const body = JSON.parse(bytes.toString("utf8"));
    asked.push(body);
    const speech = speak(body);
    if ("status" in speech) {
      response.writeHead(speech.status, { "content-type": "application/json" });
      response.end(speech.body);
      return;
    }
    const dialect = DIALECTS.find(([path]) => request.url?.endsWith(path))?.[1] ?? "openai-chat";
    const frames = framesOf(dialect, body, speech.events);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(frames.slice(0, speech.cutAfter).join(""), () => {
      if (speech.cutAfter === undefined) response.end();
      else response.destroy();
    });
  });
  return Object.assign(upstream, { asked });
}

/** The stream that a dialect makes of the events. */
function framesOf(dialect: DialectId, body: Record<string, never>, events: readonly AnswerEvent[]): string[] {
  const codec = clientCodecOf(dialect);
  const losses = new LossList();
  const request = codec.decodeRequest(body, losses);
  if ("code" in request) throw new Error(request.message);
  const context = { model: request.model, requestId: "spoken", created: 1_700_000_000, usageAsked: true, request };
  const encoder = codec.streamEncoder(context, losses);
  return events
    .map((event) => encoder.push(event))
    .join("")
    .split(/(?<=\n\n)/);
}

/** A whole answer of this text, a word an event, with other blocks before it. */
export function spoken(text: string, before: readonly AnswerEvent[] = []): AnswerEvent[] {
  const words = text.match(/\s*\S+|\s+$/g) ?? [];
  return [
    { kind: "start", id: "answer-1", model: "spoken", created: 1_700_000_000 },
    ...before,
    { kind: "text_start" },
    ...words.map((word): AnswerEvent => ({ kind: "text", text: word })),
    { kind: "block_stop" },
    { kind: "usage", usage: { input: 20, output: words.length, cacheRead: 0, cacheWrite: 0, reasoning: 0 } },
    { kind: "stop", reason: "stop", sequence: null, native: "" },
    { kind: "end" },
  ];
}

export function thought(text: string): AnswerEvent[] {
  return [{ kind: "thinking_start", id: "", origin: "" }, { kind: "thinking", text }, { kind: "block_stop" }];
}

/** The beginning of the answer that a request to go on carries; "" = it asks for the whole. */
// biome-ignore lint/suspicious/noExplicitAny: a body is looked into field by field.
export function beginningIn(body: any): string {
  const turns: readonly { role?: string; content?: unknown }[] = body.messages ?? body.input ?? [];
  const content = Array.isArray(turns) ? turns.findLast((turn) => turn.role === "assistant")?.content : "";
  if (!Array.isArray(content)) return typeof content === "string" ? content : "";
  return content.map((part) => String(part.text ?? "")).join("");
}
