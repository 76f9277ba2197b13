/** What pool threads run. Only they load this file, so the tokenizer's megabytes are in no other thread. */
import { setPriority } from "node:os";
import { move, transferableSymbol, valueSymbol } from "piscina";
import type { DialectId, Operation } from "../dialects/dialect.js";
import { asObject, parseJson } from "../dialects/json-values.js";
import { type Translation, type TranslationJob, translateRequest } from "../dialects/hub.js";
import { wantsVocabulary } from "../dialects/operations.js";
import { dialectOf } from "../dialects/registry.js";
import { type TellingJob, type ToldAnswer, tellOperation } from "../dialects/tell-operation.js";
import { renderTokens } from "../dialects/tokenize/answer.js";
import { type Failure, isFailure } from "../errors.js";
import { runScreenJob, type ScreenJob, type ScreenResult } from "../guardrails/screen-job.js";
import { countedSlices, countSliced } from "./token-count.js";

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

/** A request for the tokens of a text. */
export interface TokenizeJob {
  readonly request: Uint8Array;
}

/** The jobs by name. */
export interface PoolJobs {
  estimate(job: EstimateJob): Promise<Estimate>;
  tokenize(job: TokenizeJob): Promise<Uint8Array>;
  translate(job: TranslationJob): Promise<Translation | Failure>;
  tell(job: TellingJob): ToldAnswer | Failure;
  screen(job: ScreenJob): ScreenResult;
}

/** The acceptor has 0, 19 is the lowest. Beside a saturated acceptor on one core this leaves the pool a thirtieth of it. */
const NICE = 15;

/** Text that looks like a control token is text here: it came from a user. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

// On Linux this is the priority of the calling thread alone (elsewhere of the whole process): a large body may
// take longer, small ones on the acceptor beside it may not. Without it the acceptor waited for its core two
// thirds of the time (measured).
if (process.platform === "linux") setPriority(0, NICE);

type Counter = (slice: string) => number;

/** The vocabulary takes half a second to load: only a thread that counts pays for it. */
async function loadCounter(): Promise<Counter> {
  const { countTokens } = await import("gpt-tokenizer/encoding/o200k_base");
  return (slice) => countTokens(slice, AS_TEXT);
}

function tokensOf(text: string, count: Counter): number {
  return countSliced(text, count, performance.now.bind(performance));
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Operations whose answer holds no text of a model. */
const WITHOUT_OUTPUT: ReadonlySet<Operation> = new Set<Operation>([
  "embeddings",
  "rerank",
  "count_tokens",
  "input_tokens",
  "tokenize",
  "models",
]);

/** Counts the job's tokens; the output's count grows with the part of the answer that is not in the sample. */
export async function estimate(job: EstimateJob): Promise<Estimate> {
  const dialect = dialectOf(job.dialect);
  const count = await loadCounter();
  const inputTokens = tokensOf(dialect.requestText(bufferOf(job.request), job.operation), count);
  if (WITHOUT_OUTPUT.has(job.operation) || job.answer.length === 0) return { inputTokens, outputTokens: 0 };
  const sampled = tokensOf(dialect.answerText(bufferOf(job.answer), job.streamed), count);
  const scale = Math.max(1, job.answerBytesTotal / job.answer.length);
  return { inputTokens, outputTokens: Math.round(sampled * scale) };
}

/**
 * The tokenize dialect's answer, as JSON, in the gateway's own vocabulary. It is written here because it may be
 * long: up to a token for every character. Of a text that is not counted to its end there is only the count.
 */
export async function tokenize(job: TokenizeJob): Promise<Uint8Array> {
  const { encode, decode } = await import("gpt-tokenizer/encoding/o200k_base");
  const request = bufferOf(job.request);
  const found: number[] = [];
  const encodeSlice = (slice: string): number => {
    const tokens = encode(slice, AS_TEXT);
    for (const token of tokens) found.push(token);
    return tokens.length;
  };
  const text = dialectOf("tokenize").requestText(request, "tokenize");
  const { tokens: count, whole } = countedSlices(text, encodeSlice, performance.now.bind(performance));
  const spelled = whole && asObject(parseJson(request))?.return_token_strs === true;
  const strings = spelled ? found.map((token) => decode([token])) : null;
  const answer = new TextEncoder().encode(renderTokens({ count, tokens: whole ? found : null, strings }));
  return move(answer) as never;
}

type Detokenizer = (tokens: readonly number[]) => string | null;

/** The vocabulary of the embedding models that callers count tokens for; null = the numbers are none of its tokens. */
async function loadDetokenizer(): Promise<Detokenizer> {
  const { decode } = await import("gpt-tokenizer/encoding/cl100k_base");
  return (tokens) => {
    try {
      return decode(tokens);
    } catch {
      return null;
    }
  };
}

/** The translated body is moved to the acceptor, not copied: it is as large as what came. */
export async function translate(job: TranslationJob): Promise<Translation | Failure> {
  const wanted = wantsVocabulary(job.client, bufferOf(job.body));
  const result = translateRequest(job, wanted ? await loadDetokenizer() : undefined);
  if (isFailure(result)) return result;
  const body = new Uint8Array(result.body);
  const moved = { [transferableSymbol]: body.buffer, [valueSymbol]: { ...result, body } };
  // The pool unwraps it on the other side.
  return move(moved as never) as never;
}

/** So is a told answer. */
export function tell(job: TellingJob): ToldAnswer | Failure {
  const result = tellOperation(job);
  if (isFailure(result)) return result;
  const body = new Uint8Array(result.body);
  return move({ [transferableSymbol]: body.buffer, [valueSymbol]: { ...result, body } } as never) as never;
}

/** A masked body is moved to the acceptor, as a translated one is. */
export function screen(job: ScreenJob): ScreenResult {
  const result = runScreenJob(job);
  if (result.body === null) return result;
  const body = new Uint8Array(result.body);
  return move({ [transferableSymbol]: body.buffer, [valueSymbol]: { ...result, body } } as never) as never;
}
