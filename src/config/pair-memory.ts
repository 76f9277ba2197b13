/** What has been worked out for two names, remembered. Bounded in number: past it all is forgotten, and made again. */
export class PairMemory<Value> {
  readonly #most: number;
  // Two maps deep, so that no text is put together for a look-up: that would cost more than all the rest of it.
  readonly #known = new Map<string, Map<string, Value>>();
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** undefined = nothing is known. */
  get(first: string, second: string): Value | undefined {
    return this.#known.get(first)?.get(second);
  }

  set(first: string, second: string, value: Value): void {
    if (this.#known.get(first)?.has(second) !== true) {
      if (this.#size >= this.#most) this.clear();
      this.#size += 1;
    }
    const inner = this.#known.get(first);
    if (inner === undefined) this.#known.set(first, new Map([[second, value]]));
    else inner.set(second, value);
  }

  clear(): void {
    this.#known.clear();
    this.#size = 0;
  }
}
