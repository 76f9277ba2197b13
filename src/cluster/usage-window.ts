/** What is on its way into the stream: a bounded number of events, acknowledged in any order, confirmed in theirs. */
import type { DrainedLine } from "../usage/journal-drain.js";

/** What the stream said to one event. */
export interface Stored {
  readonly sequence: number;
  /** It was there already. */
  readonly duplicate: boolean;
}

interface Flight {
  readonly line: DrainedLine;
  stored: Stored | null;
}

export interface WindowOptions {
  /** Sends one event; resolves when the stream has it. */
  readonly send: (line: DrainedLine) => Promise<Stored>;
  /** Called in the order in which the lines were given; `stored` is null for lines that were not to be sent. */
  readonly confirm: (line: DrainedLine, stored: Stored | null) => void;
}

const SKIPPED: Stored = { sequence: 0, duplicate: false };

export class UsageWindow {
  readonly #options: WindowOptions;
  #flights: Flight[] = [];
  #first = 0;
  #error: unknown = null;
  #wake: (() => void) | null = null;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** Events sent and not confirmed. */
  get size(): number {
    return this.#flights.length - this.#first;
  }

  /** Why it cannot go on; null = it can. What is on its way then has to be given again. */
  get error(): unknown {
    return this.#error;
  }

  /** Sends a line, or only keeps its place in the order. */
  add(line: DrainedLine, isSent: boolean): void {
    const flight: Flight = { line, stored: isSent ? null : SKIPPED };
    this.#flights.push(flight);
    if (!isSent) {
      this.#advance();
      return;
    }
    this.#options.send(line).then(
      (stored) => {
        flight.stored = stored;
        this.#advance();
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** Ends it; what is acknowledged from now on is not confirmed. */
  fail(error: unknown): void {
    this.#error ??= error ?? new Error("unknown reason");
    this.#wake?.();
  }

  /** Resolves when something was confirmed or has failed, or after so many milliseconds. */
  async moved(limitMs: number): Promise<void> {
    if (this.#error !== null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  #advance(): void {
    if (this.#error !== null) return;
    for (let flight = this.#flights[this.#first]; flight !== undefined; flight = this.#flights[this.#first]) {
      if (flight.stored === null) break;
      this.#first += 1;
      this.#options.confirm(flight.line, flight.stored === SKIPPED ? null : flight.stored);
    }
    if (this.#first > 0 && this.#first * 2 >= this.#flights.length) {
      this.#flights = this.#flights.slice(this.#first);
      this.#first = 0;
    }
    this.#wake?.();
  }
}
