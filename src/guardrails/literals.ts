/**
 * Finds any of many literals in one pass, without case (Aho and Corasick, 1975). Characters are folded one by one,
 * so that positions are those of the text.
 */
import type { Finder, Found } from "./rule.js";

let folds: Uint16Array | null = null;

/** Every UTF-16 unit in lower case, where that is one unit too. Built once: 65,536 units take some milliseconds. */
function foldTable(): Uint16Array {
  if (folds !== null) return folds;
  const table = new Uint16Array(65_536);
  for (let unit = 0; unit < 65_536; unit++) {
    const lower = String.fromCharCode(unit).toLowerCase();
    table[unit] = lower.length === 1 ? lower.charCodeAt(0) : unit;
  }
  folds = table;
  return table;
}

const ROOT = 0;
/** Room for a unit beside a state in one key. */
const UNITS = 65_536;

export class Literals implements Finder {
  readonly #folds = foldTable();
  /** State after the root by unit, folded or not; 0 = none. */
  readonly #first = new Int32Array(UNITS);
  /** Every other step, by state · 65536 + unit. */
  readonly #steps = new Map<number, number>();
  readonly #fails: number[] = [ROOT];
  readonly #depths: number[] = [0];
  /** Length of the longest literal that ends in a state; 0 = none. */
  readonly #ends: number[] = [0];
  readonly #category: string;
  #longest = 0;

  constructor(literals: readonly string[], category: string) {
    this.#category = category;
    for (const literal of literals) if (literal !== "") this.#add(literal);
    this.#link();
    for (let unit = 0; unit < UNITS; unit++) this.#first[unit] = this.#first[this.#folds[unit] as number] as number;
  }

  find(text: string, from: number): Found | null {
    const first = this.#first;
    const folds = this.#folds;
    const ends = this.#ends;
    const { length: end } = text;
    let state = ROOT;
    for (let at = from; at < end; at++) {
      if (state === ROOT) {
        // Nearly all of a text is passed here: no literal begins with what stands at `at`.
        while (at < end && first[text.charCodeAt(at)] === ROOT) at++;
        if (at === end) return null;
        state = first[text.charCodeAt(at)] as number;
      } else state = this.#next(state, folds[text.charCodeAt(at)] as number);
      const length = ends[state] as number;
      if (length > 0) {
        const start = at + 1 - length;
        return { start, end: at + 1, begins: start, ends: at + 1, text: "", action: "block", category: this.#category };
      }
    }
    return null;
  }

  open(text: string, from: number): number {
    const start = Math.max(from, text.length - this.#longest);
    let state = ROOT;
    for (let at = start; at < text.length; at++) {
      const unit = this.#folds[text.charCodeAt(at)] as number;
      state = state === ROOT ? (this.#first[unit] as number) : this.#next(state, unit);
    }
    return text.length - (this.#depths[state] as number);
  }

  #add(literal: string): void {
    let state = ROOT;
    for (let at = 0; at < literal.length; at++) {
      const unit = this.#folds[literal.charCodeAt(at)] as number;
      let next = state === ROOT ? (this.#first[unit] as number) : (this.#steps.get(state * UNITS + unit) ?? ROOT);
      if (next === ROOT) {
        next = this.#fails.length;
        this.#fails.push(ROOT);
        this.#depths.push(at + 1);
        this.#ends.push(0);
        if (state === ROOT) this.#first[unit] = next;
        else this.#steps.set(state * UNITS + unit, next);
      }
      state = next;
    }
    this.#ends[state] = literal.length;
    this.#longest = Math.max(this.#longest, literal.length);
  }

  /** States were numbered as they were made, not by depth: the links are set level by level. */
  #link(): void {
    const edges = [...this.#steps].map(([key, to]) => ({ from: Math.floor(key / UNITS), unit: key % UNITS, to }));
    edges.sort((one, other) => (this.#depths[one.to] as number) - (this.#depths[other.to] as number));
    for (const { from, unit, to } of edges) {
      const fail = this.#next(this.#fails[from] as number, unit);
      this.#fails[to] = fail;
      if (this.#ends[to] === 0) this.#ends[to] = this.#ends[fail] as number;
    }
  }

  #next(from: number, unit: number): number {
    let state = from;
    while (state !== ROOT) {
      const next = this.#steps.get(state * UNITS + unit);
      if (next !== undefined) return next;
      state = this.#fails[state] as number;
    }
    return this.#first[unit] as number;
  }
}
