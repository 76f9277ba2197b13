/**
 * A node's side of the fleet's limits: what its admissions are short of is asked of the owners, many buckets in one
 * message, and what they grant goes into the memory that admissions read. Where nobody can be asked, the policy's
 * `on_partition` says what the node may take by itself; the ledger knows it, and so nothing counts twice later.
 */
import { CONCURRENCY, type Grants, type Want } from "../quota/grants.js";
import { Pace } from "./pace.js";
import { allowanceAlone } from "./quota-alone.js";
import { type BucketId, endOf, keyOf } from "./quota-bucket.js";
import type { Entry, Ledger } from "./quota-ledger.js";
import type { Answer, Ask } from "./quota-messages.js";
import { GrantSizes } from "./quota-sizes.js";
import type { QuotaView } from "./quota-view.js";

/** Messages with asks in a second, and at once. */
const ASKS_PER_SECOND = 14;
const ASKS_BURST = 24;
/** An owner that has not answered may be gone: asked again, nobody would be there. Once, while requests wait. */
const ASK_AGAIN_MS = 80;
/** What is not answered for so long, or finds no turn to be asked, is not waited for any more by requests. */
const PATIENCE_MS = 150;
const RETRY_MS = 50;
/** Older wants are let go: their requests have been answered. */
const FORGET_MS = 1_000;
/** After the owner had nothing to spare for later, it is asked for something to spare again. */
const CALM_MS = 500;
const DRY_ALONE_MS = 250;
const MAX_PENDING = 300_000;

/** What came of a message with asks. */
export type Asked = { readonly answers: readonly Answer[] } | "busy" | "gone" | "late";

export interface AskerOptions {
  readonly self: string;
  readonly ledger: Ledger;
  readonly grants: Grants;
  readonly view: QuotaView;
  /** This instance as an owner. */
  readonly serve: (asks: readonly Ask[]) => Promise<Asked>;
  readonly request: (owner: string, asks: readonly Ask[], insteadOf: readonly string[]) => Promise<Asked>;
  /** Can others be asked? */
  readonly isLive: () => boolean;
  /** For how long it has not been possible, milliseconds; 0 while it is. */
  readonly lostFor: () => number;
  /** Members, this instance included, as they were last known for certain. */
  readonly fleetSize: () => number;
  /** Has this instance been a member of its fleet, so that it knows the others? */
  readonly knowsFleet: () => boolean;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What an owner calls back. `least`: so many, also where they are in use; see `excessOf`. */
export interface Recalled {
  readonly entry: Entry;
  readonly least: number;
}

/** What is wanted of one bucket, until it is answered. */
interface Pending {
  readonly id: BucketId;
  want: Want;
  /** Since when it is wanted as urgently as it is. */
  since: number;
  retryAt: number;
  /** Since when an answer is awaited; 0 = none is. */
  askedAt: number;
  /** Whom another node has named as the owner; "" = nobody. */
  owner: string;
  insteadOf: readonly string[];
  askedAgain: boolean;
}

export class QuotaAsker {
  readonly counts = { asks: 0, alone: 0 };
  readonly #options: AskerOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #sizes = new GrantSizes();
  readonly #pace: Pace;

  constructor(options: AskerOptions) {
    this.#options = options;
    this.#pace = new Pace(ASKS_BURST, options.clock());
  }

  /** Asks for what is wanted now. Called every few milliseconds. */
  tick(): void {
    const { grants } = this.#options;
    for (const want of grants.take()) this.#hear(want);
    if (this.#pending.size === 0) return;
    const now = this.#options.clock();
    for (const [key, pending] of this.#pending) this.#look(key, pending, now);
    if (this.#options.isLive()) this.#ask(now);
  }

  /** Puts into the memory what the ledger says was granted and has not arrived there. */
  deliver(entry: Entry, rest = this.#options.ledger.rest(entry), dryUntil = 0): void {
    const { ledger, grants, self } = this.#options;
    const units = Math.max(0, ledger.net(entry, self) - entry.applied);
    const taken = grants.grant(entry.bucket, entry.dimension, entry.window, {
      units,
      rest: Math.max(0, rest),
      dryUntil,
    });
    entry.applied += taken;
    ledger.giveBack(entry, units - taken);
  }

  /** What came by a broadcast: an answer that was lost is in it. */
  heal(entry: Entry): void {
    if (this.#options.ledger.net(entry, this.#options.self) <= entry.applied) return;
    if (!this.#pending.has(keyOf(entry))) this.deliver(entry);
  }

  /** Gives back everything that is not spent, and of requests at once `least` in any case. */
  giveBack(entries: Iterable<Recalled>): void {
    const { ledger, grants } = this.#options;
    for (const { entry, least } of entries) {
      const { bucket, dimension, window } = entry;
      let units = grants.takeBack(bucket, dimension, window, 0);
      if (units < least && dimension === CONCURRENCY) units += grants.giveUp(bucket, dimension, window, least - units);
      entry.applied -= units;
      ledger.giveBack(entry, units);
    }
  }

  /** A leaving node: everything, and nothing is wanted any more. */
  giveAllBack(): void {
    const { grants, ledger } = this.#options;
    this.#pending.clear();
    const held: Recalled[] = [];
    for (const holding of grants.active()) {
      const entry = ledger.find(holding);
      if (entry !== null) held.push({ entry, least: 0 });
    }
    this.giveBack(held);
  }

  /** What was lost of the ledger while this instance could not hear has been gathered: ask at once. */
  hurry(): void {
    for (const pending of this.#pending.values()) if (pending.askedAt === 0) pending.retryAt = 0;
    this.tick();
  }

  #hear(want: Want): void {
    const { ledger, clock } = this.#options;
    const wasKnown = ledger.find(want) !== null;
    const entry = ledger.open(want, want.amount);
    if (entry === null) return;
    if (want.overdraft > 0) {
      ledger.grant(entry, this.#options.self, want.overdraft);
      // It stands in the memory already, and what stands there is what a new entry begins with.
      if (wasKnown) entry.applied += want.overdraft;
    }
    this.#reconcile(entry);
    const now = clock();
    const key = keyOf(want);
    const known = this.#pending.get(key);
    if (known !== undefined) {
      if (want.urgent && !known.want.urgent) {
        known.retryAt = 0;
        known.since = now;
      }
      if (want.urgent || !known.want.urgent) known.want = want;
      return;
    }
    if (this.#pending.size >= MAX_PENDING) return;
    const id = { bucket: want.bucket, dimension: want.dimension, window: want.window };
    const retryAt = want.urgent ? 0 : this.#sizes.calmUntil(want);
    const fresh = { retryAt, askedAt: 0, owner: "", insteadOf: [], askedAgain: false };
    this.#pending.set(key, { id, want, since: now, ...fresh });
  }

  /** The memory may have been given to somebody else in between: what stood in it is not spent from here. */
  #reconcile(entry: Entry): void {
    const { grants, ledger } = this.#options;
    const held = grants.holding(entry.bucket, entry.dimension, entry.window)?.granted ?? 0;
    if (held >= entry.applied) return;
    ledger.giveBack(entry, entry.applied - held);
    entry.applied = held;
  }

  /** Lets go of what is over, and takes alone what cannot be asked for. */
  #look(key: string, pending: Pending, now: number): void {
    const { ledger, isLive } = this.#options;
    const entry = ledger.find(pending.id);
    if (entry === null || endOf(pending.id) <= now) {
      this.#pending.delete(key);
      return;
    }
    const waited = now - pending.since;
    if (!isLive() || (pending.want.urgent && waited >= PATIENCE_MS)) {
      this.#pending.delete(key);
      this.#takeAlone(entry, pending.want, now);
    } else if (pending.want.urgent && pending.askedAt > 0 && now - pending.askedAt >= ASK_AGAIN_MS) {
      if (!pending.askedAgain) pending.askedAt = 0;
      pending.askedAgain = true;
    } else if (waited >= FORGET_MS) {
      this.#pending.delete(key);
      this.deliver(entry);
    }
  }

  /** Nobody can be asked. */
  #takeAlone(entry: Entry, want: Want, now: number): void {
    const { ledger, self, fleetSize, lostFor, knowsFleet } = this.#options;
    const wanted = Math.max(want.want, want.urgent ? 1 : this.#sizes.usual(want));
    const facts = { rest: ledger.rest(entry), solo: entry.solo, amount: want.amount };
    const fleet = { members: fleetSize(), lostForMs: lostFor(), knowsFleet: knowsFleet() };
    const units = Math.min(wanted, allowanceAlone(want.onPartition, facts, fleet));
    if (units > 0) {
      entry.solo += units;
      this.counts.alone += units;
      ledger.grant(entry, self, units);
    }
    const dryUntil = units > 0 ? 0 : Math.min(now + DRY_ALONE_MS, endOf(entry));
    this.deliver(entry, ledger.rest(entry), dryUntil);
  }

  /** One message to each owner; those for whom requests wait go first. */
  #ask(now: number): void {
    const { self, view } = this.#options;
    const groups = new Map<string, Pending[]>();
    for (const pending of this.#pending.values()) {
      if (pending.askedAt > 0 || pending.retryAt > now) continue;
      const { owner: named, insteadOf, id } = pending;
      const owner = named === "" || view.isSuspect(named) ? view.owner(id.bucket, insteadOf) : named;
      const group = groups.get(owner);
      if (group === undefined) groups.set(owner, [pending]);
      else group.push(pending);
    }
    const own = groups.get(self);
    groups.delete(self);
    if (own !== undefined) void this.#send(self, own, now);
    const isUrgent = (group: readonly Pending[]) => group.some(({ want }) => want.urgent);
    const ordered = [...groups].sort(([, one], [, other]) => Number(isUrgent(other)) - Number(isUrgent(one)));
    for (const [owner, group] of ordered) {
      if (!this.#pace.take(now, ASKS_PER_SECOND)) break;
      void this.#send(owner, group, now);
    }
  }

  async #send(owner: string, group: readonly Pending[], now: number): Promise<void> {
    const { self, ledger, serve, request, clock } = this.#options;
    const asks: Ask[] = [];
    for (const pending of group) {
      const { id, want } = pending;
      pending.askedAt = now;
      const entry = ledger.open(id, want.amount);
      const data = entry === null ? { ...id, limit: want.amount, rows: [] } : ledger.data(entry, self);
      const need = want.urgent ? Math.max(1, want.want) : 0;
      asks.push({ entry: data, need, want: this.#sizes.next(want, now) });
    }
    this.counts.asks += asks.length;
    const insteadOf = [...new Set(group.flatMap((pending) => pending.insteadOf))];
    const asked = owner === self ? await serve(asks) : await request(owner, asks, insteadOf);
    const later = clock();
    for (const [at, pending] of group.entries()) {
      pending.askedAt = 0;
      if (typeof asked === "object") this.#answered(pending, asked.answers[at] ?? null, later);
      else this.#failed(pending, asked, owner, later);
    }
  }

  #failed(pending: Pending, how: "busy" | "gone" | "late", owner: string, now: number): void {
    pending.owner = "";
    if (how === "gone") pending.insteadOf = [...pending.insteadOf, owner].slice(-8);
    pending.retryAt = how === "gone" ? 0 : now + RETRY_MS;
  }

  #answered(pending: Pending, answer: Answer | null, now: number): void {
    const key = keyOf(pending.id);
    if (answer === null) return;
    if (answer.owner !== "") {
      // Somebody else owns it now; that one may not know it yet.
      pending.insteadOf = [];
      pending.retryAt = answer.owner === pending.owner ? now + RETRY_MS : 0;
      pending.owner = answer.owner;
      return;
    }
    const entry = this.#options.ledger.merge(answer.entry);
    if (this.#pending.get(key) === pending) this.#pending.delete(key);
    if (entry === null) return;
    const before = entry.applied;
    this.deliver(entry, answer.rest, answer.dryMs > 0 ? now + answer.dryMs : 0);
    this.#sizes.granted(pending.want, entry.applied - before, now + CALM_MS);
  }
}
