/**
 * A request whose list is longer than one call takes: cut, answered in parts, put together again. The caller gets all
 * of it or the failure of the part that failed first, and each part leaves its own usage event.
 */
import { type BatchForm, type Cut, cutBatch, joinAnswers } from "../dialects/batch.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { Plan } from "../routing/plan.js";
import type { UsageEvent } from "../usage/event.js";
import { leaveEarly } from "./client-left.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import type { Node } from "./node.js";
import { Parts, type PartsOwner } from "./parts.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { settle } from "./settle.js";
import { settleLeases } from "./settle-leases.js";
import { joinedHeaders, recordJoined, totalUsage } from "./split-answer.js";
import { tellFailure } from "./split-failure.js";
import { SplitStream } from "./split-stream.js";
import { type SubCallAnswer, splitCallsWith } from "./sub-call.js";

/** null: one call takes the whole request. */
export function beginSplit(exchange: Exchange, node: Node, plan: Plan): StageOutcome | null {
  const { batch } = exchange.route.dialect;
  if (batch === undefined) return null;
  const most = inputsPerCall(exchange, plan);
  // Every input has two bytes at least.
  if (exchange.body.length <= 2 * most) return null;
  const cut = cutBatch(exchange.body, batch, most);
  if (cut === null || isFailure(cut)) return cut;
  if (exchange.view?.stream === true) new SplitStream(exchange, node, cut).begin();
  else new SplitRun(exchange, node, cut, batch).begin();
  return "under-way";
}

splitCallsWith(beginSplit);

/** What all targets of the plan take: any of them may have to answer. */
function inputsPerCall({ route }: Exchange, { candidates }: Plan): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { target, model } of candidates) {
    const one = route.operation === "completions" && target.bridge.kind === "hub";
    least = Math.min(least, one ? 1 : target.inputsPerCall(model.upstreamModel));
  }
  return least;
}

export class SplitRun implements WorkUnderWay, PartsOwner {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #cut: Cut;
  readonly #form: BatchForm;
  readonly #parts: Parts;
  readonly #answers: Buffer[] = [];
  readonly #usages: UsageEvent[] = [];
  #bytes = 0;
  #failed: SubCallAnswer | Failure | null = null;
  #left = false;

  constructor(exchange: Exchange, node: Node, cut: Cut, form: BatchForm) {
    this.#exchange = exchange;
    this.#node = node;
    this.#cut = cut;
    this.#form = form;
    this.#parts = new Parts(exchange, node, cut, this);
  }

  begin(): void {
    this.#exchange.work = this;
    this.#parts.begin();
  }

  /** Settled when the calls are, whose tokens are the request's. */
  cancel(): void {
    if (this.#left) return;
    this.#left = true;
    leaveEarly(this.#exchange, this.#node);
    this.#parts.stop();
  }

  tick(now: number): void {
    this.#parts.tick(now);
  }

  ended(index: number, answer: SubCallAnswer): void {
    if (answer.usage !== null) this.#usages.push(answer.usage);
    if (this.#exchange.firstByteAt === 0) this.#exchange.firstByteAt = performance.now();
    if (this.#failed !== null || this.#left) return;
    if (answer.status < 200 || answer.status >= 300) this.#fail(answer);
    else {
      this.#answers[index] = answer.body;
      this.#bytes += answer.body.length;
      if (this.#bytes > this.#node.config.limits.body_bytes) {
        this.#fail(failure("upstream_decode_error", "The upstream's answers are too large to be put together."));
      }
    }
  }

  over(): void {
    const exchange = this.#exchange;
    exchange.usage = totalUsage(this.#usages);
    // What an inner call uses is its caller's.
    if (exchange.parent !== null) exchange.parent.tokensUsed += exchange.tokensUsed;
    settleLeases(exchange, this.#node);
    if (!this.#left) this.#answer();
    settle.run(exchange, this.#node);
  }

  #fail(failed: SubCallAnswer | Failure): void {
    this.#failed = failed;
    this.#parts.stop();
  }

  #answer(): void {
    const exchange = this.#exchange;
    const failed = this.#failed;
    if (failed !== null) {
      tellFailure(exchange, this.#node, failed);
      return;
    }
    const whole = this.#answers.length === this.#cut.parts ? joinAnswers(this.#cut, this.#answers, this.#form) : null;
    if (whole === null) {
      refuse(exchange, this.#node, failure("upstream_decode_error"));
      return;
    }
    recordJoined(exchange, whole);
    exchange.status = 200;
    exchange.responseBytes = whole.length;
    exchange.sink.answer(200, joinedHeaders(exchange, this.#node), whole);
  }
}
