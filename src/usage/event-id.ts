/**
 * Ids that sort by time and never repeat, in the layout of UUID version 7 (RFC 9562 §5.7): 48 bits of
 * milliseconds, 26 bits counting within the millisecond, 48 random bits drawn once per thread. The random
 * part tells threads, processes and nodes apart; the counter tells the ids of one thread apart.
 */
import { randomBytes } from "node:crypto";

const COUNTER_BITS_HIGH = 14;
const COUNTER_LIMIT = 1 << 26;

/** Ids of one millisecond whose ends are kept as text: more than these are rarely made in one. */
const KEPT_TAILS = 256;

export class EventIds {
  readonly #suffix: string;
  readonly #tails: string[] = [];
  readonly #now: () => number;
  #millisecond = 0;
  #prefix = "";
  #counter = 0;

  /** `now` gives milliseconds since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#suffix = randomBytes(6).toString("hex");
  }

  /** A new id. A clock that steps back does not: the last millisecond is used until time catches up. */
  next(): string {
    const now = this.#now();
    if (now > this.#millisecond) this.#enter(now);
    else if (this.#counter >= COUNTER_LIMIT) this.#enter(this.#millisecond + 1);
    const count = this.#counter++;
    return this.#prefix + (this.#tails[count] ?? this.#tail(count));
  }

  #tail(count: number): string {
    const high = (0x7000 | (count >>> COUNTER_BITS_HIGH)).toString(16);
    const low = (0x8000 | (count & ((1 << COUNTER_BITS_HIGH) - 1))).toString(16);
    const tail = `${high}-${low}-${this.#suffix}`;
    if (count < KEPT_TAILS) this.#tails[count] = tail;
    return tail;
  }

  #enter(millisecond: number): void {
    this.#millisecond = millisecond;
    this.#counter = 0;
    const hex = millisecond.toString(16).padStart(12, "0");
    this.#prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-`;
  }
}

const ids = new EventIds();

/** A new event id of this thread: time-ordered, unique over threads, restarts and nodes. */
export function newEventId(): string {
  return ids.next();
}
