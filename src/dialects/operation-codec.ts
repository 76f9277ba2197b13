/**
 * Translation of what is no conversation: embeddings, rankings, images. A codec stands for one pair of a caller's
 * dialect and a wire, and works on whole bodies. All of it is pure: no clock, no network, no key.
 */
import type { Failure } from "../errors.js";
import type { TargetTraits } from "./codec.js";
import type { AnswerError, JsonObject, JsonValue, LossList } from "./semantic.js";

/** A request ready for an upstream. */
export interface EncodedOperation {
  readonly body: JsonObject;
  /** What the answer's decoder needs to know of the request. Plain data, without what was asked about where it can be. */
  readonly told: JsonObject;
}

/** What a request's encoder works with. */
export interface OperationRequest {
  readonly body: JsonObject;
  readonly traits: TargetTraits;
  readonly losses: LossList;
  /** The text of token numbers; absent where no vocabulary is at hand. null: they are none of it. */
  readonly detokenize?: (tokens: readonly number[]) => string | null;
}

/** What an answer's decoder works with. */
export interface OperationAnswer {
  readonly body: JsonValue;
  readonly told: JsonObject;
  readonly losses: LossList;
  /** The model as the caller named it: translated answers carry this name. */
  readonly model: string;
  /** Base of ids that must be made up; unique for the request. */
  readonly requestId: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** A header of the upstream's answer, by its name in lower case; "" = it has none. */
  readonly header: (name: string) => string;
}

export interface DecodedOperation {
  /** In the caller's dialect. */
  readonly body: JsonObject;
  /** Units of use in it follow from the vendor's rules, not from its words. */
  readonly unitsGuessed?: boolean;
}

export interface OperationCodec {
  /** Refuses, naming the field, what the wire cannot do; what it merely leaves out goes to the losses. */
  encodeRequest(request: OperationRequest): EncodedOperation | Failure;
  /** Reads a whole 2xx answer. Throws DecodeError when it is not one. */
  decodeAnswer(answer: OperationAnswer): DecodedOperation;
  /** Name of the header that says an error's type, where the wire has one. */
  readonly errorHeader?: string;
  /** Reads an error answer of the wire. */
  decodeError(status: number, body: JsonObject | null, text: string, errorType?: string): AnswerError;
  /** The error envelope of the caller's dialect. */
  encodeError(error: AnswerError, requestId: string): JsonObject;
}
