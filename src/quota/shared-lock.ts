/** A lock in shared memory, for sections of microseconds. Whoever buries a dead thread frees it. */

/** Tries before a waiting thread sleeps: the holder may have lost its core. */
const SPINS = 200;
/** A sleeping thread looks again by itself: the holder may have died. */
const SLEEP_MS = 1;

/** 32-bit words that a lock takes. */
export const LOCK_WORDS = 2;
const OWNER = 0;
/** How many threads sleep: waking costs a call into the kernel, and mostly nobody does. */
const SLEEPERS = 1;

export class SharedLock {
  readonly #words: Int32Array;
  /** What the first word holds while this thread has the lock; 0 = nobody has. */
  readonly #owner: number;

  /** `words`: zeroed, LOCK_WORDS of them; `row`: of this thread, no other living one has it. */
  constructor(words: Int32Array, row: number) {
    this.#words = words;
    this.#owner = row + 1;
  }

  take(): void {
    for (let spins = 1; ; spins += 1) {
      const holder = Atomics.compareExchange(this.#words, OWNER, 0, this.#owner);
      if (holder === 0) return;
      if (spins > SPINS) this.#sleep(holder);
    }
  }

  release(): void {
    Atomics.store(this.#words, OWNER, 0);
    if (Atomics.load(this.#words, SLEEPERS) !== 0) Atomics.notify(this.#words, OWNER, 1);
  }

  /** The thread of this row is dead. Frees the lock if it died with it. */
  bury(): void {
    if (Atomics.compareExchange(this.#words, OWNER, this.#owner, 0) === this.#owner) {
      Atomics.notify(this.#words, OWNER, 1);
    }
  }

  /** A thread that dies here is counted for ever: every release then wakes nobody, which costs time alone. */
  #sleep(holder: number): void {
    Atomics.add(this.#words, SLEEPERS, 1);
    Atomics.wait(this.#words, OWNER, holder, SLEEP_MS);
    Atomics.sub(this.#words, SLEEPERS, 1);
  }
}
