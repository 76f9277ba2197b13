/**
 * The exchanges under way. An array and not a Set: a Set whose entries come and go replaces its table every
 * few dozen of them, each old table points to the next, and once one of them is old, the young-generation
 * collector keeps every exchange that any of them ever held (measured: a fifth of an acceptor's time).
 */
import type { Exchange } from "./exchange.js";

export class InFlight {
  readonly #exchanges: Exchange[] = [];

  get size(): number {
    return this.#exchanges.length;
  }

  add(exchange: Exchange): void {
    exchange.place = this.#exchanges.push(exchange) - 1;
  }

  delete(exchange: Exchange): void {
    const { place } = exchange;
    const last = this.#exchanges.pop();
    if (last === undefined || last === exchange) return;
    this.#exchanges[place] = last;
    last.place = place;
  }

  /** Visits every exchange once; the visitor may delete the one it is given. */
  visit(visit: (exchange: Exchange) => void): void {
    for (let index = this.#exchanges.length - 1; index >= 0; index -= 1) {
      const exchange = this.#exchanges[index];
      if (exchange !== undefined) visit(exchange);
    }
  }
}
