/** A lock in shared memory, for sections of microseconds. Whoever buries a dead thread frees it. */

/** Tries before a waiting thread sleeps: the holder may have lost its core. */
const SPINS = 200;

export class SharedLock {
  readonly #word: Int32Array;
  /** What the word holds while this thread has the lock; 0 = nobody has. */
  readonly #owner: number;

  /** `word`: one zeroed integer; `row`: of this thread, no other living one has it. */
  constructor(word: Int32Array, row: number) {
    this.#word = word;
    this.#owner = row + 1;
  }

  take(): void {
    for (let spins = 1; ; spins += 1) {
      const holder = Atomics.compareExchange(this.#word, 0, 0, this.#owner);
      if (holder === 0) return;
      if (spins > SPINS) Atomics.wait(this.#word, 0, holder, 1);
    }
  }

  release(): void {
    Atomics.store(this.#word, 0, 0);
    Atomics.notify(this.#word, 0, 1);
  }

  /** The thread of this row is dead. Frees the lock if it died with it. */
  bury(): void {
    if (Atomics.compareExchange(this.#word, 0, this.#owner, 0) === this.#owner) Atomics.notify(this.#word, 0, 1);
  }
}
