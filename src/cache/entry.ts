/** What an entry says of the answer that it holds. */

import { JsonLine, SharedPiece } from "../usage/json-line.js";

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

const COMMA = 0x2c;
const CLOSE_BRACKET = 0x5d;

/** The members without their names: entries live in the memory of one process, no other version ever reads them. */
export function writeMeta(line: JsonLine, meta: EntryMeta): void {
  line.piece(ORIGIN.of(meta.upstreamModel, meta));
  line.quoted(meta.responseId);
  line.byte(COMMA);
  line.quoted(meta.finishReason);
  line.byte(COMMA);
  line.number(meta.inputTokens);
  line.byte(COMMA);
  line.number(meta.outputTokens);
  line.byte(COMMA);
  line.number(meta.cacheReadTokens);
  line.byte(COMMA);
  line.number(meta.cacheWriteTokens);
  line.byte(COMMA);
  line.number(meta.reasoningTokens);
  line.byte(COMMA);
  line.number(meta.costUsd);
  line.byte(COMMA);
  line.list(meta.losses);
  line.byte(CLOSE_BRACKET);
}

/** The same in memory of its own. */
export function packMeta(meta: EntryMeta): Buffer {
  const line = new JsonLine();
  writeMeta(line, meta);
  return line.written();
}

/** What all answers of a target share. */
const ORIGIN = new SharedPiece({
  write(line, meta: EntryMeta) {
    line.ascii(`["${meta.mode}",${meta.usageShown},`);
    for (const text of [meta.contentType, meta.targetDialect, meta.provider, meta.upstreamModel, meta.responseModel]) {
      line.quoted(text);
      line.byte(COMMA);
    }
  },
  keep: ({ mode, usageShown, contentType, targetDialect, provider, upstreamModel, responseModel }: EntryMeta) => ({
    mode,
    usageShown,
    contentType,
    targetDialect,
    provider,
    upstreamModel,
    responseModel,
  }),
  same: (kept, meta) =>
    kept.mode === meta.mode &&
    kept.usageShown === meta.usageShown &&
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
