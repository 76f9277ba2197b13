/** What answers can hold: the events of one small answer a feature. The basis of docs/dialects.md. */
import type { CodecContext } from "../../src/dialects/codec.js";
import { clientCodecOf } from "../../src/dialects/codecs.js";
import type { DialectId } from "../../src/dialects/dialect.js";
import { type Annotation, type AnswerEvent, type JsonObject, LossList } from "../../src/dialects/semantic.js";
import { isFailure } from "../../src/errors.js";

const SAID = "Two trains run at noon.";
const STOP: AnswerEvent = { kind: "stop", reason: "stop", sequence: null, native: "stop" };

function text(...then: AnswerEvent[]): AnswerEvent[] {
  return [{ kind: "text_start" }, { kind: "text", text: SAID }, ...then, { kind: "block_stop" }];
}

function cited(annotation: Partial<Annotation>): AnswerEvent[] {
  const none: Annotation = { kind: "url", url: "", title: "", citedText: "", start: -1, end: -1, raw: null };
  return text({ kind: "annotation", annotation: { ...none, ...annotation } });
}

function thought(...said: AnswerEvent[]): AnswerEvent[] {
  return [
    { kind: "thinking_start", id: "", origin: "gemini" },
    { kind: "thinking", text: "Hm." },
    ...said,
    { kind: "block_stop" },
    ...text(),
  ];
}

function called(flavour: "function" | "custom", signature: string): AnswerEvent[] {
  return [
    { kind: "tool_start", id: "call_1", name: "look", signature, flavour },
    { kind: "arguments", text: flavour === "custom" ? "noon" : '{"at":"noon"}' },
    { kind: "block_stop" },
  ];
}

function media(mediaType: string, data: string | null = "AAAA"): AnswerEvent[] {
  const url = data === null ? "https://example.com/made" : null;
  return [...text(), { kind: "media", source: { data, url, fileId: null, mediaType } }];
}

function foreign(wire: string, type: string, raw: JsonObject): AnswerEvent[] {
  return [...text(), { kind: "foreign", block: { kind: "foreign", wire, type, raw } }];
}

const PROBABILITIES: AnswerEvent = {
  kind: "logprobs",
  logprobs: { content: [{ token: SAID, logprob: -0.1, bytes: null, top_logprobs: [] }] },
};
const PAGE = { type: "page_location", document_index: 0, start_page_number: 1, end_page_number: 2 };

/** What an answer holds → its events between `start` and `end`; a plain stop is added where none is given. */
export const ANSWER_FEATURES: Readonly<Record<string, readonly AnswerEvent[]>> = {
  text: text(),
  refusal: [{ kind: "refusal_start" }, { kind: "refusal", text: "No." }, { kind: "block_stop" }],
  thinking: thought(),
  "thinking with a signature": thought({ kind: "signature", signature: "c2ln" }),
  "tool call": called("function", ""),
  "tool call with a signature": called("function", "c2ln"),
  "free-text tool call": called("custom", ""),
  "citation of an address": cited({ url: "https://example.com/", title: "Trains", citedText: "at noon" }),
  "citation behind some words": cited({ url: "https://example.com/", title: "Trains", start: 4, end: 10 }),
  "citation of a page": cited({ kind: "document", title: "Trains", citedText: "at noon", raw: PAGE }),
  "citation without a source": cited({ kind: "foreign", raw: { type: "of_next_year" } }),
  "image by value": media("image/png"),
  "image by address": media("image/png", null),
  sound: media("audio/wav"),
  video: media("video/mp4"),
  "log probabilities": text(PROBABILITIES),
  "second candidate": [...text(), STOP, { kind: "choice", index: 1 }, ...text()],
  "stop sequence": [...text(), { kind: "stop", reason: "stop_sequence", sequence: "END", native: "stop_sequence" }],
  "paused turn": [...text(), { kind: "stop", reason: "pause", sequence: null, native: "pause_turn" }],
  "turn that failed": [...text(), { kind: "stop", reason: "error", sequence: null, native: "OTHER" }],
  "result of `anthropic-messages`' own tool": foreign("anthropic-messages", "web_search_tool_result", {
    type: "web_search_tool_result",
    tool_use_id: "srvtoolu_1",
    content: [],
  }),
  "call of `openai-responses`' own tool": foreign("openai-responses", "web_search_call", {
    type: "web_search_call",
    id: "ws_1",
    status: "completed",
  }),
  "grounding of `gemini`": foreign("gemini", "groundingMetadata", {
    groundingMetadata: { webSearchQueries: ["noon"] },
  }),
  "what no event can say": [...text(), { kind: "loss", name: "trace" }],
};

function eventsOf(said: readonly AnswerEvent[]): AnswerEvent[] {
  const stop = said.at(-1)?.kind === "stop" ? [] : [STOP];
  return [{ kind: "start", id: "a", model: "m", created: 1 }, ...said, ...stop, { kind: "end" }];
}

const REQUESTS: Readonly<Partial<Record<DialectId, JsonObject>>> = {
  "openai-chat": { messages: [{ role: "user", content: "Hello" }] },
  "anthropic-messages": { max_tokens: 100, messages: [{ role: "user", content: "Hello" }] },
  "openai-responses": { input: "Hello" },
  "openai-completions": { prompt: "Hello" },
};

function contextOf(client: DialectId, more: JsonObject): CodecContext {
  const request = clientCodecOf(client).decodeRequest({ model: "m", ...REQUESTS[client], ...more }, new LossList());
  if (isFailure(request)) throw new Error(request.message);
  return { model: "m", requestId: "req-1", created: 1, usageAsked: false, request };
}

/** What a caller loses of an answer, sorted: whole, and streamed. `more`: fields of its request. */
export function answerLosses(client: DialectId, said: readonly AnswerEvent[], more: JsonObject = {}) {
  const codec = clientCodecOf(client);
  const whole = new LossList();
  codec.encodeAnswer(eventsOf(said), contextOf(client, more), whole);
  const streamed = new LossList();
  const encoder = codec.streamEncoder(contextOf(client, more), streamed);
  for (const event of eventsOf(said)) encoder.push(event);
  return { whole: whole.names.toSorted(), streamed: streamed.names.toSorted() };
}
