/** What the stages use of the node they run on. Built once an acceptor; every part can be replaced in a test. */
import type { NodeCache } from "../cache/node-cache.js";
import type { TurnStore } from "../cache/turn-store.js";
import type { WeirConfig } from "../config/schema.js";
import type { Snapshot } from "../config/snapshot.js";
import type { DialectId, Operation } from "../dialects/dialect.js";
import type { Translation, TranslationJob } from "../dialects/hub.js";
import type { TellingJob, ToldAnswer } from "../dialects/tell-operation.js";
import type { Failure } from "../errors.js";
import type { AccessLog } from "../observability/logger.js";
import type { Cell, Metrics } from "../observability/metrics.js";
import type { Sender } from "../providers/send.js";
import type { Limits } from "../quota/limits.js";
import type { Budgets } from "../quota/money.js";
import type { QuotaTable } from "../quota/table.js";
import type { Waiting } from "../quota/waiting.js";
import type { Router } from "../routing/router.js";
import type { Pricing } from "../usage/pricing.js";
import type { Exchange } from "./exchange.js";
import type { InFlight } from "./in-flight.js";
import type { Ledger } from "./ledger.js";
import type { Guards } from "./screening.js";

/** Counts the tokens of an attempt whose upstream did not say them; lives in the pool. */
export interface Estimator {
  estimate(job: {
    dialect: DialectId;
    operation: Operation;
    request: Uint8Array;
    answer: Uint8Array;
    answerBytesTotal: number;
    streamed: boolean;
  }): Promise<{ inputTokens: number; outputTokens: number }>;
  /** The tokens of a text: the answer to a tokenize request, as JSON. */
  tokenize(request: Uint8Array): Promise<Uint8Array>;
}

/** Translates large requests away from the hot path; rejects when its queue is full. */
export interface Translator {
  translate(job: TranslationJob): Promise<Translation | Failure>;
  /** The same for an answer that is no conversation. */
  tell(job: TellingJob): Promise<ToldAnswer | Failure>;
}

/** The names of the gateway's own response headers, with the configured prefix. */
export interface HeaderNames {
  readonly prefix: string;
  readonly requestId: string;
  readonly cache: string;
  readonly servedBy: string;
  readonly attempts: string;
  readonly upstreamModel: string;
  /** Parts of the request that the target could not take, separated by commas. */
  readonly losses: string;
  /** "true" where the gateway counted tokens itself. */
  readonly estimated: string;
}

/** Counters that the pipeline keeps at hand. */
export interface Counters {
  readonly aborts: Cell;
  readonly estimated: Cell;
  readonly losses: Cell;
  readonly cache: CacheCounters;
  /** Attempts by provider and outcome. */
  attempts(provider: string, outcome: string): Cell;
  /** Dollars by provider and configured model. */
  cost(provider: string, model: string): Cell;
  /** Attempts whose price nobody knows, by the same. */
  unknownPrices(provider: string, model: string): Cell;
}

/** What came of looking requests up in the cache. */
export interface CacheCounters {
  readonly hits: Cell;
  /** Hits that another node's answer made. */
  readonly clusterHits: Cell;
  /** Hits by meaning. */
  readonly semanticHits: Cell;
  readonly misses: Cell;
  readonly bypass: Cell;
  readonly stored: Cell;
}

export interface Node {
  readonly config: WeirConfig;
  readonly name: string;
  readonly headerNames: HeaderNames;
  readonly sender: Sender;
  readonly quota: QuotaTable;
  /** Requests that wait for what the fleet may grant; null = limits are this node's own. */
  readonly waiting: Waiting | null;
  /** Plans where requests go, and knows how the models are doing. */
  readonly router: Router;
  readonly estimator: Estimator;
  readonly translator: Translator;
  readonly guards: Guards;
  readonly cache: NodeCache;
  /** Conversations kept for providers that keep none; null = none are. */
  readonly turns: TurnStore | null;
  /** Counts more memory for an exchange's body; false when the node has none left. */
  takeBodyMemory(exchange: Exchange, bytes: number): boolean;
  readonly ledger: Ledger;
  /** True for the first that asks about a thing, on this node. */
  readonly countedOnce: { first(thing: string): boolean };
  readonly metrics: Metrics;
  readonly counters: Counters;
  readonly accessLog: AccessLog | null;
  /** Tells the operator of an exception that cost a request; the caller gets `internal_error`. */
  reportFault(error: unknown): void;
  /** Every exchange from its headers to its settlement. */
  readonly exchanges: InFlight;
  /** Does any upstream get, or routing read, headers of callers beyond those of the dialects? Swapped together with the snapshot. */
  collectsHeaders: boolean;
  /** A line in the log for the operator; never holds a secret or a prompt. */
  warn(message: string, fields: Readonly<Record<string, string>>): void;
  /** Told of every settled exchange: its place in the node's load is free. */
  onSettled(exchange: Exchange): void;
  /** The configuration new exchanges begin with. */
  snapshot: Snapshot;
  /** When that configuration was loaded, milliseconds since the epoch. */
  loadedAt: number;
  /** What limits requests; swapped together with the snapshot. */
  limits: Limits;
  /** What models cost; swapped when the price file is read again. */
  pricing: Pricing;
  /** null = no budget is in force; swapped together with the snapshot. */
  budgets: Budgets | null;
}

export function headerNames(prefix: string): HeaderNames {
  return {
    prefix,
    requestId: `${prefix}request-id`,
    cache: `${prefix}cache`,
    servedBy: `${prefix}served-by`,
    attempts: `${prefix}attempts`,
    upstreamModel: `${prefix}upstream-model`,
    losses: `${prefix}losses`,
    estimated: `${prefix}estimated`,
  };
}
