/**
 * Answers of what is no conversation, told in the caller's dialect. Plain data at the edges, so that large ones can be
 * told on another thread.
 */
import { type Failure, failure } from "../errors.js";
import { DecodeError } from "./codec.js";
import type { DialectId, WireId } from "./dialect.js";
import { asObject, asString, parseValue } from "./json.js";
import { mustHaveCodec } from "./operations.js";
import { type JsonObject, LossList } from "./semantic.js";

/** A whole 2xx answer, and what its telling depends on. */
export interface TellingJob {
  readonly client: DialectId;
  readonly wire: WireId;
  readonly body: Uint8Array;
  readonly told: JsonObject;
  /** The model as the caller named it. */
  readonly model: string;
  readonly requestId: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Of the upstream's answer: lower-case names and values alternate. */
  readonly headers: readonly string[];
}

export interface ToldAnswer {
  /** JSON text in the caller's dialect. */
  readonly body: Uint8Array;
  /** Units of use in it follow from the vendor's rules, not from its words. */
  readonly unitsGuessed: boolean;
  readonly losses: readonly string[];
  /** As the upstream says them; "" = it does not. */
  readonly responseModel: string;
  readonly responseId: string;
}

const MAX_NAME = 256;

/** Tells an answer. What means nothing, or something no codec foresaw, costs this answer and not the thread. */
export function tellOperation(job: TellingJob): ToldAnswer | Failure {
  const { client, wire, told, model, requestId, created, headers } = job;
  const said = parseValue(Buffer.from(job.body.buffer, job.body.byteOffset, job.body.byteLength).toString("utf8"));
  if (said === undefined) return failure("upstream_decode_error");
  const losses = new LossList();
  const header = (name: string): string => {
    const at = headers.findIndex((entry, index) => index % 2 === 0 && entry === name);
    return at < 0 ? "" : (headers[at + 1] ?? "");
  };
  try {
    const answer = { body: said, told, losses, model, requestId, created, header };
    const { body, unitsGuessed = false } = mustHaveCodec(client, wire).decodeAnswer(answer);
    const upstream = asObject(said);
    return {
      body: Buffer.from(JSON.stringify(body)),
      unitsGuessed,
      losses: losses.names,
      responseModel: asString(upstream?.model).slice(0, MAX_NAME),
      responseId: asString(upstream?.id).slice(0, MAX_NAME),
    };
  } catch (error) {
    return failure("upstream_decode_error", error instanceof DecodeError ? error.message : undefined);
  }
}
