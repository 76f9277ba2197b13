/** Gathers the metrics of the acceptors' threads, and keeps what those that are gone had counted. */
import { type MetricObjects, retainTotals } from "../observability/metrics.js";
import type { Outbox } from "./actor.js";
import type { AcceptorMessage } from "./messages.js";

/** How long a scrape waits for an acceptor's metrics, milliseconds. */
const COLLECT_MS = 1_000;

export class ThreadMetrics {
  readonly #collecting = new Map<number, (metrics: MetricObjects) => void>();
  /** A total must not fall because a thread went. */
  #retired: MetricObjects = [];
  #ticket = 0;

  /** Of the threads behind these mailboxes, and of all that are gone; what one does not say in time is left out. */
  async collect(outboxes: readonly Outbox<AcceptorMessage>[]): Promise<MetricObjects[]> {
    const answers = outboxes.map((outbox) => this.#collectFrom(outbox));
    return [this.#retired, ...(await Promise.all(answers))];
  }

  /** A thread has answered; ticket 0 is its farewell. */
  collected(ticket: number, metrics: MetricObjects): void {
    if (ticket === 0) this.#retired = retainTotals(this.#retired, metrics);
    else this.#collecting.get(ticket)?.(metrics);
  }

  #collectFrom(outbox: Outbox<AcceptorMessage>): Promise<MetricObjects> {
    const ticket = ++this.#ticket;
    return new Promise((done) => {
      const finish = (metrics: MetricObjects) => {
        clearTimeout(timer);
        this.#collecting.delete(ticket);
        done(metrics);
      };
      const timer = setTimeout(() => finish([]), COLLECT_MS);
      this.#collecting.set(ticket, finish);
      if (!outbox.send({ kind: "collect", ticket })) finish([]);
    });
  }
}
