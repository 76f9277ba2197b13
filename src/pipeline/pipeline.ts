/**
 * The one way that every request takes, whatever its endpoint: the ordered stages and the loop that runs
 * them. docs/lifecycle.md tells the same story for people; a test holds the two equal.
 */
import { type ErrorCode, type Failure, failure, isFailure } from "../errors.js";
import { admit } from "./admit.js";
import { authenticate } from "./authenticate.js";
import { dispatch } from "./dispatch.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { behindWaiting } from "./pending.js";
import { recall } from "./recall.js";
import { refuse } from "./refuse.js";
import { resolve } from "./resolve.js";
import { screen } from "./screen.js";
import { settle } from "./settle.js";

/**
 * What a stage says: `next` goes on; `under-way` means that the stage's work will call `settle` itself
 * when it ends; `answered` goes straight to `settle`; a failure is rendered for the caller, then settled.
 */
export type StageOutcome = "next" | "under-way" | "answered" | Failure;

export interface Stage {
  readonly name: string;
  /** A stage that needs only the headers runs before a byte of the body is read. */
  readonly needs: "headers" | "body";
  /** Codes this stage may refuse with. */
  readonly failures: readonly ErrorCode[];
  run(exchange: Exchange, node: Node): StageOutcome;
}

export const STAGES: readonly Stage[] = [authenticate, resolve, admit, screen, recall, dispatch, settle];

const FIRST_BODY_STAGE = STAGES.findIndex((stage) => stage.needs === "body");
const LAST = STAGES.length - 1;

behindWaiting((exchange, node) => void run(exchange, node, exchange.stage + 1, LAST));

/** Runs the stages that need only headers. True: the exchange wants its body. */
export function begin(exchange: Exchange, node: Node): boolean {
  return run(exchange, node, 0, FIRST_BODY_STAGE);
}

/** Runs the rest, once the body is there. */
export function proceed(exchange: Exchange, node: Node): void {
  run(exchange, node, FIRST_BODY_STAGE, LAST);
}

function run(exchange: Exchange, node: Node, from: number, to: number): boolean {
  for (let index = from; index < to; index += 1) {
    exchange.stage = index;
    const outcome = runStage(STAGES[index] as Stage, exchange, node);
    if (outcome === "next") continue;
    if (outcome === "under-way") return false;
    if (isFailure(outcome)) refuse(exchange, node, outcome);
    settle.run(exchange, node);
    return false;
  }
  return true;
}

/** A request that a stage did not foresee costs that request, not the thread and all that it holds. */
function runStage(stage: Stage, exchange: Exchange, node: Node): StageOutcome {
  try {
    return stage.run(exchange, node);
  } catch (error) {
    node.reportFault(error);
    return failure("internal_error");
  }
}
