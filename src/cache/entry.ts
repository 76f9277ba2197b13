/** What an entry says of the answer that it holds. */

/** The answer's form: one JSON text, or a stream of events. */
export type AnswerMode = "whole" | "stream";

export interface EntryMeta {
  readonly mode: AnswerMode;
  readonly contentType: string;
  /** A stream whose caller had asked for usage in it. */
  readonly usageShown: boolean;
  readonly targetDialect: string;
  readonly provider: string;
  readonly upstreamModel: string;
  readonly responseModel: string;
  readonly responseId: string;
  readonly finishReason: string;
  /** What the answer used when it was made; a hit saves it. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
  readonly costUsd: number;
  readonly losses: readonly string[];
}

/** An answer from the cache. */
export interface CachedAnswer {
  readonly meta: EntryMeta;
  readonly body: Buffer;
}

export function packMeta(meta: EntryMeta): Buffer {
  return Buffer.from(JSON.stringify(meta));
}

export function unpackMeta(bytes: Buffer): EntryMeta {
  return JSON.parse(bytes.toString("utf8")) as EntryMeta;
}
