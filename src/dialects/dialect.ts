/**
 * The contract of a dialect: what a wire means. A dialect knows no URL, no key and no vendor's account.
 * On the diagonal (the client's dialect is the target's) bytes pass and are only observed; this file is
 * what the pipeline needs for that.
 */
import type { Failure } from "../errors.js";
import type { AnswerFacts } from "./answer-facts.js";
import type { BatchForm } from "./batch.js";
import type { Edit } from "./json-splice.js";
import type { Form } from "./multipart.js";
import type { UsageTally } from "./usage-tally.js";

export const DIALECTS = [
  "openai-chat",
  "openai-responses",
  "openai-completions",
  "openai-embeddings",
  "openai-images",
  "openai-audio",
  "openai-moderations",
  "openai-files",
  "rerank",
  "anthropic-messages",
  "tokenize",
  "raw",
] as const;
export type DialectId = (typeof DIALECTS)[number];

/** Wires that only upstreams speak, beside the dialects that callers speak too. */
export const TARGET_WIRES = [
  "gemini",
  "bedrock-converse",
  "cohere-chat",
  "mistral-completions",
  "cohere-embed",
  "gemini-embeddings",
  "vertex-embeddings",
  "bedrock-embeddings",
  "voyage-embeddings",
  "voyage-rerank",
  "bedrock-rerank",
  "tei-rerank",
  "google-images",
  "bedrock-images",
] as const;
/** Everything an upstream may speak. */
export type WireId = DialectId | (typeof TARGET_WIRES)[number];

/** What a caller asks for. `models` never leaves the gateway. */
export const OPERATIONS = [
  "chat",
  "messages",
  "count_tokens",
  "responses",
  "input_tokens",
  "completions",
  "embeddings",
  "rerank",
  "images",
  "image_edits",
  "image_variations",
  "transcriptions",
  "translations",
  "speech",
  "moderations",
  "responses_items",
  "files",
  "batches",
  "fine_tuning",
  "tokenize",
  "passthrough",
  "models",
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Operations that count a prompt's tokens; where no upstream does, the gateway can, for every model. */
export const COUNTING: ReadonlySet<Operation> = new Set<Operation>(["count_tokens", "input_tokens", "tokenize"]);

/** Operations whose requests go to a provider key and not to a model. */
export const KEYED: ReadonlySet<Operation> = new Set<Operation>(["responses_items", "files", "batches", "fine_tuning"]);

/** Half-open range of bytes: [start, end). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What the gateway needs to know of a request body, found without parsing it whole. */
export interface RequestView {
  /** The model as the caller named it, unescaped. */
  readonly model: string;
  /**
   * Where the model's JSON string stands, quotes included, or the whole value of its form field; null when it came
   * from a header or the path.
   */
  readonly modelSpan: Span | null;
  /** Does the caller want an event stream? */
  readonly stream: boolean;
  /** Will the upstream send usage at the stream's end without being asked by us? */
  readonly usageAsked: boolean;
  /** Where `stream_options` (its value) stands, if anywhere; null when absent. */
  readonly streamOptionsSpan: Span | null;
  /** The caller's cap on output tokens; -1 when there is none. */
  readonly maxOutputTokens: number;
  /** The parts of the body, where it is a form and not JSON. */
  readonly form?: Form;
}

/** What a frame of a stream means for the relay; bits are combined. */
export const FRAME = {
  /** Nothing of interest: forward it. */
  PASS: 0,
  /** Do not show this frame to the client (we asked for it, the client did not). */
  HIDE: 1,
  /** The dialect's terminator: after this frame the answer is complete. */
  TERMINAL: 2,
  /** An error inside the stream. */
  ERROR: 4,
  /** The answer is whole if nothing follows; more may. */
  WHOLE: 8,
} as const;

/** Watches one streamed answer. One object a stream; it writes what it learns into the tally. */
export interface StreamObserver {
  /**
   * Cheap test over many frames at once: a batch that does not match holds no frame that `observe`
   * could have an opinion on, and is forwarded as it is.
   */
  readonly interest: RegExp;
  /** Looks at one whole SSE event (its closing blank line included) and says what to do with it. */
  observe(frame: Buffer): number;
  /** For an event too long to be held back: watches it piece by piece. Absent: such events pass unseen. */
  observeLong?(): LongEventObserver;
}

/** Watches one long event in pieces, from its first byte; bounded memory. It cannot hide what it sees. */
export interface LongEventObserver {
  feed(piece: Buffer): void;
  /** The event is over: what it meant, as bits of FRAME. */
  finish(): number;
}

/**
 * What a successful answer that is no stream of events looks like. json: one JSON object, anything else is a broken
 * answer. any: whatever comes. flowing: the same, and the caller plays it while it comes.
 */
export type AnswerForm = "json" | "any" | "flowing";

/** A request that goes to a provider key and not to a model: ids in its path, query and body say what it is about. */
export interface KeyedRequest {
  readonly operation: Operation;
  /** In lower case. */
  readonly method: string;
  /** Path of the route's row ("/v1/files/{id}/content"). */
  readonly routePath: string;
  /** The id in the path, unescaped; "" = none. */
  readonly id: string;
  /** Without its question mark. */
  readonly query: string;
  readonly body: Buffer;
  /** "" = not said. */
  readonly contentType: string;
}

/** Where such a request goes, and what its upstream gets. */
export interface KeyedPlace {
  readonly view: RequestView;
  /** The provider key that its ids carry; null = they carry none. */
  readonly carried: { readonly providerKey: string; readonly model: string } | null;
  /** A model that was named only to say which provider is meant; null = none. */
  readonly targetModel: string | null;
  /** Below the operation's own path: "/ID/content", or "". */
  readonly path: string;
  readonly query: string;
  /** Changes to the body: ids as the upstream knows them. */
  readonly edits: readonly Edit[];
}

/** Watches one answer that is not streamed, chunk by chunk; bounded memory whatever the size. */
export interface AnswerObserver {
  feed(chunk: Buffer): void;
  /** Call once at the end; writes usage, model and finish reason into the tally. */
  finish(): void;
  /**
   * In place of `feed` and `finish`, for an answer that is there in one piece: one look at it tells everything. Where
   * it is not sound, nothing is written into the tally. Absent: this observer takes answers chunk by chunk only.
   */
  finishWhole?(body: Buffer): AnswerFacts;
}

export interface Dialect {
  readonly id: DialectId;
  /** Where requests hold lists that may be longer than one call takes; absent = nowhere. */
  readonly batch?: BatchForm;
  /**
   * Finds what the gateway needs in the body. `modelOverride` (header or path) makes `model` optional.
   * Refuses, naming the field: not JSON, not UTF-8, not an object, wrong types, missing model, a needed
   * field twice. `contentType`: of the body, where the dialect takes more than JSON; "" = not said.
   */
  readRequest(
    body: Buffer,
    operation: Operation,
    modelOverride: string | null,
    contentType?: string,
  ): RequestView | Failure;
  /**
   * The bytes for an upstream of the same dialect: the model's name replaced, usage asked for where the
   * gateway needs it; every other byte as it came. Returns `body` itself when nothing changes.
   */
  spliceRequest(body: Buffer, view: RequestView, targetModel: string): Buffer;
  /** The changes that `spliceRequest` makes, in order: for bodies too large to be copied. Absent: always copied. */
  requestEdits?(body: Buffer, view: RequestView, targetModel: string): readonly Edit[];
  /** Requests may name things that a provider keeps (files, responses), by ids that the gateway has made. */
  readonly namesKept?: boolean;
  /** A request may go on from an earlier answer, by its id. */
  readonly keepsTurns?: boolean;
  /** Reads a request that goes to a provider key; absent: all go to models. */
  readKeyed?(request: KeyedRequest): KeyedPlace | Failure;
  /** Absent: every answer is JSON. */
  answerForm?(operation: Operation, body: Buffer, view: RequestView): AnswerForm;
  /** Fills in what the request alone tells of its use (images asked for, characters, seconds of sound) and the answer did not. */
  measureRequest?(operation: Operation, body: Buffer, view: RequestView, tally: UsageTally): void;
  streamObserver(view: RequestView, tally: UsageTally): StreamObserver;
  answerObserver(operation: Operation, tally: UsageTally): AnswerObserver;
  /** The error envelope of this dialect, as JSON text. */
  renderError(failure: Failure, requestId: string): string;
  /** The same as one SSE event (or what the dialect has instead), blank line included. */
  renderStreamError(failure: Failure, requestId: string): string;
  /** All text of a request that a model would read, for a token estimate. Slow: for the pool only. */
  requestText(body: Buffer, operation: Operation): string;
  /** All text of an answer (whole JSON or a run of SSE bytes, possibly cut), for a token estimate. Pool only. */
  answerText(bytes: Buffer, streamed: boolean): string;
}
