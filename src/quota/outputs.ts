/**
 * How long each model's answers usually are: what a request reserves for its output. A histogram for each
 * model in memory shared by the threads, halved again and again, so that it tells of the recent answers.
 * Nothing is locked: a lost count changes an estimate by nothing.
 */
import { createHash } from "node:crypto";

/** Models that share a slot share an estimate. */
const SLOTS = 4_096;
/** The bounds are 2^(i/2): the last one is 185,363 tokens. */
const BUCKETS = 36;
const MAX_REMEMBERED = 16_384;
const QUANTILE = 0.9;
/** In a slot, before the buckets: the quantile, and how many answers it tells of. */
const LIKELY = 0;
const TOTAL = 1;
const FIRST = 2;
const SLOT = FIRST + BUCKETS;
/** Fewer answers than these tell nothing. */
const ENOUGH = 20;
/** The quantile is found anew after so many answers, and all counts are halved after so many. */
const LOOK_EVERY = 8;
const HALVE_AT = 512;

/** Zeroed shared memory of `OutputSizes`. */
export function allocateOutputs(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * SLOT * 4);
}

export class OutputSizes {
  readonly #numbers: Int32Array;
  readonly #slots = new Map<string, number>();

  constructor(memory: SharedArrayBuffer) {
    this.#numbers = new Int32Array(memory);
  }

  /** Where a configured model's answers are counted. */
  slotOf(model: string): number {
    const known = this.#slots.get(model);
    if (known !== undefined) return known;
    const slot = createHash("sha256").update(model).digest().readUInt32LE(0) % SLOTS;
    if (this.#slots.size >= MAX_REMEMBERED) this.#slots.clear();
    this.#slots.set(model, slot);
    return slot;
  }

  /** Tokens that nine of ten recent answers did not exceed; -1 = too few are known. */
  likely(slot: number): number {
    const at = slot * SLOT;
    return (this.#numbers[at + TOTAL] as number) < ENOUGH ? -1 : (this.#numbers[at + LIKELY] as number);
  }

  /** Counts one whole answer. */
  record(slot: number, tokens: number): void {
    const at = slot * SLOT;
    const numbers = this.#numbers;
    const bucket = tokens <= 1 ? 0 : Math.min(BUCKETS - 1, Math.ceil(2 * Math.log2(tokens)));
    numbers[at + FIRST + bucket] = (numbers[at + FIRST + bucket] as number) + 1;
    const total = (numbers[at + TOTAL] as number) + 1;
    numbers[at + TOTAL] = total;
    if (total >= HALVE_AT) this.#halve(at);
    if (total % LOOK_EVERY === 0 || total === ENOUGH) this.#look(at);
  }

  #halve(at: number): void {
    let total = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const half = (this.#numbers[at + FIRST + bucket] as number) >> 1;
      this.#numbers[at + FIRST + bucket] = half;
      total += half;
    }
    this.#numbers[at + TOTAL] = total;
  }

  #look(at: number): void {
    const wanted = (this.#numbers[at + TOTAL] as number) * QUANTILE;
    let seen = 0;
    let bucket = 0;
    for (; bucket < BUCKETS - 1; bucket += 1) {
      seen += this.#numbers[at + FIRST + bucket] as number;
      if (seen >= wanted) break;
    }
    this.#numbers[at + LIKELY] = Math.ceil(2 ** (bucket / 2));
  }
}
