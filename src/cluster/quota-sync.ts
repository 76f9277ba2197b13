/**
 * Limits of the fleet: this instance as the owner of some buckets and as the holder of units of many. See
 * docs/operations.md for what happens in which fault.
 *
 * What is granted, taken or given back is told to all twice a second, and what this instance took for itself five times
 * a second, so that whoever owns a bucket next knows of it. Most of what it takes for itself as the owner is told
 * before it is spent; what was not can be granted a second time when the instance is killed.
 */
import type { Grants } from "../quota/grants.js";
import type { Incoming } from "./connection.js";
import type { Membership } from "./membership.js";
import { Pace } from "./pace.js";
import { type Asked, QuotaAsker, type Recalled } from "./quota-asker.js";
import { QuotaGather } from "./quota-gather.js";
import { type Entry, type EntryData, Ledger } from "./quota-ledger.js";
import { type Answer, type Ask, type CalledBack, type QuotaMessage, unpackMessage } from "./quota-messages.js";
import { QuotaOwner } from "./quota-owner.js";
import { QuotaView } from "./quota-view.js";
import { type QuotaConnection, QuotaWire } from "./quota-wire.js";
import type { FleetNames } from "./subjects.js";

const TICK_MS = 20;
const TELL_MS = 500;
const TELL_OWN_MS = 200;
/** What this instance grants itself is told at once, if that is not too often: messages of the whole fleet a second. */
const TELL_AT_ONCE = 24;
const TELL_BURST = 8;
const EXPIRE_MS = 5_000;
/** Asks wait for so long while this instance gathers. */
const GATHER_WAIT_MS = 800;
const PROBE_MS = 100;
const STALLED_MS = 1_000;

export interface QuotaOptions {
  readonly connection: QuotaConnection;
  readonly membership: Pick<Membership, "members" | "onChange">;
  readonly names: Pick<FleetNames, "quotaLedger" | "quotaOf">;
  /** This instance. */
  readonly self: string;
  readonly grants: Grants;
  /** Milliseconds that only grow, and milliseconds since the epoch. */
  readonly clock?: () => number;
  readonly wallClock?: () => number;
}

/** What `/status/cluster` says of limits. */
export interface QuotaStatus {
  /** Buckets that are known, this instance's or not. */
  readonly buckets: number;
  /** False: this instance grants nothing at the moment. */
  readonly granting: boolean;
  readonly asks: number;
  /** Units granted to this instance and to others. */
  readonly granted: number;
  /** Units taken while nobody could be asked. */
  readonly alone: number;
  readonly messages_sent: number;
  readonly messages_received: number;
  /** In the last second. */
  readonly messages_per_second: number;
}

export class QuotaSync {
  readonly #options: QuotaOptions;
  readonly #clock: () => number;
  readonly #ledger: Ledger;
  readonly #view: QuotaView;
  readonly #owner: QuotaOwner;
  readonly #wire: QuotaWire;
  readonly #gather: QuotaGather;
  readonly #asker: QuotaAsker;
  readonly #atOnce: Pace;
  #leave: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #members = new Set<string>();
  #tickedAt = 0;
  #toldAt = 0;
  #expiredAt = 0;
  #lostAt: number;
  #wasLive = false;
  /** Members when it was last certain. */
  #size = 1;
  #hurried = false;

  constructor(options: QuotaOptions) {
    this.#options = options;
    const { connection, membership, names, self, grants } = options;
    const clock = options.clock ?? (() => performance.now());
    const wallClock = options.wallClock ?? Date.now;
    this.#clock = clock;
    this.#lostAt = clock();
    this.#atOnce = new Pace(TELL_BURST, clock());
    const view = new QuotaView({ self, membership, clock });
    const ledger = new Ledger({
      self,
      isHere: (instance) => view.isHere(instance),
      clock: wallClock,
      held: ({ bucket, dimension, window }) => grants.holding(bucket, dimension, window)?.granted ?? 0,
    });
    const wire = new QuotaWire({ connection, names, self });
    this.#view = view;
    this.#ledger = ledger;
    this.#wire = wire;
    this.#owner = new QuotaOwner({
      ledger,
      owns: (bucket) => this.#gather.isReady && view.owner(bucket) === self,
      members: () => view.live.length,
      recall: (entries, asker) => this.#recall(entries, asker),
      clock: wallClock,
    });
    this.#gather = new QuotaGather({
      isLive: () => this.#isLive,
      self,
      live: () => view.live,
      ask: (instance, timeoutMs) => wire.gather(instance, view.live, timeoutMs),
      gone: (instance) => view.suspect(instance),
      done: () => {
        this.#size = view.size;
        this.#asker.hurry();
      },
      clock,
    });
    this.#asker = new QuotaAsker({
      self,
      ledger,
      grants,
      view,
      serve: (asks) => this.#serveSelf(asks),
      request: (owner, asks, insteadOf) => this.#request(owner, asks, insteadOf),
      isLive: () => this.#isLive,
      lostFor: () => (this.#isLive ? 0 : this.#clock() - this.#lostAt),
      fleetSize: () => this.#fleetSize,
      knowsFleet: () => this.#gather.knowsFleet,
      clock: wallClock,
    });
  }

  /** Begins, and returns at once. */
  start(): void {
    const { connection, membership, names, self, grants } = this.#options;
    const hear = (message: Incoming): void => this.#hear(message);
    this.#lostAt = this.#clock();
    this.#tickedAt = this.#clock();
    this.#members = this.#instances();
    this.#leave = [
      connection.subscribe(names.quotaLedger, hear),
      connection.subscribe(this.#wire.subjectOf(self), hear),
      connection.onState(() => this.#connectionChanged()),
      membership.onChange(() => this.#membersChanged()),
    ];
    grants.onUrgent = () => this.#hurry();
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
    this.#wasLive = this.#isLive;
    if (this.#isLive) this.#gather.begin(true);
  }

  /** Gives back and tells all that is unspent, and ends. Before the farewell: who owns next asks after that. */
  stop(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#options.grants.onUrgent = null;
    this.#asker.giveAllBack();
    this.#gather.stop();
    for (const leave of this.#leave) leave();
    this.#leave = [];
    if (this.#isLive) this.#wire.tell(this.#ledger.changes(), null);
  }

  /** Called by itself every 20 ms. */
  tick(): void {
    const now = this.#clock();
    this.#noticeStall(now);
    this.#asker.tick();
    if (now - this.#toldAt >= (this.#ledger.isUrgent ? TELL_OWN_MS : TELL_MS)) this.#tell(now);
    this.#wire.count(now);
    if (now - this.#expiredAt < EXPIRE_MS) return;
    this.#expiredAt = now;
    this.#ledger.expire();
  }

  /**
   * This thread was held up: others may have taken it for gone and granted in its place. Messages that came meanwhile
   * are heard before any timer, so each of them may be the first to find out.
   */
  #noticeStall(now: number): void {
    if (now - this.#tickedAt > STALLED_MS && this.#isLive) this.#gather.begin(false);
    this.#tickedAt = now;
  }

  get status(): QuotaStatus {
    const { sent, received } = this.#wire.counts;
    return {
      buckets: this.#ledger.size,
      granting: this.#gather.isReady,
      asks: this.#asker.counts.asks,
      granted: this.#owner.granted,
      alone: this.#asker.counts.alone,
      messages_sent: sent,
      messages_received: received,
      messages_per_second: this.#wire.perSecond,
    };
  }

  get #isLive(): boolean {
    return this.#options.connection.live !== null;
  }

  /** Who is not heard any more may be cut off, or we are: then those count that were known before. */
  get #fleetSize(): number {
    return this.#gather.knowsFleet ? this.#size : this.#view.size;
  }

  #instances(): Set<string> {
    return new Set(this.#options.membership.members.map(({ instance }) => instance));
  }

  /** Requests wait: looked at in this turn of the loop, once. */
  #hurry(): void {
    if (this.#hurried) return;
    this.#hurried = true;
    setImmediate(() => {
      this.#hurried = false;
      if (this.#timer !== null) this.#asker.tick();
    });
  }

  #tell(now: number): void {
    if (!this.#isLive) return;
    this.#toldAt = now;
    const entries = this.#ledger.changes();
    if (entries.length > 0 && !this.#wire.tell(entries, null)) this.#ledger.tellAgain();
  }

  #connectionChanged(): void {
    if (this.#timer === null) return;
    const wasLive = this.#wasLive;
    this.#wasLive = this.#isLive;
    if (!this.#isLive) {
      if (wasLive) this.#lostAt = this.#clock();
      this.#gather.lost();
      return;
    }
    // What was taken alone must be known before anybody grants; what was told last may have been lost on its way.
    this.#ledger.tellAgain();
    this.#tell(this.#clock());
    this.#gather.begin(true);
  }

  /** Who comes asks for what it needs to know; of who goes some buckets may be ours now. */
  #membersChanged(): void {
    this.#view.changed();
    if (this.#timer === null) return;
    const before = this.#members;
    this.#members = this.#instances();
    let gone = false;
    // Who was here all the time and is heard of only now may have granted what falls to this one.
    for (const instance of this.#members)
      if (!before.has(instance)) void this.#wire.gather(instance, this.#view.live, PROBE_MS);
    for (const instance of before) {
      if (this.#members.has(instance)) continue;
      gone = true;
      this.#view.left(instance);
    }
    this.#size = Math.max(this.#size, this.#view.size);
    if (gone && this.#isLive) this.#gather.begin(false);
  }

  #hear({ data, respond }: Incoming): void {
    const message = unpackMessage(data);
    if (message === null) return;
    if (message.from === this.#options.self) {
      // See `QuotaGather`.
      if (message.kind === "gather") this.#wire.answer({ kind: "ledger", entries: [] }, respond);
      return;
    }
    this.#wire.counts.received += 1;
    if (this.#timer !== null) this.#noticeStall(this.#clock());
    this.#view.heard(message.from);
    void this.#handle(message, respond);
  }

  async #handle(message: QuotaMessage, respond: Incoming["respond"]): Promise<void> {
    const wire = this.#wire;
    switch (message.kind) {
      case "ledger":
        this.#learn(message.entries);
        return;
      case "gather":
        wire.tell(this.#forOwner(message.from, message.live), message.from);
        wire.answer({ kind: "ledger", entries: [] }, respond);
        return;
      case "recall":
        wire.answer({ kind: "ledger", entries: this.#giveBack(message.buckets) }, respond);
        return;
      case "ask": {
        const asked = await this.#serve(message.from, message.asks, message.insteadOf);
        const answers = typeof asked === "string" ? [] : asked.answers;
        wire.answer({ kind: "answers", busy: typeof asked === "string", answers }, respond);
        return;
      }
      default:
        message satisfies never;
    }
  }

  #learn(entries: readonly EntryData[]): void {
    for (const data of entries) {
      const entry = this.#ledger.merge(data);
      if (entry !== null) this.#asker.heal(entry);
    }
  }

  /** What the instance is to know as an owner, and what it holds. */
  #forOwner(instance: string, named: readonly string[]): EntryData[] {
    const live = named.length === 0 ? this.#view.live : named;
    const found: EntryData[] = [];
    for (const entry of this.#ledger.entries()) {
      if (entry.rows.length === 0) continue;
      const isHolder = entry.rows.some(({ holder }) => holder === instance);
      if (isHolder || this.#view.ownerAmong(live, entry.bucket) === instance) found.push(this.#ledger.data(entry));
    }
    return found;
  }

  #giveBack(buckets: readonly CalledBack[]): EntryData[] {
    const recalled: Recalled[] = [];
    for (const called of buckets) {
      const entry = this.#ledger.find(called);
      if (entry !== null) recalled.push({ entry, least: called.least });
    }
    this.#asker.giveBack(recalled);
    return recalled.map(({ entry }) => this.#ledger.data(entry, this.#options.self));
  }

  async #recall(entries: readonly Entry[], asker: string): Promise<void> {
    const { self } = this.#options;
    const asked = new Map<string, Recalled[]>();
    for (const entry of entries) {
      for (const holder of this.#ledger.holders(entry)) {
        if (holder === asker || !this.#view.isHere(holder) || this.#view.isSuspect(holder)) continue;
        const recalled = { entry, least: this.#ledger.excessOf(entry, holder) };
        const list = asked.get(holder);
        if (list === undefined) asked.set(holder, [recalled]);
        else list.push(recalled);
      }
    }
    this.#asker.giveBack(asked.get(self) ?? []);
    asked.delete(self);
    const told = await Promise.all([...asked].map(([holder, of]) => this.#wire.recall(holder, of)));
    for (const data of told.flat()) this.#ledger.merge(data);
  }

  /** Asks an owner; one that nobody hears any more owns nothing. */
  async #request(owner: string, asks: readonly Ask[], insteadOf: readonly string[]): Promise<Asked> {
    const asked = await this.#wire.ask(owner, asks, insteadOf);
    if (asked === "gone") this.#view.suspect(owner);
    return asked;
  }

  /** Told before it is spent: if this instance is killed then, its successor knows. */
  async #serveSelf(asks: readonly Ask[]): Promise<Asked> {
    const asked = await this.#serve(this.#options.self, asks, []);
    const { length } = this.#view.live;
    const now = this.#clock();
    if (length > 1 && this.#ledger.isUrgent && this.#atOnce.take(now, Math.max(2, TELL_AT_ONCE / length))) {
      this.#tell(now);
    }
    return asked;
  }

  /** Answers as the owner, or says who is. */
  async #serve(asker: string, asks: readonly Ask[], insteadOf: readonly string[]): Promise<Asked> {
    const { self } = this.#options;
    await this.#verify(asks, insteadOf);
    if (!(await this.#gather.ready(GATHER_WAIT_MS))) return "busy";
    const owners = asks.map(({ entry }) => this.#view.owner(entry.bucket));
    const mine = asks.filter((_, at) => owners[at] === self);
    const served = mine.length === 0 ? [] : await this.#owner.serve(asker, mine);
    let next = 0;
    const answers = owners.map((owner, at): Answer => {
      if (owner === self) return served[next++] as Answer;
      return { entry: { ...(asks[at] as Ask).entry, rows: [] }, rest: 0, dryMs: 0, owner };
    });
    return { answers };
  }

  /** Others say that these do not answer: seen with our own eyes, we take over, after we have gathered. */
  async #verify(asks: readonly Ask[], insteadOf: readonly string[]): Promise<void> {
    const accused = insteadOf.filter((instance) =>
      asks.some(({ entry }) => this.#view.owner(entry.bucket) === instance),
    );
    const found = await Promise.all(accused.map((instance) => this.#wire.gather(instance, this.#view.live, PROBE_MS)));
    const gone = accused.filter((_, at) => found[at] === "gone");
    for (const instance of gone) this.#view.suspect(instance);
    if (gone.length > 0 && this.#isLive) this.#gather.begin(false);
  }
}
