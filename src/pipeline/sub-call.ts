/**
 * A call that the gateway makes for itself while it serves a request, or to see whether a model is well: to a panel
 * member, to an embedding model. It takes the same way to its target as a caller's request, under the target's own
 * limits, and leaves a usage event; only the caller's key is not asked again.
 */
import type { Snapshot } from "../config/snapshot.js";
import { failure, isFailure } from "../errors.js";
import type { UsageEvent } from "../usage/event.js";
import type { Plan } from "../routing/plan.js";
import { newEventId } from "../usage/event-id.js";
import { CollectingSink } from "./collecting-sink.js";
import { EMPTY_BODY, Exchange, type RequestHeaders, type Route, type WorkUnderWay } from "./exchange.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { resolveMember } from "./resolve.js";
import { runPlan } from "./send-to.js";
import { settle } from "./settle.js";
import type { Sink } from "./sink.js";

export interface SubCallRequest {
  /** Operation and dialect of `body` and of the answer. */
  readonly route: Route;
  /** Name of a model that one provider serves. */
  readonly model: string;
  readonly body: Buffer;
  /** The body is not a caller's; see `Exchange.writtenHere`. */
  readonly writtenHere?: boolean;
  /** On the monotonic clock; never later than the request's own. */
  readonly deadline: number;
  /** A part of the principal's own request, to the same model: limits have admitted it, guardrails look at its answer. */
  readonly isPart?: boolean;
  /** Takes the answer as it comes; absent: it is gathered. */
  readonly sink?: Sink;
}

export interface SubCallAnswer {
  /** As a caller would have seen it; 0 = the call was cancelled, or its answer was too long. */
  readonly status: number;
  /** In the dialect of the route, errors too; empty where a sink of the request's took it. */
  readonly body: Buffer;
  /** Names and values alternate. */
  readonly headers: readonly string[];
  /** Code of the error table, or "upstream_error"; "" = success. */
  readonly error: string;
  /** Of the last attempt; null when no upstream was asked. */
  readonly usage: UsageEvent | null;
}

/** Whom a call is made for: a caller's request, or nobody (a check of a model's health). */
export type Principal = Exchange | { readonly id: string; readonly snapshot: Snapshot };

const OF_THE_ANSWER: ReadonlySet<string> = new Set(["accept", "idempotency-key"]);
const OF_THE_TRACE: ReadonlySet<string> = new Set(["traceparent", "tracestate"]);
/** How often such a call looks at the clock. */
const TICK_MS = 25;
const NO_HEADERS: RequestHeaders = Object.freeze({
  presentedKeys: [],
  userAgent: "",
  forwardedFor: "",
  model: "",
  provider: "",
  contentEncoding: "",
  contentType: "",
  strict: false,
  cacheControl: "",
  contentLength: -1,
  passed: [],
  others: [],
  problem: null,
});

/** Answers a request in parts where its list is too long for one call; null = it is not. */
type Split = (exchange: Exchange, node: Node, plan: Plan) => StageOutcome | null;

let splitting: Split | null = null;

/** What splits makes calls itself, so it cannot be imported here. */
export function splitCallsWith(split: Split): void {
  splitting = split;
}

export class SubCall implements WorkUnderWay {
  /** Resolves when the call is settled: its usage line is on file, and nothing of it is under way any more. */
  readonly answer: Promise<SubCallAnswer>;
  readonly #exchange: Exchange;
  readonly #node: Node;

  constructor(principal: Principal, node: Node, request: SubCallRequest) {
    this.#node = node;
    let collected: Pick<SubCallAnswer, "status" | "body" | "headers"> = { status: 0, body: EMPTY_BODY, headers: [] };
    const gathering = new CollectingSink(node.config.limits.body_bytes, (status, body, headers) => {
      collected = { status, body, headers };
      // Nobody would read the rest of an answer that is too long.
      if (status === 0) exchange.work?.cancel();
    });
    const exchange = exchangeFor(principal, request, request.sink ?? gathering);
    this.#exchange = exchange;
    this.answer = new Promise((resolve) => {
      exchange.whenSettled = () => resolve({ ...collected, error: exchange.error, usage: exchange.usage });
    });
    this.#begin(request);
  }

  /** Nobody needs the answer any more; it becomes an error. */
  cancel(): void {
    const exchange = this.#exchange;
    if (exchange.settled) return;
    exchange.clientGone = true;
    exchange.sink.abort();
    exchange.work?.cancel();
  }

  tick(now: number): void {
    this.#exchange.work?.tick(now);
  }

  #begin({ model, deadline }: SubCallRequest): void {
    const exchange = this.#exchange;
    const problem = resolveMember(exchange, this.#node, model);
    exchange.deadline = Math.min(exchange.deadline, deadline);
    const outcome = problem ?? this.#dispatch();
    if (outcome === "under-way") return;
    if (isFailure(outcome)) refuse(exchange, this.#node, outcome);
    settle.run(exchange, this.#node);
  }

  #dispatch(): StageOutcome {
    const { plan } = this.#exchange;
    try {
      if (plan === null) return failure("internal_error");
      const split = this.#exchange.isPart ? null : (splitting?.(this.#exchange, this.#node, plan) ?? null);
      return split ?? runPlan(this.#exchange, this.#node, plan);
    } catch (error) {
      this.#node.reportFault(error);
      return failure("internal_error");
    }
  }
}

/** The caller's headers, but for those that speak of the one answer, or in another dialect. */
function headersFrom({ headers, route }: Exchange, { dialect }: Route): RequestHeaders {
  const { passed } = headers;
  const goesOn = (name: string) => OF_THE_TRACE.has(name) || (dialect === route.dialect && !OF_THE_ANSWER.has(name));
  return {
    ...headers,
    presentedKeys: headers.presentedKeys,
    passed: passed.filter((_, index) => goesOn(passed[index - (index % 2)] as string)),
  };
}

function exchangeFor(principal: Principal, request: SubCallRequest, sink: Sink): Exchange {
  const parent = principal instanceof Exchange ? principal : null;
  const line = { method: "post", path: request.route.path, pathParameter: "" };
  const headers = parent === null ? NO_HEADERS : headersFrom(parent, request.route);
  const exchange = new Exchange(request.route, line, headers, {
    id: principal.id,
    clientAddress: parent?.clientAddress ?? "",
    sink,
    snapshot: principal.snapshot,
    now: performance.now(),
    nowWall: Date.now(),
  });
  exchange.inner = true;
  exchange.isPart = request.isPart === true;
  exchange.limitsTargets = !exchange.isPart;
  if (exchange.isPart && parent !== null) exchange.screening = parent.screening;
  exchange.parent = parent;
  exchange.key = parent?.key ?? null;
  exchange.body = request.body;
  exchange.writtenHere = request.writtenHere === true;
  if (parent !== null) exchange.deadline = parent.deadline;
  return exchange;
}

/** A call that belongs to no request: nobody but it looks at its own clock. */
export function callForNobody(snapshot: Snapshot, node: Node, request: SubCallRequest): SubCall {
  const call = new SubCall({ id: newEventId(), snapshot }, node, request);
  const timer = setInterval(() => call.tick(performance.now()), TICK_MS);
  void call.answer.then(() => clearInterval(timer));
  return call;
}
