/**
 * How a dialect takes part in the hub. A client codec reads what callers send and writes what they get; a
 * target codec writes what an upstream is sent and reads what it answers. All of it is pure: no clock, no
 * network, no key; ids that must be made up come from `CodecContext`.
 */
import type { Failure } from "../errors.js";
import type { AnswerError, AnswerEvent, JsonObject, LossList, SemanticRequest } from "./semantic.js";

/** What a target is like, as far as its request's shape depends on it. From the catalog, the model and its key. */
export interface TargetTraits {
  /** Provider id of the catalog. */
  readonly provider: string;
  /** What the upstream calls the model. */
  readonly model: string;
  /** The caller's output cap must always be sent; this one when the caller gave none. */
  readonly defaultMaxTokens: number;
  /** Name of the output cap on OpenAI-shaped wires. */
  readonly maxTokensField: "max_tokens" | "max_completion_tokens";
  /** "native" where the wire has structured output of its own, "tool" where a forced tool stands in. */
  readonly structuredOutput: "native" | "tool";
}

/** What an answer's encoder needs to know of the request. */
export interface CodecContext {
  /** The model as the caller named it: translated answers carry this name. */
  readonly model: string;
  /** Base of ids that must be made up; unique for the request. */
  readonly requestId: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Did the caller ask for usage in the stream (stream_options.include_usage)? */
  readonly usageAsked: boolean;
  /** The caller's request, for what answers echo of it (tools, format, metadata). */
  readonly request: SemanticRequest;
  /** The gateway keeps the answer; absent: nobody does. */
  readonly keeping?: {
    /** The kept answer that the request goes on from; "" = none. */
    readonly previous: string;
  };
}

/** A request ready for an upstream: its body; path and headers are the provider's matter. */
export interface EncodedRequest {
  readonly body: JsonObject;
  /** Names this encoder had to change (tool names the wire refuses): what was sent → what the caller said. */
  readonly renamed: ReadonlyMap<string, string>;
  /** The forced tool whose arguments are the structured answer; "" = none. */
  readonly formatTool: string;
  /** Header names and values that the body's features ask for (beta flags); mostly empty. */
  readonly headers: readonly string[];
}

export interface ClientCodec {
  /** Reads a request; refuses, naming the field, what no target could understand. Never drops: unknown fields go to `extras`. */
  decodeRequest(body: JsonObject, losses: LossList): SemanticRequest | Failure;
  /**
   * Names the field that leans on state an upstream would have to hold (an earlier answer's id): it cannot be
   * translated and must not be ignored. null = none; absent = the dialect has no such field.
   */
  stateField?(request: SemanticRequest): string | null;
  /** The same on the bytes of a body that nobody decodes, without parsing it whole. */
  stateFieldIn?(body: Buffer): string | null;
  /**
   * May this body hold proofs of another vendor's thinking, wrapped by a translation of an earlier answer? Then
   * it must be translated even to an upstream of its own dialect, which would refuse them. Cheap, on the bytes.
   */
  mayCarryForeignProof?(body: Buffer): boolean;
  /** The whole answer, folded from its events. What the dialect has no place for goes to `losses`. */
  encodeAnswer(events: Iterable<AnswerEvent>, context: CodecContext, losses: LossList): JsonObject;
  /** Encodes a stream event by event; `losses` grows with what is left out. */
  streamEncoder(context: CodecContext, losses: LossList): StreamEncoder;
  /** The error envelope of this dialect for an upstream's error, as JSON. */
  encodeError(error: AnswerError, requestId: string): JsonObject;
}

export interface StreamEncoder {
  /** SSE bytes as text for one event; "" = nothing to say yet. */
  push(event: AnswerEvent): string;
}

/** One event of a target's stream, unframed: SSE's event name ("" = none) and data, or an AWS event's type and payload. */
export interface WireEvent {
  readonly event: string;
  readonly data: string;
}

export interface TargetCodec {
  encodeRequest(request: SemanticRequest, traits: TargetTraits, losses: LossList): EncodedRequest | Failure;
  /** Reads a whole 2xx answer; what has no event is a `loss` event. Throws DecodeError when it is not one. */
  decodeAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[];
  streamDecoder(encoded: EncodedRequest): StreamDecoder;
  /** Name of the header that says an error's type, where the wire has one. */
  readonly errorHeader?: string;
  /** Reads an error answer (any JSON, or null when the body was not JSON). `errorType`: the header's value. */
  decodeError(status: number, body: JsonObject | null, text: string, errorType?: string): AnswerError;
}

export interface StreamDecoder {
  /** What this event of the wire means; [] = nothing. Throws DecodeError on what cannot be read. */
  push(event: WireEvent): readonly AnswerEvent[];
  /** The upstream has ended its body: what is still open is closed, or an `error` event when the end came too early. */
  finish(): readonly AnswerEvent[];
  /** The upstream has broken off: the answer's end, where all but that has been said; else nothing. Absent: nothing. */
  close?(): readonly AnswerEvent[];
}

/** An upstream's answer that does not mean anything. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}
