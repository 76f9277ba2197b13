/**
 * Who owns a bucket: of all live instances the one whose hash together with the bucket's name is the highest. Every
 * node finds the same owner without asking, and when an instance comes or goes only its own buckets move.
 */
import { hash32 } from "../routing/hash.js";
import type { Membership } from "./membership.js";

/** A newcomer that was heard of before its first beat counts as a member for so long. */
const HINT_MS = 3_000;

export interface ViewOptions {
  readonly self: string;
  readonly membership: Pick<Membership, "members">;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
}

export class QuotaView {
  readonly #options: ViewOptions;
  readonly #suspects = new Map<string, number>();
  readonly #hinted = new Map<string, number>();
  readonly #seeds = new Map<string, number>();
  #live: readonly string[] = [];
  #known: ReadonlySet<string> = new Set();
  #size = 1;
  #at = Number.NEGATIVE_INFINITY;

  constructor(options: ViewOptions) {
    this.#options = options;
  }

  /** Instances that may own something: members that are not suspected. This one is always among them. */
  get live(): readonly string[] {
    this.#look();
    return this.#live;
  }

  /** Members as last known, suspected ones included. */
  get size(): number {
    this.#look();
    return this.#size;
  }

  /** Is it a member, as far as is known? */
  isHere(instance: string): boolean {
    this.#look();
    return instance === this.#options.self || this.#known.has(instance);
  }

  isSuspect(instance: string): boolean {
    return this.#suspects.has(instance);
  }

  /** Nobody answers there: until it is heard again it owns nothing. */
  suspect(instance: string): void {
    if (instance === this.#options.self) return;
    this.#suspects.set(instance, this.#options.clock());
    this.#hinted.delete(instance);
    this.changed();
  }

  /** It has spoken: it lives, even if no beat of it was heard. */
  heard(instance: string): void {
    if (instance === this.#options.self) return;
    const known = this.#known.has(instance) && !this.#suspects.has(instance);
    this.#suspects.delete(instance);
    if (known || this.#hinted.size >= 1_024) return;
    this.#hinted.set(instance, this.#options.clock() + HINT_MS);
    this.changed();
  }

  /** It has taken its leave. */
  left(instance: string): void {
    this.#hinted.delete(instance);
    this.changed();
  }

  /** The members are others now. */
  changed(): void {
    this.#at = Number.NEGATIVE_INFINITY;
  }

  owner(bucket: string, except: readonly string[] = []): string {
    const live = except.length === 0 ? this.live : this.live.filter((instance) => !except.includes(instance));
    return this.ownerAmong(live, bucket);
  }

  /** The owner if these live, whatever is known here. */
  ownerAmong(live: readonly string[], bucket: string): string {
    const bucketHash = hash32(bucket);
    let best = this.#options.self;
    let highest = -1;
    for (const instance of live) {
      const score = mixed(this.#seed(instance) ^ bucketHash);
      if (score < highest || (score === highest && instance > best)) continue;
      highest = score;
      best = instance;
    }
    return best;
  }

  #seed(instance: string): number {
    let seed = this.#seeds.get(instance);
    if (seed === undefined) {
      if (this.#seeds.size >= 2_048) this.#seeds.clear();
      seed = hash32(instance, 1);
      this.#seeds.set(instance, seed);
    }
    return seed;
  }

  /** At most once in a tick: a beat that clears a suspect may be as old as that. */
  #look(): void {
    const now = this.#options.clock();
    if (now - this.#at < 20) return;
    this.#at = now;
    const { members } = this.#options.membership;
    this.#size = members.length;
    const known = new Set<string>();
    for (const { instance, heard_ms } of members) {
      known.add(instance);
      this.#hinted.delete(instance);
      const suspectedAt = this.#suspects.get(instance);
      if (suspectedAt !== undefined && now - heard_ms > suspectedAt + 1) this.#suspects.delete(instance);
    }
    for (const instance of this.#suspects.keys()) if (!known.has(instance)) this.#suspects.delete(instance);
    for (const [instance, until] of this.#hinted) {
      if (until <= now) this.#hinted.delete(instance);
      else known.add(instance);
    }
    this.#known = known;
    const live = [...known].filter((instance) => !this.#suspects.has(instance));
    this.#live = live.includes(this.#options.self) ? live : [...live, this.#options.self];
  }
}

function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
