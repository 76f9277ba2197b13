/** What an entry says of the answer that it holds. */

import { number, quote, quoteList, SharedText } from "../usage/json-text.js";

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

/** The members without their names: entries live in the memory of one process, no other version ever reads them. */
export function packMeta(meta: EntryMeta): Buffer {
  return Buffer.from(
    `["${meta.mode}",${meta.usageShown}${ORIGIN.of(meta.upstreamModel, meta)}${quote(meta.responseId)},${quote(meta.finishReason)},${number(meta.inputTokens)},${number(meta.outputTokens)},${number(meta.cacheReadTokens)},${number(meta.cacheWriteTokens)},${number(meta.reasoningTokens)},${number(meta.costUsd)},${quoteList(meta.losses)}]`,
  );
}

/** What all answers of a target share. */
const ORIGIN = new SharedText<EntryMeta>({
  write: (meta) =>
    `,${quote(meta.contentType)},${quote(meta.targetDialect)},${quote(meta.provider)},${quote(meta.upstreamModel)},${quote(meta.responseModel)},`,
  same: (kept, meta) =>
    kept.contentType === meta.contentType &&
    kept.targetDialect === meta.targetDialect &&
    kept.provider === meta.provider &&
    kept.upstreamModel === meta.upstreamModel &&
    kept.responseModel === meta.responseModel,
  longest: ({ contentType, upstreamModel, responseModel }) =>
    Math.max(contentType.length, upstreamModel.length, responseModel.length),
});

/** Every member, in the order in which an entry holds them. */
const MEMBERS = Object.keys({
  mode: true,
  usageShown: true,
  contentType: true,
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

export function unpackMeta(bytes: Buffer): EntryMeta {
  const values = JSON.parse(bytes.toString("utf8")) as readonly unknown[];
  return Object.fromEntries(MEMBERS.map((member, index) => [member, values[index]])) as unknown as EntryMeta;
}
