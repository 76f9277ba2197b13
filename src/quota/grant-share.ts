/**
 * An admission's view of what the fleet has granted: how much of each limit this node may still count, and what is to
 * be asked for. One for each thread, begun anew under the lock by each admission; nothing is allocated but where units
 * are missing.
 */
import { type Bucket, CONCURRENCY, type GrantCells } from "./grant-cells.js";
import type { Bound, LimitLayer } from "./layers.js";
import { windowOf } from "./window.js";

/** What is read of the counters. */
interface Counters {
  used(block: number, dimension: number, window: number): number;
  inFlight(block: number): number;
  generation(block: number): number;
}

/** A layer, and the block where it is counted. */
export interface Counted {
  readonly layer: LimitLayer;
  readonly block: number;
}

/** Too few units of a limit are here. */
interface Need {
  readonly bucket: Bucket;
  /** Of its cell among the grants. */
  readonly at: number;
  readonly units: number;
}

export class GrantShare {
  /** Of the bound that was looked at last: what others may count of it. */
  rest = 0;
  readonly #table: Counters;
  readonly #grants: GrantCells;
  readonly #needs: Need[] = [];
  #nowMs = 0;
  #waits = false;

  constructor(table: Counters, grants: GrantCells) {
    this.#table = table;
    this.#grants = grants;
  }

  /** An admission begins. `waits`: its request can wait for what the fleet may yet grant. */
  begin(nowMs: number, waits: boolean): void {
    this.#nowMs = nowMs;
    this.#waits = waits;
    this.#needs.length = 0;
    this.rest = 0;
  }

  /** Is the request to come again when something has been granted? */
  get isWanting(): boolean {
    return this.#waits && this.#needs.length > 0;
  }

  /**
   * What this node may still count in a bound's window, of the `left` that its limit has for it. Infinity: too little
   * for the request, which is to come again.
   */
  leftOf({ layer, block }: Counted, bound: Bound, left: number, tokens: number): number {
    const { dimension, amount } = bound;
    const window = windowOf(this.#nowMs, bound.windowMs);
    const at = this.#grants.enter(block, dimension, window);
    const here = Math.min(left, this.#grants.granted(at) - (amount - left));
    const needed = bound.unit === "requests" ? 1 : Math.max(1, Math.min(tokens, left));
    if (here < needed && this.#grants.mayCome(at, amount, this.#nowMs)) {
      const bucket = this.#bucketOf(layer, block, { dimension, window, amount });
      this.#needs.push({ bucket, at, units: needed - here });
      if (this.#waits) return Number.POSITIVE_INFINITY;
    }
    this.rest = Math.max(0, Math.min(left - here, this.#grants.rest(at)));
    return here;
  }

  /** Is there a place for one more request at once, or may one come? `taken`: those in flight here. */
  hasPlace(layer: LimitLayer, block: number, taken: number): boolean {
    const at = this.#grants.enter(block, CONCURRENCY, 0);
    if (taken < this.#grants.granted(at)) return true;
    if (!this.#grants.mayCome(at, layer.concurrency, this.#nowMs)) return false;
    this.#needs.push({ bucket: this.#placesOf(layer, block), at, units: 1 });
    return this.#waits;
  }

  /** Says what is missing. */
  tellNeeds(): void {
    for (const { bucket, at, units } of this.#needs) {
      if (this.#waits) this.#grants.tell(bucket, { want: units, overdraft: 0, urgent: true });
      else this.#grants.tellShort(at, bucket, units, this.#nowMs);
    }
  }

  /** After a layer has counted a request: asks for more before anybody has to wait for it. */
  lookAhead({ layer, block }: Counted): void {
    const grants = this.#grants;
    const now = this.#nowMs;
    for (const { dimension, windowMs, amount } of layer.bounds) {
      const window = windowOf(now, windowMs);
      const at = grants.enter(block, dimension, window);
      if (grants.wantsNext(at, window, windowMs, now)) {
        grants.tellNext(at, this.#bucketOf(layer, block, { dimension, window: window + 1, amount }));
      }
      const left = grants.granted(at) - this.#table.used(block, dimension, window);
      if (!grants.isLow(at, left, now) || !grants.mayCome(at, amount, now)) continue;
      grants.tellLow(at, this.#bucketOf(layer, block, { dimension, window, amount }), now);
    }
    if (layer.concurrency < 0) return;
    const at = grants.enter(block, CONCURRENCY, 0);
    const { concurrency } = layer;
    const left = grants.granted(at) - this.#table.inFlight(block);
    const isShort = grants.isLow(at, left, now) && grants.mayCome(at, concurrency, now);
    if (isShort || grants.isTooMuch(at, concurrency, now)) grants.tellLow(at, this.#placesOf(layer, block), now);
  }

  /** After a request has used more than it had reserved: what is beyond the units granted is the fleet's to know. */
  claim({ layer, block }: Counted, about: Pick<Bucket, "dimension" | "window" | "amount">): void {
    const used = this.#table.used(block, about.dimension, about.window);
    this.#grants.claim(this.#bucketOf(layer, block, about), used);
  }

  #bucketOf(
    { onPartition }: LimitLayer,
    block: number,
    about: Pick<Bucket, "dimension" | "window" | "amount">,
  ): Bucket {
    return { block, generation: this.#table.generation(block), ...about, onPartition };
  }

  #placesOf(layer: LimitLayer, block: number): Bucket {
    return this.#bucketOf(layer, block, { dimension: CONCURRENCY, window: 0, amount: layer.concurrency });
  }
}
