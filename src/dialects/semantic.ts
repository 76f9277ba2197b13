/**
 * The hub between dialects: what a request and an answer mean, whatever their wire. Every client dialect
 * decodes requests into it and encodes answers from it; every target wire does the opposite. A dialect that
 * cannot express a part says so (`LossList`); nothing is dropped silently.
 */

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [name: string]: JsonValue | undefined };

/** Breakpoint of a prompt cache: everything up to and including the marked block. */
export interface CacheMark {
  /** Lifetime as the client wrote it ("5m", "1h"); null = the vendor's default. */
  readonly ttl: string | null;
}

// ---- content ---------------------------------------------------------------------------------------

/** Bytes by value or by address. Exactly one of `data` (base64, no line breaks) and `url` is set, or `fileId`. */
export interface MediaSource {
  readonly data: string | null;
  readonly url: string | null;
  readonly fileId: string | null;
  /** IANA media type ("image/png"); "" when the client did not say. */
  readonly mediaType: string;
}

export interface TextBlock {
  readonly kind: "text";
  readonly text: string;
  readonly cache: CacheMark | null;
  /** Citations or annotations as their own wire has them; carried where source and target wire are one. */
  readonly annotations: readonly Annotation[];
}
export interface ImageBlock {
  readonly kind: "image";
  readonly source: MediaSource;
  /** "low" | "high" | "auto" or as the client wrote it; null = not said. */
  readonly detail: string | null;
  readonly cache: CacheMark | null;
}
export interface DocumentBlock {
  readonly kind: "document";
  readonly source: MediaSource;
  /** A document whose content is plain text stands here, and `source` is empty; null = by source. */
  readonly text: string | null;
  readonly title: string | null;
  readonly context: string | null;
  readonly citations: boolean;
  readonly cache: CacheMark | null;
}
export interface AudioBlock {
  readonly kind: "audio";
  readonly source: MediaSource;
}
/** The model's thinking, in history or answer. */
export interface ThinkingBlock {
  readonly kind: "thinking";
  readonly text: string;
  /** Opaque proof that the vendor wants back unchanged; "" = none. */
  readonly signature: string;
  /** Encrypted thinking (redacted_thinking.data, reasoning.encrypted_content); "" = none. */
  readonly encrypted: string;
  /** The vendor's id of the item (rs_…); "" = none. */
  readonly id: string;
  /** Which wire the signature belongs to; it is worthless to another. "" = unknown. */
  readonly origin: string;
}
export interface ToolCallBlock {
  readonly kind: "tool_call";
  readonly id: string;
  readonly name: string;
  /** JSON text of the arguments, as the model wrote it; "{}" for none. */
  readonly arguments: string;
  /** Opaque signature that came with the call (Gemini's thoughtSignature); "" = none. */
  readonly signature: string;
  /** "function" for ordinary tools, "custom" for free-text tools (arguments is then the raw text). */
  readonly flavour: "function" | "custom";
  readonly cache: CacheMark | null;
}
export interface ToolResultBlock {
  readonly kind: "tool_result";
  readonly callId: string;
  /** Name of the tool if the wire says it; "" = find it by the call id. */
  readonly name: string;
  readonly content: readonly (TextBlock | ImageBlock | DocumentBlock)[];
  readonly isError: boolean;
  readonly cache: CacheMark | null;
}
/** The model declined; an OpenAI-shaped part of an assistant turn. */
export interface RefusalBlock {
  readonly kind: "refusal";
  readonly text: string;
}
/** A part that only its own wire understands (server tool calls and results, computer use…): carried raw. */
export interface ForeignBlock {
  readonly kind: "foreign";
  readonly wire: string;
  /** Its type on that wire, for the loss report. */
  readonly type: string;
  readonly raw: JsonObject;
  /** Other events of the answer say all of it (citations say what a list of sources says): no loss without it. */
  readonly told?: boolean;
}

export type Block =
  | TextBlock
  | ImageBlock
  | DocumentBlock
  | AudioBlock
  | ThinkingBlock
  | ToolCallBlock
  | ToolResultBlock
  | RefusalBlock
  | ForeignBlock;

export interface Annotation {
  readonly kind: "url" | "document" | "foreign";
  readonly url: string;
  readonly title: string;
  readonly citedText: string;
  /** UTF-16 offsets in the text; -1 = not said. */
  readonly start: number;
  readonly end: number;
  readonly raw: JsonObject | null;
}

/** Consecutive turns of one role may stand side by side; encoders merge where their wire wants it. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly blocks: readonly Block[];
  readonly name: string | null;
}

// ---- request ---------------------------------------------------------------------------------------

export interface FunctionTool {
  readonly kind: "function";
  readonly name: string;
  readonly description: string | null;
  /** JSON Schema, every key kept; null = none given. */
  readonly parameters: JsonObject | null;
  readonly strict: boolean | null;
  readonly cache: CacheMark | null;
  /** Fields that tell its own wire how to deliver the tool's calls, not what they are: no loss elsewhere. */
  readonly hints?: JsonObject;
}
/** A tool that its vendor runs or that has a form of its own (web_search, code execution, custom…). */
export interface HostedTool {
  readonly kind: "hosted";
  readonly wire: string;
  /** Its type on that wire ("web_search_20250305", "web_search", "googleSearch", "custom"). */
  readonly type: string;
  readonly name: string;
  readonly raw: JsonObject;
}
export type Tool = FunctionTool | HostedTool;

export type ToolChoice =
  | { readonly kind: "auto" }
  | { readonly kind: "none" }
  | { readonly kind: "any" }
  | { readonly kind: "tool"; readonly name: string }
  /** Any of these (allowed_tools, allowedFunctionNames); `required` = must call one. */
  | { readonly kind: "allowed"; readonly names: readonly string[]; readonly required: boolean };

export interface Reasoning {
  /** false = switched off explicitly. */
  readonly enabled: boolean;
  /** "minimal" | "low" | "medium" | "high" | "xhigh" | "max" or as written; null = not said. */
  readonly effort: string | null;
  readonly budgetTokens: number | null;
  /** The model decides how much (thinking.type "adaptive"). */
  readonly adaptive: boolean;
  /** "auto" | "concise" | "detailed", or a display mode; null = not asked. */
  readonly summary: string | null;
}

export type OutputFormat =
  | { readonly kind: "json" }
  | {
      readonly kind: "schema";
      readonly name: string;
      readonly description: string | null;
      readonly schema: JsonObject;
      readonly strict: boolean | null;
    };

export interface Sampling {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly seed: number | null;
  readonly frequencyPenalty: number | null;
  readonly presencePenalty: number | null;
  readonly logitBias: JsonObject | null;
  readonly logprobs: boolean | null;
  readonly topLogprobs: number | null;
  /** Answers wanted; null = one. */
  readonly count: number | null;
}

export interface SemanticRequest {
  /** Client dialect it came from. */
  readonly origin: string;
  readonly model: string;
  readonly stream: boolean;
  /** System and developer text, in order. Later system turns of a conversation stand here too, with a loss. */
  readonly system: readonly TextBlock[];
  readonly turns: readonly Turn[];
  readonly tools: readonly Tool[];
  readonly toolChoice: ToolChoice | null;
  /** null = not said. */
  readonly parallelToolCalls: boolean | null;
  readonly sampling: Sampling;
  readonly maxOutputTokens: number | null;
  readonly stop: readonly string[];
  readonly reasoning: Reasoning | null;
  readonly format: OutputFormat | null;
  /** Text verbosity ("low" | "medium" | "high"); null = not said. */
  readonly verbosity: string | null;
  /** End user's id for the vendor's abuse detection. */
  readonly user: string | null;
  readonly metadata: JsonObject | null;
  readonly serviceTier: string | null;
  readonly promptCacheKey: string | null;
  /** Answer in these modalities ("text", "audio", "image"); [] = not said. */
  readonly modalities: readonly string[];
  /** Fields of the client's dialect that have no place here: name → value. An encoder of the same vendor's wire may use them; the rest are losses. */
  readonly extras: JsonObject;
  /**
   * What only the client dialect's own answer encoder needs (echo, the legacy form of calls): no target's
   * matter, hence never a loss. Absent = nothing.
   */
  readonly answerHints?: JsonObject;
}

// ---- answer ----------------------------------------------------------------------------------------

export type StopReason =
  | "stop"
  | "stop_sequence"
  | "length"
  | "tool_calls"
  | "content_filter"
  /** The vendor paused a long turn; the client may send it back to go on. */
  | "pause"
  | "error";

/** Counts as the wire's meaning demands: `input` holds every prompt token, cached ones included. -1 = not said. */
export interface SemanticUsage {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  /** Part of `cacheWrite`: what is kept for an hour; absent = not said. */
  readonly cacheWriteHour?: number;
  /** Part of `output`. */
  readonly reasoning: number;
}

/**
 * One answer as events, in order: `start`, then blocks that never overlap (each `…_start`, deltas, `block_stop`),
 * `usage` whenever known (cumulative, last one counts), `stop` once, `end` last. A failure inside the answer
 * is `error`, and nothing follows it. Answers with several candidates (n > 1) interleave `choice` events.
 */
export type AnswerEvent =
  | { readonly kind: "start"; readonly id: string; readonly model: string; readonly created: number }
  /** What follows belongs to this candidate; absent = 0. */
  | { readonly kind: "choice"; readonly index: number }
  | { readonly kind: "text_start" }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "annotation"; readonly annotation: Annotation }
  | { readonly kind: "thinking_start"; readonly id: string; readonly origin: string }
  | { readonly kind: "thinking"; readonly text: string }
  /** Signature of the open thinking block. */
  | { readonly kind: "signature"; readonly signature: string }
  /** Encrypted or redacted thinking, whole, as the content of the open thinking block. */
  | { readonly kind: "encrypted"; readonly data: string }
  | {
      readonly kind: "tool_start";
      readonly id: string;
      readonly name: string;
      readonly signature: string;
      readonly flavour: "function" | "custom";
    }
  | { readonly kind: "arguments"; readonly text: string }
  | { readonly kind: "refusal_start" }
  | { readonly kind: "refusal"; readonly text: string }
  /** An image or sound that the model made, whole. */
  | { readonly kind: "media"; readonly source: MediaSource }
  /** A block only its own wire knows, whole. */
  | { readonly kind: "foreign"; readonly block: ForeignBlock }
  | { readonly kind: "block_stop" }
  /** Log probabilities of the text just said, in OpenAI's shape (`{content: [...]}`). */
  | { readonly kind: "logprobs"; readonly logprobs: JsonObject }
  | { readonly kind: "usage"; readonly usage: SemanticUsage }
  /** Something of the upstream's answer has no place here: every client codec reports its name, wherever it stands. */
  | { readonly kind: "loss"; readonly name: string }
  | { readonly kind: "stop"; readonly reason: StopReason; readonly sequence: string | null; readonly native: string }
  | { readonly kind: "error"; readonly error: AnswerError }
  | { readonly kind: "end" };

/** An upstream's own error, as far as its wire says. */
export interface AnswerError {
  /** HTTP status the upstream gave, or the one its error type stands for. */
  readonly status: number;
  readonly type: string;
  readonly code: string | null;
  readonly message: string;
  /** When to ask again, in whole seconds, where the body says it; absent = it does not. */
  readonly retryAfterSeconds?: number;
}

// ---- losses ----------------------------------------------------------------------------------------

/**
 * What the other side cannot express: the target of a request, the caller of an answer. Names such as
 * "temperature", "image", "logprobs"; each once, at most 32.
 */
export class LossList {
  readonly #names: Set<string>;

  /** `known`: names that are lost already. */
  constructor(known: readonly string[] = []) {
    this.#names = new Set(known);
  }

  /** `name`: the semantic field or block, lower case with underscores; no text of the client's. */
  add(name: string): void {
    if (this.#names.size < MAX_LOSSES) this.#names.add(name);
  }

  get names(): readonly string[] {
    return [...this.#names];
  }

  get size(): number {
    return this.#names.size;
  }
}

const MAX_LOSSES = 32;

/** Nothing asked of the sampler. */
export const NO_SAMPLING: Sampling = Object.freeze({
  temperature: null,
  topP: null,
  topK: null,
  seed: null,
  frequencyPenalty: null,
  presencePenalty: null,
  logitBias: null,
  logprobs: null,
  topLogprobs: null,
  count: null,
});
