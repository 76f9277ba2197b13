/**
 * Whose turn it is, counted in memory that the threads of a node share: a round robin is exact over all of them.
 * A cursor is found by the hash of what takes turns (a group and the targets of it that are there to be chosen);
 * it needs no lock, and nobody hands cursors out.
 */

const CELLS = 8_192;
const PROBES = 16;

/** Zeroed memory for the cursors of a node. */
export function allocateCursorMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * 2 * 4);
}

export class Cursors {
  readonly #cells: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
  }

  /** Number of the turn that the caller has now, from 0 on. `hash`: 32 bits, of what takes turns. */
  next(hash: number): number {
    const key = hash | 0 || 1;
    const home = key & (CELLS - 1);
    for (let probe = 0; probe < PROBES; probe += 1) {
      const at = ((home + probe) & (CELLS - 1)) * 2;
      let holder = Atomics.load(this.#cells, at);
      if (holder === 0) holder = Atomics.compareExchange(this.#cells, at, 0, key) || key;
      if (holder === key) return Atomics.add(this.#cells, at + 1, 1) >>> 0;
    }
    // Too many take turns hereabouts: they share one cursor, which is fair but no longer exact.
    return Atomics.add(this.#cells, home * 2 + 1, 1) >>> 0;
  }

  /** Forgets all turns when half of the cells are taken: by groups that are long gone, or that have many states. */
  tidy(): void {
    let taken = 0;
    for (let at = 0; at < this.#cells.length; at += 2) if (this.#cells[at] !== 0) taken += 1;
    if (taken > CELLS / 2) this.#cells.fill(0);
  }
}
