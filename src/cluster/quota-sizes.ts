/** How much a node asks for at once: what lasts for about a second, so that it asks about once a second. */
import type { BucketId } from "./quota-bucket.js";

const SOON_MS = 500;
const LATE_MS = 2_000;
/** The first grant of something: a hundredth of the limit. */
const FIRST_PART = 100;
/** No more than this part of the limit at once. */
const MOST_PART = 2;
const MAX_KNOWN = 300_000;

interface Size {
  units: number;
  askedAt: number;
  /** Was it granted as much the last time? What was refused is no reason to ask for more. */
  full: boolean;
  /** Nothing was to be had for later, in this window; not asked for until then. */
  calmUntil: number;
  calmWindow: number;
}

interface Wanted extends BucketId {
  readonly amount: number;
  readonly want: number;
}

export class GrantSizes {
  readonly #sizes = new Map<string, Size>();

  /** Units to ask for now, at least 1: twice as many as before when those were gone soon, half when late. */
  next(wanted: Wanted, nowMs: number): number {
    const { amount, want } = wanted;
    const most = Math.max(1, Math.floor(amount / MOST_PART));
    let size = this.#sizes.get(nameOf(wanted));
    if (size === undefined) {
      if (this.#sizes.size >= MAX_KNOWN) this.#sizes.clear();
      size = { units: first(wanted), askedAt: nowMs, full: false, calmUntil: 0, calmWindow: 0 };
      this.#sizes.set(nameOf(wanted), size);
    } else {
      const pause = nowMs - size.askedAt;
      if (pause > LATE_MS) size.units = Math.ceil(size.units / 2);
      else if (pause < SOON_MS && size.full) size.units *= 2;
      size.askedAt = nowMs;
      size.full = false;
    }
    size.units = Math.max(1, Math.min(most, size.units));
    return Math.ceil(Math.max(want, size.units));
  }

  /** The same, when nobody is asked. */
  usual(wanted: Wanted): number {
    return Math.ceil(Math.max(1, wanted.want, this.#sizes.get(nameOf(wanted))?.units ?? first(wanted)));
  }

  /** It is too early to ask for something that no request waits for; milliseconds since the epoch. */
  calmUntil(wanted: BucketId): number {
    const size = this.#sizes.get(nameOf(wanted));
    return size === undefined || size.calmWindow !== wanted.window ? 0 : size.calmUntil;
  }

  /** What came of it. */
  granted(id: BucketId, units: number, calmUntil: number): void {
    const size = this.#sizes.get(nameOf(id));
    if (size === undefined) return;
    size.full = units >= size.units;
    size.calmUntil = units > 0 ? 0 : calmUntil;
    size.calmWindow = id.window;
  }
}

function first({ amount, want }: Wanted): number {
  return Math.max(1, want, Math.floor(amount / FIRST_PART));
}

/** Windows come and go; how much is used stays about the same. */
function nameOf({ bucket, dimension }: BucketId): string {
  return `${dimension}.${bucket}`;
}
