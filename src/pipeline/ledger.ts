/**
 * The order that keeps usage from being lost: an attempt's journal line is on file before the answer's
 * last bytes leave. Lines of one turn of the event loop are written with one call, then the answers end.
 */

import type { UsageEvent } from "../usage/event.js";

/** What the ledger needs of a journal. */
export interface Journal {
  append(event: UsageEvent): void;
  /** Writes everything appended so far. */
  flush(): boolean;
}

/** The rest of an answer, to be sent once its line is on file. */
export interface Delivery {
  deliver(): void;
}

export class Ledger {
  readonly #journal: Journal;
  #waiting: Delivery[] = [];
  #scheduled = false;
  readonly #flush = () => this.flush();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Writes the event's line at the end of this turn, then delivers. */
  post(event: UsageEvent, delivery: Delivery): void {
    this.#journal.append(event);
    this.#waiting.push(delivery);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  /** Writes and delivers all that waits, now. */
  flush(): void {
    this.#scheduled = false;
    const deliveries = this.#waiting;
    this.#waiting = [];
    this.#journal.flush();
    for (const delivery of deliveries) delivery.deliver();
  }
}
