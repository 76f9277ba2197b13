/** The built-in provider: answers every operation in every dialect, without a model and without a network. */
import type { DialectId, Operation } from "../../dialects/dialect.js";
import { answerCount, answerMessages, readMessages } from "./anthropic-messages.js";
import type { FrameList } from "./frames.js";
import { isObject, type JsonObject } from "./json.js";
import { type SimulatedMedia, simulateMedia } from "./media.js";
import { answerChat, readChat } from "./openai-chat.js";
import { answerCompletion, readCompletion } from "./openai-completions.js";
import { answerEmbeddings, readEmbeddings } from "./openai-embeddings.js";
import { answerInputTokens, answerResponses, readResponses } from "./openai-responses.js";
import type { Prompt, SimulatorKnobs } from "./prompt.js";
import { answerRerank, readRerank } from "./rerank.js";
import { answerTokenize, readTokenize } from "./tokenize.js";
import { planTurn, type SimulatedUsage, type Turn, usageOf } from "./turn.js";

export interface SimulatedAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly streamed: boolean;
  /** "" where the request names none. */
  readonly model: string;
  /** One SSE event each, its blank line included; or the whole JSON answer as the only one. */
  readonly frames: readonly string[];
  /** How the frames become bytes: text, or one byte a character. */
  readonly encoding?: "utf8" | "latin1";
  /** Output tokens that the frame of the same index deals out; their sum is `usage.outputTokens`. */
  readonly frameTokens: readonly number[];
  readonly usage: SimulatedUsage;
  /** Wait before the first byte, in ms. */
  readonly delayMs: number;
  /** Wait between two frames, in ms. */
  readonly gapMs: number;
}

interface Endpoint {
  readonly dialect: DialectId;
  readonly read: (body: JsonObject) => Prompt;
  readonly answer: (prompt: Prompt, turn: Turn) => FrameList;
  /** Does the operation only count or embed, and so speak no output? */
  readonly silent: boolean;
}

const ENDPOINTS: Readonly<Partial<Record<Operation, Endpoint>>> = {
  chat: { dialect: "openai-chat", read: readChat, answer: answerChat, silent: false },
  messages: { dialect: "anthropic-messages", read: readMessages, answer: answerMessages, silent: false },
  count_tokens: { dialect: "anthropic-messages", read: readMessages, answer: answerCount, silent: true },
  responses: { dialect: "openai-responses", read: readResponses, answer: answerResponses, silent: false },
  input_tokens: { dialect: "openai-responses", read: readResponses, answer: answerInputTokens, silent: true },
  completions: { dialect: "openai-completions", read: readCompletion, answer: answerCompletion, silent: false },
  embeddings: { dialect: "openai-embeddings", read: readEmbeddings, answer: answerEmbeddings, silent: true },
  rerank: { dialect: "rerank", read: readRerank, answer: answerRerank, silent: true },
  tokenize: { dialect: "tokenize", read: readTokenize, answer: answerTokenize, silent: true },
};

/**
 * Answers a request. Never throws: a body that is no JSON object, and an operation that the dialect does not
 * have, are answered with status 400 in the dialect's envelope. `overrides` win over the request's own knobs.
 */
export function simulate(
  operation: Operation,
  dialect: DialectId,
  body: Buffer,
  overrides: Partial<SimulatorKnobs> = {},
): SimulatedAnswer {
  const media = DIALECTS_OF_MEDIA.has(dialect) ? simulateMedia(operation, body, overrides) : null;
  if (media === "broken") return refusal(dialect, "The body is neither a JSON object nor a form.");
  if (media !== null) return mediaAnswer(media);
  const endpoint = ENDPOINTS[operation];
  if (endpoint === undefined || endpoint.dialect !== dialect) {
    return refusal(dialect, `The simulator has no ${operation} in ${dialect}.`);
  }
  const request = parseObject(body);
  if (request === null) return refusal(dialect, "The body is not a JSON object.");
  const read = endpoint.read(request);
  const prompt = { ...read, knobs: { ...read.knobs, ...overrides } };
  return endpoint.silent ? silentAnswer(endpoint, prompt) : spokenAnswer(endpoint, prompt);
}

const DIALECTS_OF_MEDIA: ReadonlySet<DialectId> = new Set<DialectId>([
  "openai-images",
  "openai-audio",
  "openai-moderations",
]);

function mediaAnswer({ list, contentType, streamed, binary, usage, model, knobs }: SimulatedMedia): SimulatedAnswer {
  return {
    status: 200,
    contentType,
    streamed,
    model,
    frames: list.frames,
    encoding: binary ? "latin1" : "utf8",
    frameTokens: list.tokens,
    usage,
    delayMs: knobs.delayMs,
    gapMs: knobs.gapMs,
  };
}

function spokenAnswer(endpoint: Endpoint, prompt: Prompt): SimulatedAnswer {
  const turn = planTurn(prompt);
  return answerOf(prompt, endpoint.answer(prompt, turn), turn.usage, prompt.stream);
}

function silentAnswer(endpoint: Endpoint, prompt: Prompt): SimulatedAnswer {
  const quiet = { ...prompt, knobs: { ...prompt.knobs, reasoningTokens: 0 } };
  const usage = usageOf(quiet, 0);
  const turn: Turn = { pieces: [], text: "", calls: [], stop: "stop", usage, id: "", created: 0 };
  return answerOf(quiet, endpoint.answer(quiet, turn), usage, false);
}

function answerOf(prompt: Prompt, list: FrameList, usage: SimulatedUsage, streamed: boolean): SimulatedAnswer {
  return {
    status: 200,
    contentType: streamed ? "text/event-stream; charset=utf-8" : "application/json",
    streamed,
    model: prompt.model,
    frames: list.frames,
    frameTokens: list.tokens,
    usage,
    delayMs: prompt.knobs.delayMs,
    gapMs: prompt.knobs.gapMs,
  };
}

const NO_USAGE: SimulatedUsage = Object.freeze({
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
});

/** The error envelope that a vendor of the dialect would send. */
export function vendorError(dialect: DialectId, type: string, message: string): string {
  if (dialect === "anthropic-messages")
    return JSON.stringify({ type: "error", error: { type, message }, request_id: "" });
  return JSON.stringify({ error: { message, type, param: null, code: null } });
}

function refusal(dialect: DialectId, message: string): SimulatedAnswer {
  return {
    status: 400,
    contentType: "application/json",
    streamed: false,
    model: "",
    frames: [vendorError(dialect, "invalid_request_error", message)],
    frameTokens: [0],
    usage: NO_USAGE,
    delayMs: 0,
    gapMs: 0,
  };
}

function parseObject(body: Buffer): JsonObject | null {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
