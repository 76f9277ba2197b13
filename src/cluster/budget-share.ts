/**
 * The fleet's budgets: tells the others what this node has spent, by an entry of its own in a bucket of NATS, and takes
 * what they have spent into the counters in memory. Its own figures are the journal's; the bucket survives the loss of
 * all nodes. Requests wait for nothing of this: they are admitted from memory, up to this node's share of the rest.
 */
import type { Crossing } from "../quota/money.js";
import type { QuotaTable } from "../quota/table.js";
import type { OnPartition } from "../config/traffic.js";
import type { BudgetKeeper } from "../usage/budget-keeper.js";
import { FleetSpending } from "../usage/fleet-spending.js";
import { BudgetBucket } from "./budget-bucket.js";
import { packSpent, type SpentEntry, unpackSpent } from "./budget-entry.js";
import { OwnSum } from "./budget-own.js";
import { moneyShares } from "./budget-shares.js";
import { BudgetWarnings } from "./budget-warnings.js";
import type { Connection, KvEntry } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import type { Membership } from "./membership.js";
import { Pace } from "./pace.js";
import { budgetKey, type FleetNames } from "./subjects.js";
import { within } from "./time.js";

const ROUND_MS = 250;
/** What comes together is counted together. */
const APPLY_MS = 20;
const MOST_AT_ONCE = 32;
const WRITES_PER_SECOND = 200;
const STOP_MS = 2_000;
/** An entry of a period that does not end is written again before its bucket lets it go. */
const OLD_MS = 100 * 86_400_000;

export interface BudgetShareOptions {
  readonly connection: Pick<Connection, "whenLive">;
  readonly membership: Pick<Membership, "members" | "isFirst">;
  readonly names: Pick<FleetNames, "budgetBucket">;
  readonly replicas: number;
  /** Id of this node's data directory. */
  readonly node: string;
  /** Of this process. */
  readonly instance: string;
  readonly onPartition: OnPartition;
  /** What this node has spent. */
  readonly account: Pick<BudgetKeeper, "set" | "poll" | "takeChanged" | "raise">;
  /** The main thread's view of the counters. */
  readonly table: QuotaTable;
  /** Tells the operator of fractions that a budget of the fleet has reached. */
  readonly warn: (crossings: readonly Crossing[]) => void;
  readonly log: ClusterLog;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

export interface BudgetShareStatus {
  /** Is the bucket being followed? */
  readonly following: boolean;
  /** Into how many parts the rest of each budget is divided, one of which is this node's; null = without end. */
  readonly shares: number | null;
  /** Counters that this node has spent of, and sums of others. */
  readonly own: number;
  readonly others: number;
  readonly written: number;
  readonly heard: number;
  /** Entries that were not to be understood, or found no room. */
  readonly refused: number;
  readonly failures: number;
  readonly problem: string;
}

export class BudgetShare {
  readonly spending: FleetSpending;
  readonly #options: BudgetShareOptions;
  readonly #clock: () => number;
  readonly #bucket: BudgetBucket;
  readonly #warnings: BudgetWarnings;
  readonly #own = new Map<string, OwnSum>();
  readonly #untold = new Set<OwnSum>();
  readonly #settling = new Set<OwnSum>();
  readonly #pace: Pace;
  readonly #startedAt: number;
  readonly #counts = { written: 0, heard: 0, refused: 0, failures: 0 };
  /** Of the bucket as it is read now: keys of others' entries, and entries to be written again. */
  #seen = new Set<string>();
  #old: Pick<KvEntry, "key" | "value" | "revision">[] = [];
  #openedAt = 0;
  #lostAt = 0;
  #shares = 0;
  #inFlight = 0;
  #problem = "";
  #isReading = false;
  #isDoubled = false;
  #isEnding = false;
  #round: Promise<void> | null = null;
  #set: BudgetKeeper["set"] | null = null;
  #timers: NodeJS.Timeout[] = [];
  #applies: NodeJS.Timeout | null = null;

  constructor(options: BudgetShareOptions) {
    const { connection, names, replicas, account, table, log, clock = Date.now } = options;
    this.#options = options;
    this.#clock = clock;
    this.#startedAt = clock();
    this.#pace = new Pace(WRITES_PER_SECOND, clock());
    this.#bucket = new BudgetBucket({
      connection,
      names,
      replicas,
      log,
      onBegin: () => this.#begin(),
      onEntry: (entry) => this.#hear(entry),
      onWhole: () => this.#whole(),
      onLost: () => this.#lost(),
    });
    this.#warnings = new BudgetWarnings({ bucket: this.#bucket, warn: options.warn });
    this.spending = new FleetSpending({
      table,
      budgets: () => account.set,
      onCrossing: (name, period, crossings) => this.#warnings.crossed(name, period, crossings),
      clock,
    });
  }

  get status(): BudgetShareStatus {
    const { size, dropped } = this.spending;
    return {
      following: this.#bucket.isOpen,
      shares: Number.isFinite(this.#shares) ? this.#shares : null,
      own: this.#own.size,
      others: size,
      ...this.#counts,
      refused: this.#counts.refused + dropped,
      problem: this.#bucket.problem || this.#problem,
    };
  }

  /** Begins to tell and to hear, and returns at once. */
  start(): void {
    this.#bucket.start();
    const round = setInterval(() => void this.round(), ROUND_MS);
    round.unref();
    this.#timers = [round];
  }

  /** Tells what is untold, as far as that is quickly done, and ends. Never rejects. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#isEnding = true;
    const end = performance.now() + STOP_MS;
    // One that is under way may have asked before the last answers were on file.
    const rounds = this.round().then(() => this.round());
    await within(STOP_MS, rounds);
    while (this.#bucket.isOpen && (this.#inFlight > 0 || this.#untold.size > 0) && performance.now() < end) {
      this.#send();
      await new Promise((done) => setTimeout(done, 10));
    }
    this.#bucket.stop();
    if (this.#applies !== null) clearTimeout(this.#applies);
  }

  /** Adds up what was spent, tells it, and renews this node's share. Called by itself four times a second. */
  round(): Promise<void> {
    this.#round ??= this.#go()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#round = null;
      });
    return this.#round;
  }

  async #go(): Promise<void> {
    const { account } = this.#options;
    await account.poll();
    if (account.set !== this.#set) {
      this.#set = account.set;
      this.#raise();
    }
    for (const [name, total] of account.takeChanged()) {
      const own = this.#ownOf(name, total.period);
      own.note(total, this.spending.othersOf(name));
      this.spending.touch(name);
      if (own.isUntold) this.#untold.add(own);
    }
    this.#settle();
    this.#divide();
    this.#send();
    await this.spending.apply();
  }

  #ownOf(name: string, period: number): OwnSum {
    let own = this.#own.get(name);
    if (own === undefined) {
      own = new OwnSum(name, period);
      this.#own.set(name, own);
    }
    own.enter(period);
    return own;
  }

  #settle(): void {
    const now = this.#clock();
    for (const own of this.#settling) {
      const nanos = own.settle(now);
      if (nanos !== null) this.spending.settle(own.name, { period: own.period, nanos });
      if (!own.isSettling) this.#settling.delete(own);
    }
  }

  #divide(): void {
    const { table, membership, onPartition } = this.#options;
    const now = this.#clock();
    const { shares, closedSince } = moneyShares(onPartition, {
      members: membership.members.length,
      openForMs: this.#bucket.isOpen ? now - this.#openedAt : -1,
      startedForMs: now - this.#startedAt,
      lostAt: this.#lostAt,
      now,
    });
    this.#shares = shares;
    table.lock();
    table.shareMoney({ shares, closedSince });
    table.unlock();
  }

  /** As many as may be on their way at once. */
  #send(): void {
    if (!this.#bucket.isOpen) return;
    const now = this.#clock();
    for (const own of this.#untold) {
      if (this.#inFlight >= MOST_AT_ONCE) return;
      if (!own.isUntold) this.#untold.delete(own);
      else if (own.isSending || (!this.#isEnding && !own.isDue(now))) continue;
      else if (!this.#isEnding && !this.#pace.take(now, WRITES_PER_SECOND)) return;
      else void this.#put(own, now);
    }
  }

  async #put(own: OwnSum, now: number): Promise<void> {
    const { name, period, nanos } = own;
    const { node, instance } = this.#options;
    this.#untold.delete(own);
    own.sent(now);
    this.#inFlight += 1;
    try {
      const entry: SpentEntry = { counter: name, node, instance, period, nanos, at: now };
      await this.#bucket.put(budgetKey(name, node), packSpent(entry));
      this.#counts.written += 1;
      this.#problem = "";
      own.took(period, nanos, this.#clock());
      if (own.isSettling) this.#settling.add(own);
    } catch (error) {
      this.#failed(error);
    }
    own.isSending = false;
    this.#inFlight -= 1;
    if (own.isUntold) this.#untold.add(own);
  }

  #begin(): void {
    this.#isReading = true;
    this.#seen = new Set();
    this.#old = [];
    // The bucket may be another one, which has nothing.
    for (const own of this.#own.values()) own.stored = 0;
  }

  #hear({ key, value, revision, created }: Pick<KvEntry, "key" | "value" | "revision" | "created">): void {
    if (key.startsWith("w.")) return;
    const entry = unpackSpent(key, value);
    if (entry === null) {
      this.#counts.refused += 1;
      return;
    }
    const { counter, node, period, nanos } = entry;
    if (this.#isReading && this.#clock() - created.getTime() > OLD_MS) this.#old.push({ key, value, revision });
    if (node === this.#options.node) {
      this.#hearOwn(entry);
      return;
    }
    this.#counts.heard += 1;
    if (this.#isReading) this.#seen.add(key);
    this.spending.hear(counter, node, { period, nanos });
    this.#applies ??= setTimeout(() => {
      this.#applies = null;
      this.spending.apply().catch((error: unknown) => this.#failed(error));
    }, APPLY_MS);
  }

  /** What this node has written, in this process or in an earlier one. */
  #hearOwn({ counter, instance, period, nanos }: SpentEntry): void {
    const own = this.#ownOf(counter, period);
    if (own.period !== period) return;
    if (this.#isReading) own.stored = Math.max(own.stored, nanos);
    else if (instance !== this.#options.instance && nanos > own.nanos && !this.#isDoubled) {
      this.#isDoubled = true;
      this.#options.log.error(
        {},
        "another process has the id of this node: two must not share a data_dir, nor have copies",
      );
    }
  }

  #whole(): void {
    this.#isReading = false;
    if (this.#openedAt === 0) this.#openedAt = this.#clock();
    this.#lostAt = 0;
    this.#raise();
    for (const own of this.#own.values()) if (own.isUntold) this.#untold.add(own);
    this.#restore().catch((error: unknown) => this.#failed(error));
    this.#warnings.claimAll();
    void this.round();
  }

  #lost(): void {
    if (this.#openedAt > 0 && this.#lostAt === 0) this.#lostAt = this.#clock();
  }

  /** Where the bucket has more of this node than its journal, the journal was lost. */
  #raise(): void {
    const { account } = this.#options;
    for (const { name, period, nanos, stored } of this.#own.values()) {
      if (stored > nanos && account.set.find(name) !== null) void account.raise(name, { period, nanos: stored });
    }
  }

  /** Puts back what the bucket has lost of nodes that may be gone, and renews what would soon be let go. */
  async #restore(): Promise<void> {
    const { membership, account } = this.#options;
    for (const [counter, node, sum] of [...this.spending.sums()]) {
      const key = budgetKey(counter, node);
      if (this.#seen.has(key)) continue;
      const entry: SpentEntry = { counter, node, instance: "", ...sum, at: this.#clock() };
      await this.#bucket.create(key, packSpent(entry));
    }
    this.#seen = new Set();
    for (const { key, value, revision } of this.#old) {
      const entry = unpackSpent(key, value);
      const budget = entry === null ? null : account.set.find(entry.counter);
      const isOver = budget?.counters.clock.at(this.#clock()).id !== entry?.period;
      if (membership.isFirst && budget !== null && !isOver) await this.#bucket.put(key, value, revision);
    }
    this.#old = [];
  }

  #failed(error: unknown): void {
    const reason = reasonOf(error);
    this.#counts.failures += 1;
    if (!this.#bucket.isOpen || reason === this.#problem) return;
    this.#options.log.error(
      { reason },
      "what this node has spent of the budgets cannot be told to the others; trying on",
    );
    this.#problem = reason;
  }
}
