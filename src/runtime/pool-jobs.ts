/** What pool threads run. Only they load this file, so the tokenizer's megabytes are in no other thread. */
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import type { DialectId, Operation } from "../dialects/dialect.js";
import { type Translation, type TranslationJob, translateRequest } from "../dialects/hub.js";
import { dialectOf } from "../dialects/registry.js";
import type { Failure } from "../errors.js";
import { countSliced } from "./token-count.js";

/** An attempt whose upstream did not say what it used. */
export interface EstimateJob {
  readonly dialect: DialectId;
  readonly operation: Operation;
  /** The body that went to the upstream. */
  readonly request: Uint8Array;
  /** The answer's first bytes, or all of them. */
  readonly answer: Uint8Array;
  /** How many bytes the whole answer had. */
  readonly answerBytesTotal: number;
  readonly streamed: boolean;
}

export interface Estimate {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** The jobs by name. */
export interface PoolJobs {
  estimate(job: EstimateJob): Estimate;
  translate(job: TranslationJob): Translation | Failure;
}

/** Text that looks like a control token is text here: it came from a user. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

function tokensOf(text: string): number {
  return countSliced(text, (slice) => countTokens(slice, AS_TEXT), performance.now.bind(performance));
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Operations whose answer holds no text of a model. */
const WITHOUT_OUTPUT: ReadonlySet<Operation> = new Set<Operation>([
  "embeddings",
  "count_tokens",
  "input_tokens",
  "models",
]);

/** Counts the job's tokens; the output's count grows with the part of the answer that is not in the sample. */
export function estimate(job: EstimateJob): Estimate {
  const dialect = dialectOf(job.dialect);
  const inputTokens = tokensOf(dialect.requestText(bufferOf(job.request), job.operation));
  if (WITHOUT_OUTPUT.has(job.operation) || job.answer.length === 0) return { inputTokens, outputTokens: 0 };
  const sampled = tokensOf(dialect.answerText(bufferOf(job.answer), job.streamed));
  const scale = Math.max(1, job.answerBytesTotal / job.answer.length);
  return { inputTokens, outputTokens: Math.round(sampled * scale) };
}

export function translate(job: TranslationJob): Translation | Failure {
  return translateRequest(job);
}
