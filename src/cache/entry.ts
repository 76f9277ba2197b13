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

/** Every member, in the order in which an entry holds them. */
const MEMBERS = Object.keys({
  mode: true,
  contentType: true,
  usageShown: true,
  targetDialect: true,
  provider: true,
  upstreamModel: true,
  responseModel: true,
  responseId: true,
  finishReason: true,
  inputTokens: true,
  outputTokens: true,
  cacheReadTokens: true,
  cacheWriteTokens: true,
  reasoningTokens: true,
  costUsd: true,
  losses: true,
} satisfies Record<keyof EntryMeta, true>) as (keyof EntryMeta)[];

/** The members without their names: entries live in the memory of one process, no other version ever reads them. */
export function packMeta(meta: EntryMeta): Buffer {
  return Buffer.from(JSON.stringify(MEMBERS.map((member) => meta[member])));
}

export function unpackMeta(bytes: Buffer): EntryMeta {
  const values = JSON.parse(bytes.toString("utf8")) as readonly unknown[];
  return Object.fromEntries(MEMBERS.map((member, index) => [member, values[index]])) as unknown as EntryMeta;
}
