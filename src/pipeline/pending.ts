/** An exchange that waits for work done elsewhere (a pool thread) before its stage can end. */
import { failure, isFailure } from "../errors.js";
import { endFaulty } from "./end-faulty.js";
import { noteLeft } from "./client-left.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { settle } from "./settle.js";

/** The pool gives up on what it has no room for; there will be room again soon. */
const RETRY_SECONDS = 1;

/**
 * Waits for `work`, then goes on with its result; a rejection means that the pool had no room or failed. If
 * the client leaves first, the exchange is settled and the result dropped.
 */
export function waitFor<T>(
  exchange: Exchange,
  node: Node,
  work: Promise<T>,
  goOn: (result: T) => StageOutcome,
): StageOutcome {
  const pending = new Pending(exchange, node);
  work
    .then(
      (result) => pending.end(() => goOn(result)),
      () => pending.end(() => failure("overloaded", undefined, null, RETRY_SECONDS)),
    )
    .catch((error: unknown) => endFaulty(exchange, node, error));
  return "under-way";
}

/** Runs the stages behind the one that an exchange stands at. */
type GoOn = (exchange: Exchange, node: Node) => void;

let goOnBehind: GoOn | null = null;

/** The pipeline says how to go on behind a stage that has waited: its stages wait, so it cannot be imported here. */
export function behindWaiting(goOn: GoOn): void {
  goOnBehind = goOn;
}

/** The exchange's work while it waits. */
export class Pending implements WorkUnderWay {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #onLeft: (() => void) | null;
  #left = false;

  /** `onLeft`: the client has left, and what is waited for is not wanted any more. */
  constructor(exchange: Exchange, node: Node, onLeft: (() => void) | null = null) {
    this.#exchange = exchange;
    this.#node = node;
    this.#onLeft = onLeft;
    exchange.work = this;
  }

  cancel(): void {
    this.#left = true;
    this.#onLeft?.();
    noteLeft(this.#exchange);
    settle.run(this.#exchange, this.#node);
  }

  /** Pool jobs are bounded in time; there is nothing to hurry. */
  tick(): void {}

  /** What was waited for is there: goes on with it, unless the client has left. */
  end(goOn: () => StageOutcome): void {
    if (this.#left) return;
    const outcome = this.#outcomeOf(goOn);
    if (outcome === "under-way") return;
    if (outcome === "next" && goOnBehind !== null) {
      this.#exchange.work = null;
      goOnBehind(this.#exchange, this.#node);
      return;
    }
    if (isFailure(outcome)) refuse(this.#exchange, this.#node, outcome);
    settle.run(this.#exchange, this.#node);
  }

  #outcomeOf(goOn: () => StageOutcome): StageOutcome {
    try {
      return goOn();
    } catch (error) {
      this.#node.reportFault(error);
      return failure("internal_error");
    }
  }
}
