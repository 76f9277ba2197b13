/** What an entry says of the answer that it holds. */

import { number, quote } from "../usage/json-text.js";

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
  const losses = meta.losses.length === 0 ? "" : meta.losses.map(quote).join(",");
  return Buffer.from(
    `["${meta.mode}",${quote(meta.contentType)},${meta.usageShown},${quote(meta.targetDialect)},${quote(meta.provider)},${quote(meta.upstreamModel)},${quote(meta.responseModel)},${quote(meta.responseId)},${quote(meta.finishReason)},${number(meta.inputTokens)},${number(meta.outputTokens)},${number(meta.cacheReadTokens)},${number(meta.cacheWriteTokens)},${number(meta.reasoningTokens)},${number(meta.costUsd)},[${losses}]]`,
  );
}

type Packed = [
  mode: AnswerMode,
  contentType: string,
  usageShown: boolean,
  targetDialect: string,
  provider: string,
  upstreamModel: string,
  responseModel: string,
  responseId: string,
  finishReason: string,
  inputTokens: number,
  outputTokens: number,
  cacheReadTokens: number,
  cacheWriteTokens: number,
  reasoningTokens: number,
  costUsd: number,
  losses: string[],
];

export function unpackMeta(bytes: Buffer): EntryMeta {
  const [
    mode,
    contentType,
    usageShown,
    targetDialect,
    provider,
    upstreamModel,
    responseModel,
    responseId,
    finishReason,
    inputTokens,
    outputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    reasoningTokens,
    costUsd,
    losses,
  ] = JSON.parse(bytes.toString("utf8")) as Packed;
  return {
    mode,
    contentType,
    usageShown,
    targetDialect,
    provider,
    upstreamModel,
    responseModel,
    responseId,
    finishReason,
    inputTokens,
    outputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    reasoningTokens,
    costUsd,
    losses,
  };
}
