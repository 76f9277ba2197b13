/** The parts of one request, each a call of its own: a few at a time, in the order of the inputs. */
import type { Cut } from "../dialects/batch.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { Sink } from "./sink.js";
import { SubCall, type SubCallAnswer } from "./sub-call.js";

/** Enough to hide the time of most calls, few enough not to be taken for an attack. */
const AT_ONCE = 4;

/** What becomes of the parts. */
export interface PartsOwner {
  /** Takes a part's answer as it comes; absent: it is gathered. */
  sinkFor?(index: number): Sink;
  /** A part is over: `answer` is what came of it. Calls that were cancelled end so, too. */
  ended(index: number, answer: SubCallAnswer): void;
  /** No part is under way and none will begin. */
  over(): void;
}

export class Parts {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #cut: Cut;
  readonly #owner: PartsOwner;
  readonly #open = new Set<SubCall>();
  #next = 0;
  #stopped = false;

  constructor(exchange: Exchange, node: Node, cut: Cut, owner: PartsOwner) {
    this.#exchange = exchange;
    this.#node = node;
    this.#cut = cut;
    this.#owner = owner;
  }

  begin(): void {
    while (!this.#stopped && this.#open.size < AT_ONCE && this.#next < this.#cut.parts) this.#call(this.#next++);
  }

  /** Nobody needs the rest. */
  stop(): void {
    this.#stopped = true;
    for (const call of this.#open) call.cancel();
  }

  tick(now: number): void {
    for (const call of this.#open) call.tick(now);
  }

  #call(index: number): void {
    const exchange = this.#exchange;
    const sink = this.#owner.sinkFor?.(index);
    const call = new SubCall(exchange, this.#node, {
      route: exchange.route,
      model: exchange.view?.model ?? "",
      body: this.#cut.part(index),
      deadline: exchange.deadline,
      isPart: true,
      ...(sink === undefined ? {} : { sink }),
    });
    this.#open.add(call);
    const ended = (answer: SubCallAnswer) => {
      this.#open.delete(call);
      try {
        this.#owner.ended(index, answer);
        this.begin();
      } catch (error) {
        this.#node.reportFault(error);
        this.stop();
      }
      if (this.#open.size === 0) this.#owner.over();
    };
    call.answer.then(ended).catch((error: unknown) => this.#node.reportFault(error));
  }
}
