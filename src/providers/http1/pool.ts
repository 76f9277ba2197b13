/** The connections to one origin: the one that has rested least is taken first, and what finds none waits in turn. */
import type { Call } from "./call.js";
import { Connection, type ConnectionOwner, type OpenSocket } from "./connection.js";

export interface PoolOptions {
  /** Milliseconds in which a connection must be open, TLS included. */
  readonly connectMs: number;
  readonly connections: number;
}

export class OriginPool implements ConnectionOwner {
  readonly #open: OpenSocket;
  readonly #options: PoolOptions;
  readonly #all = new Set<Connection>();
  readonly #free: Connection[] = [];
  /** Calls in their order, each with the time until which it waits. */
  readonly #waiting = new Map<Call, number>();
  #destroyed = false;

  constructor(open: OpenSocket, options: PoolOptions) {
    this.#open = open;
    this.#options = options;
  }

  /** Open connections, those that are being opened included. */
  get size(): number {
    return this.#all.size;
  }

  /** Sends the call, now or when its turn has come. */
  send(call: Call, now: number): void {
    for (let free = this.#free.pop(); free !== undefined; free = this.#free.pop()) {
      if (free.isUsable(now)) {
        free.start(call, now);
        return;
      }
      free.destroy();
    }
    if (this.#all.size < this.#options.connections) this.#openFor(call);
    else {
      const { firstByteMs } = call.request;
      this.#waiting.set(call, firstByteMs > 0 ? now + firstByteMs : Number.POSITIVE_INFINITY);
      call.carrier = { drop: (left) => this.#waiting.delete(left), resume: () => {} };
    }
  }

  /** Looks at the clock. */
  tick(now: number): void {
    for (const connection of this.#all) connection.tick(now);
    for (const [call, until] of this.#waiting) {
      if (now < until) continue;
      this.#waiting.delete(call);
      call.fail("timeout", "no free connection");
    }
  }

  /** Ends every connection; what is under way or waits fails. */
  destroy(): void {
    this.#destroyed = true;
    for (const call of this.#waiting.keys()) call.fail("aborted", "closed");
    this.#waiting.clear();
    for (const connection of this.#all) connection.destroy();
  }

  onFree(connection: Connection): void {
    const next = this.#next();
    if (next === null) this.#free.push(connection);
    else connection.start(next, performance.now());
  }

  onClosed(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#free.lastIndexOf(connection);
    if (at >= 0) this.#free.splice(at, 1);
    if (this.#destroyed || this.#all.size >= this.#options.connections) return;
    const next = this.#next();
    if (next !== null) this.#openFor(next);
  }

  onUnsent(call: Call): void {
    this.send(call, performance.now());
  }

  #next(): Call | null {
    for (const call of this.#waiting.keys()) {
      this.#waiting.delete(call);
      return call;
    }
    return null;
  }

  #openFor(call: Call): void {
    this.#all.add(new Connection(this, this.#open, call, this.#options.connectMs));
  }
}
