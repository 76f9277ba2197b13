/** So many a second, and a few more after a pause. */
export class Pace {
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(burst: number, nowMs: number) {
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = nowMs;
  }

  /** May one go now? */
  take(nowMs: number, perSecond: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, nowMs - this.#at) * perSecond) / 1_000);
    this.#at = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
