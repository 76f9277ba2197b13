/**
 * Equal misses share one upstream call: the first goes ahead, the others wait for what becomes of it. Those on its
 * own thread are told at once; those on other threads look at its mark every few milliseconds.
 */
import { FOLLOWS, type Marks } from "./marks.js";
import type { RecordingEnd } from "./recording.js";

/** How often the marks of other threads are looked at. */
const LOOK_MS = 5;

/** A wait that can be given up. */
export interface Waiting {
  cancel(): void;
}

type Told = (end: RecordingEnd) => void;

class Follower implements Waiting {
  readonly key: Buffer;
  readonly name: string;
  readonly told: Told;
  readonly #leave: (follower: Follower) => void;

  constructor(key: Buffer, told: Told, leave: (follower: Follower) => void) {
    this.key = key;
    this.name = nameOf(key);
    this.told = told;
    this.#leave = leave;
  }

  cancel(): void {
    this.#leave(this);
  }
}

export class Collapse {
  readonly #marks: Marks;
  readonly #clock: () => number;
  readonly #followers = new Map<string, Set<Follower>>();
  /** Keys whose first one is on this thread. */
  readonly #leading = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;

  /** `clock`: milliseconds since the epoch. */
  constructor(marks: Marks, clock: () => number) {
    this.#marks = marks;
    this.#clock = clock;
  }

  /**
   * "leads": go ahead, and call `end` whatever happens. "follows": `wait`. "alone": go ahead, nobody waits.
   * `expiresAt`: when a mark that was never taken back counts no more.
   */
  join(key: Buffer, expiresAt: number): "leads" | "follows" | "alone" {
    const ticket = this.#marks.claim(key, this.#clock(), expiresAt);
    if (ticket <= 0) return ticket === FOLLOWS ? "follows" : "alone";
    this.#leading.set(nameOf(key), ticket);
    return "leads";
  }

  /** Calls back once, when the one ahead has ended. */
  wait(key: Buffer, told: Told): Waiting {
    const follower = new Follower(key, told, (leaving) => this.#leave(leaving));
    const others = this.#followers.get(follower.name);
    if (others === undefined) this.#followers.set(follower.name, new Set([follower]));
    else others.add(follower);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    return follower;
  }

  /** The one ahead, on this thread, has ended. */
  end(key: Buffer, end: RecordingEnd): void {
    const name = nameOf(key);
    const ticket = this.#leading.get(name);
    if (ticket === undefined) return;
    this.#leading.delete(name);
    this.#marks.release(key, ticket);
    this.#tell(name, end);
  }

  #look(): void {
    const now = this.#clock();
    for (const [name, [first]] of this.#followers) {
      if (first === undefined || this.#leading.has(name) || this.#marks.isMarked(first.key, now)) continue;
      this.#tell(name, "failed");
    }
  }

  #tell(name: string, end: RecordingEnd): void {
    const followers = this.#followers.get(name);
    if (followers === undefined) return;
    this.#followers.delete(name);
    this.#rest();
    for (const follower of followers) follower.told(end);
  }

  #leave(follower: Follower): void {
    const others = this.#followers.get(follower.name);
    if (others?.delete(follower) !== true || others.size > 0) return;
    this.#followers.delete(follower.name);
    this.#rest();
  }

  /** Nobody waits: nobody looks. */
  #rest(): void {
    if (this.#followers.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

function nameOf(key: Buffer): string {
  return key.toString("latin1");
}
