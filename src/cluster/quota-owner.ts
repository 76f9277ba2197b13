/**
 * The owner of a bucket grants of what nobody holds. A grant is a part of the rest, so that no node holds much of what
 * others will need; the last units go only to requests that wait for them. When nothing is left, holders give back what
 * they have not spent, before anybody is told that the limit is reached.
 */
import { CONCURRENCY } from "../quota/grants.js";
import { Pace } from "./pace.js";
import { endOf } from "./quota-bucket.js";
import type { Entry, Ledger } from "./quota-ledger.js";
import type { Answer, Ask } from "./quota-messages.js";

/** Pauses between two recalls of a bucket: they double while nothing comes back. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 1_000;
/** Requests at once end at any moment. */
const FIRST_PLACE_PAUSE_MS = 50;
const LONGEST_PLACE_PAUSE_MS = 200;
/** Rounds of recalls of all buckets together, fleet-wide, as each is a message to every holder. */
const ROUNDS = 12;
const ROUNDS_BURST = 4;
/** Who comes too early for a recall comes again then. */
const PACED_MS = 50;

export interface OwnerOptions {
  readonly ledger: Ledger;
  /** May this instance grant of it, now? */
  readonly owns: (bucket: string) => boolean;
  /** Instances that live. */
  readonly members: () => number;
  /** Asks holders, but not `asker`, to give back; what they give is in the ledger then. Never rejects. */
  readonly recall: (entries: readonly Entry[], asker: string) => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export class QuotaOwner {
  /** Units granted since the start. */
  granted = 0;
  readonly #options: OwnerOptions;
  readonly #rounds: Pace;

  constructor(options: OwnerOptions) {
    this.#options = options;
    this.#rounds = new Pace(ROUNDS_BURST, options.clock());
  }

  /** Answers in the order of the asks; waits only where something is called back. */
  async serve(asker: string, asks: readonly Ask[]): Promise<Answer[]> {
    const { ledger } = this.#options;
    const entries = asks.map(({ entry }) => {
      ledger.merge(entry);
      return ledger.open(entry, entry.limit);
    });
    const enough = asks.map((ask, at) => this.#grant(asker, ask, entries[at] ?? null));
    const wanting = entries.filter((entry, at) => entry !== null && (!enough[at] || ledger.hasExcess(entry)));
    const called = await this.#recall(wanting as Entry[], asker);
    return asks.map((ask, at) => {
      const entry = entries[at] ?? null;
      if (entry === null) return { entry: { ...ask.entry, rows: [] }, rest: 0, dryMs: 0, owner: "" };
      if (called.has(entry)) this.#grant(asker, ask, entry);
      return this.#answer(asker, ask, entry);
    });
  }

  /** False: nothing is left for a request that waits. */
  #grant(asker: string, { need, want }: Ask, entry: Entry | null): boolean {
    const { ledger, owns } = this.#options;
    // While something was called back, a newcomer may have been told how it stands.
    if (entry === null || !owns(entry.bucket)) return need === 0;
    const members = this.#options.members();
    const rest = Math.floor(ledger.rest(entry));
    if (rest <= 0) return need === 0;
    // The last ones are kept for requests that wait.
    if (need === 0 && members > 1 && rest <= 2 * members) return true;
    const share = Math.max(1, need, Math.floor(rest / (2 * members)));
    const units = Math.min(rest, share, Math.max(need, want));
    ledger.grant(entry, asker, units);
    this.granted += units;
    return true;
  }

  #answer(asker: string, { need }: Ask, entry: Entry): Answer {
    const { ledger, clock } = this.#options;
    const rest = Math.max(0, ledger.rest(entry));
    const now = clock();
    const dryUntil = Math.min(entry.recallAt, endOf(entry));
    const dryMs = rest <= 0 && need > 0 ? Math.max(0, dryUntil - now) : 0;
    return { entry: ledger.data(entry, asker), rest, dryMs, owner: "" };
  }

  /** Those for which something has been called back, by this ask or by another one. */
  async #recall(wanting: readonly Entry[], asker: string): Promise<ReadonlySet<Entry>> {
    if (wanting.length === 0) return new Set();
    const now = this.#options.clock();
    const due = wanting.filter(({ recalling, recallAt }) => recalling === null && recallAt <= now);
    if (due.length > 0) this.#begin(due, asker, now);
    const called = wanting.filter(({ recalling }) => recalling !== null);
    await Promise.all(called.map(({ recalling }) => recalling));
    return new Set(called);
  }

  #begin(due: readonly Entry[], asker: string, now: number): void {
    const { recall, members } = this.#options;
    if (!this.#rounds.take(now, Math.max(1, ROUNDS / members()))) {
      for (const entry of due) entry.recallAt = now + PACED_MS;
      return;
    }
    const round = recall(due, asker).then(() => {
      for (const entry of due) this.#ended(entry);
    });
    for (const entry of due) entry.recalling = round;
  }

  #ended(entry: Entry): void {
    const { ledger, clock } = this.#options;
    const isPlaces = entry.dimension === CONCURRENCY;
    const first = isPlaces ? FIRST_PLACE_PAUSE_MS : FIRST_PAUSE_MS;
    const longest = isPlaces ? LONGEST_PLACE_PAUSE_MS : LONGEST_PAUSE_MS;
    const isDry = ledger.rest(entry) < 1;
    entry.backoffMs = isDry && entry.backoffMs > 0 ? Math.min(longest, entry.backoffMs * 2) : first;
    entry.recallAt = clock() + entry.backoffMs;
    entry.recalling = null;
  }
}
