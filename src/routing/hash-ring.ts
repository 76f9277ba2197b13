/**
 * A ring of hashes on which every member has many points; a key belongs to the member of the next point. A point
 * depends on nothing but its member's name and number, so that only the keys of a removed member move.
 */
import { hash32 } from "./hash.js";

/** Points of a member of weight 1: a share is then off by some 8 % of itself. */
const POINTS_PER_WEIGHT = 160;
/** With weights that add up to more, a unit of weight has fewer points: rings stay below 41,000 or so. */
const FULL_TOTAL = 256;
/** A point is its hash and its member in one number, so that numbers are all there is to sort. */
const MEMBERS = 65_536;
/** Who has not been met after so many points comes last: a walk stays within microseconds. */
const MAX_STEPS = 2_048;

export interface RingMember {
  readonly name: string;
  /** 0 = no key belongs to it; it is met last. */
  readonly weight: number;
}

export class HashRing {
  readonly #points: Float64Array;
  readonly #size: number;

  constructor(members: readonly RingMember[]) {
    const scale = scaleOf(members);
    const points: number[] = [];
    const occurrences = new Map<string, number>();
    for (const [index, { name, weight }] of members.entries()) {
      // One model may stand in a group more than once, with other tags.
      const occurrence = occurrences.get(name) ?? 0;
      occurrences.set(name, occurrence + 1);
      const seed = hash32(name, occurrence);
      const count = weight > 0 ? Math.max(1, Math.round(weight * scale)) : 0;
      for (let point = 0; point < count; point += 1) points.push(hash32(String(point), seed) * MEMBERS + index);
    }
    this.#points = Float64Array.from(points).sort();
    this.#size = members.length;
  }

  /**
   * The members that a key meets on its way round, as indexes: the first one is where it belongs, the others where
   * it goes when that one fails. `open`: members that may be met; the others are passed by, which moves no key of
   * theirs that was not met there anyway.
   */
  order(key: string, open: readonly boolean[], count: number): number[] {
    const left = [...open];
    const met: number[] = [];
    let wanted = 0;
    for (const isOpen of left) if (isOpen && wanted < count) wanted += 1;
    const points = this.#points;
    const steps = Math.min(points.length, MAX_STEPS);
    let at = this.#firstPoint(hash32(key));
    for (let step = 0; step < steps && met.length < wanted; step += 1) {
      if (at === points.length) at = 0;
      const member = (points[at++] as number) % MEMBERS;
      if (left[member] !== true) continue;
      left[member] = false;
      met.push(member);
    }
    for (let member = 0; member < this.#size && met.length < wanted; member += 1) {
      if (left[member] === true) met.push(member);
    }
    return met;
  }

  /** Index of the first point at or after a hash. */
  #firstPoint(hash: number): number {
    const sought = hash * MEMBERS;
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] as number) < sought) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Points for a unit of weight. Halved, not divided: the total must change a lot before any key moves for it. */
function scaleOf(members: readonly RingMember[]): number {
  let total = members.reduce((sum, { weight }) => sum + weight, 0);
  let scale = POINTS_PER_WEIGHT;
  for (; total > FULL_TOTAL; total /= 2) scale /= 2;
  return scale;
}
