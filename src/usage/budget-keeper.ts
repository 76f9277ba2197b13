/**
 * Keeps the budgets over restarts. The journal is the account: every answer that a client got whole is on it. The
 * keeper adds it up as it grows, keeps the sums on file, and puts into the counters in memory what they cannot have
 * counted themselves: what was spent before the start, or before a budget was there. It runs on the main thread.
 */
import type { Budget } from "../config/traffic.js";
import { type BudgetCounters, BudgetSet, counterName, type EntryOf } from "../quota/budget.js";
import type { PlaceFinder } from "../quota/groups.js";
import { restoreSpent } from "../quota/lease.js";
import type { QuotaTable } from "../quota/table.js";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.js";
import { microsFromNanos } from "./dollars.js";
import type { FleetSpending } from "./fleet-spending.js";
import { JournalCursor, linesBefore } from "./journal-cursor.js";
import { type Addition, expenseOf, Spending, type Total } from "./spending.js";

const POLL_MS = 1_000;
const CHECKPOINT_MS = 5_000;
/** A checkpoint that takes long is written so much more seldom. */
const CHECKPOINT_SHARE = 50;
/** How long the thread is kept from its other work at a stretch. */
const STRETCH_MS = 5;
/** The file system's clock need not be ours to the second. */
const MARGIN_MS = 3_600_000;

export interface KeeperOptions {
  /** Of the journal. */
  readonly directory: string;
  /** Of the checkpoint. */
  readonly path: string;
  readonly table: QuotaTable;
  /** Writers of the journal that are alive. */
  readonly live: () => ReadonlySet<string>;
  readonly log: KeeperLog;
  readonly clock?: () => number;
}

/** Tells the operator. */
export interface KeeperLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const NO_PLACES: PlaceFinder = {
  find: () => {
    throw new Error("no budget is in force");
  },
};

/** What is spent of one counter. */
export interface Spent {
  readonly counters: BudgetCounters;
  readonly owner: string;
  /** Billionths of a dollar. */
  readonly nanos: number;
}

export class BudgetKeeper {
  /** What other nodes have spent; null: there are none. */
  fleet: Pick<FleetSpending, "othersOf" | "totals"> | null = null;
  readonly #options: KeeperOptions;
  readonly #clock: () => number;
  #cursor: JournalCursor;
  #spending = new Spending(new BudgetSet([], NO_PLACES), new Map());
  /** Files that the checkpoint on file has passed. */
  #safe: ReadonlySet<string> = new Set();
  /** One thing after the other: each leaves the thread in between, and none may meet another half done. */
  #queue: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #changed = false;
  #nextCheckpoint = 0;
  #writable = true;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
    this.#cursor = new JournalCursor(options.directory);
  }

  /**
   * Adds up what was spent and puts it into the counters; then goes on by itself until `stop`. To be awaited before
   * the first request is admitted.
   */
  async start(budgets: readonly Budget[], places: PlaceFinder, entryOf?: EntryOf): Promise<void> {
    if (budgets.length > 0) await this.#load(new BudgetSet(budgets, places, entryOf));
    this.#timer = setInterval(() => void this.poll(), POLL_MS);
    this.#timer.unref();
  }

  /** Other budgets are in force from now on. New ones begin with what the journal says of their period. */
  adopt(budgets: readonly Budget[], places: PlaceFinder, entryOf?: EntryOf): Promise<void> {
    const since = this.#clock();
    return this.#enqueue(() => this.#adopt(new BudgetSet(budgets, places, entryOf), since));
  }

  /** Adds up what has come; now and then the sums go to file. Called by itself once a second. */
  poll(): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#spending.isEmpty) return;
      await this.#catchUp(true);
      if (!this.#options.table.sharesMoney) this.#spending.changed.clear();
      if (this.#changed && this.#clock() >= this.#nextCheckpoint) await this.#write();
    });
  }

  /** Reads the journal's rest and writes the sums; to be called when the last acceptor is gone. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#enqueue(async () => {
      if (this.#spending.isEmpty) return;
      await this.#catchUp(true);
      await this.#write();
    });
  }

  /** Must this file of the journal still be there at the next start? */
  wants(segment: string): boolean {
    return !this.#spending.isEmpty && !this.#safe.has(segment);
  }

  /** The budgets in force. */
  get set(): BudgetSet {
    return this.#spending.set;
  }

  /**
   * What this node has spent, by the names of the counters, where that is another sum than when it was last asked for.
   * What other nodes have spent is never in it.
   */
  takeChanged(): (readonly [string, Total])[] {
    const { changed } = this.#spending;
    const now = this.#clock();
    const taken: (readonly [string, Total])[] = [];
    for (const total of changed) {
      const { counters, owner, period } = total;
      if (counters.clock.at(now).id === period) taken.push([counterName(counters.budget, owner), total]);
    }
    changed.clear();
    return taken;
  }

  /** This node is known to have spent as much: what the journal does not tell of is added, as spent before. */
  raise(name: string, known: Pick<Total, "period" | "nanos">): Promise<void> {
    return this.#enqueue(async () => {
      if (!this.#spending.raise(name, known, this.#clock())) return;
      this.#spending.settleOwed((total, nanos) => this.#tell(total, nanos));
      this.#changed = true;
    });
  }

  /** What is spent in the periods that run now, as far as it has been added up or heard of, by all nodes. */
  *totals(): Generator<Spent> {
    for (const [name, { counters, owner, nanos }] of this.#spending.entries(this.#clock())) {
      yield { counters, owner, nanos: nanos + (this.fleet?.othersOf(name) ?? 0) };
    }
    for (const other of this.fleet?.totals() ?? []) if (!this.#spending.has(other, this.#clock())) yield other;
  }

  #enqueue(step: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(step).catch((error: unknown) => {
      this.#options.log.error({ err: error }, "budgets cannot be added up");
    });
    return this.#queue;
  }

  async #load(set: BudgetSet): Promise<void> {
    const now = this.#clock();
    const kept = this.#readKept();
    const identities = set.counters.map(({ identity }) => identity);
    this.#spending = new Spending(set, new Map(identities.map((identity) => [identity, now])));
    if (kept !== null) {
      this.#cursor = new JournalCursor(this.#options.directory, new Map(Object.entries(kept.positions)));
      this.#spending.restore(kept.totals, now);
      const covered = new Set(kept.budgets);
      const fresh = new Set(identities.filter((identity) => !covered.has(identity)));
      await this.#addPast({ only: fresh, counted: false });
    }
    await this.#catchUp(false);
    await this.#write();
  }

  #readKept(): Checkpoint | null {
    const kept = readCheckpoint(this.#options.path);
    if (typeof kept !== "string") return kept;
    const { path: file } = this.#options;
    this.#options.log.warn({ file, reason: kept }, "budgets are added up anew from the journal, as far as it reaches");
    return null;
  }

  async #adopt(set: BudgetSet, since: number): Promise<void> {
    const before = this.#spending;
    const identities = set.counters.map(({ identity }) => identity);
    const next = new Spending(
      set,
      new Map(identities.map((identity) => [identity, before.countedSince.get(identity) ?? since])),
    );
    next.adopt(before);
    this.#spending = next;
    this.#changed = true;
    if (before.isEmpty) {
      // While there was no budget nobody has read; now everything is read, as at a start.
      this.#cursor = new JournalCursor(this.#options.directory);
    } else {
      const fresh = new Set(identities.filter((identity) => !before.countedSince.has(identity)));
      await this.#addPast({ only: fresh, counted: true });
    }
    if (!next.isEmpty) await this.#catchUp(true);
  }

  /** Adds what the part of the journal that has been read already says of budgets that were not there then. */
  async #addPast(addition: Addition): Promise<void> {
    if (addition.only?.size === 0) return;
    const positions = new Map(this.#cursor.positions);
    await this.#addAll(linesBefore(this.#options.directory, positions, this.#since()), addition);
  }

  async #catchUp(counted: boolean): Promise<void> {
    await this.#addAll(this.#cursor.take(this.#options.live(), this.#since()), { only: null, counted });
    this.#spending.settleOwed((total, nanos) => this.#tell(total, nanos));
  }

  /** Files last written before this hold nothing of interest. */
  #since(): number {
    return this.#spending.since(this.#clock()) - MARGIN_MS;
  }

  async #addAll(pieces: Iterable<readonly string[]>, addition: Addition): Promise<void> {
    let rest = performance.now() + STRETCH_MS;
    for (const lines of pieces) {
      const now = this.#clock();
      for (const line of lines) {
        const expense = expenseOf(line);
        if (expense !== null) this.#spending.add(expense, now, addition);
      }
      this.#changed = true;
      if (performance.now() < rest) continue;
      await new Promise<void>((done) => setImmediate(done));
      rest = performance.now() + STRETCH_MS;
    }
  }

  #tell({ counters, owner, period }: Total, nanos: number): void {
    const past = { period, micros: microsFromNanos(nanos) };
    restoreSpent(this.#options.table, counters.layerOf(owner), past, this.#clock);
  }

  async #write(): Promise<void> {
    const started = performance.now();
    const safe = new Set(this.#cursor.done);
    const checkpoint = this.#checkpoint();
    this.#changed = false;
    const { path, log } = this.#options;
    try {
      await writeCheckpoint(path, checkpoint);
      this.#safe = safe;
      if (!this.#writable) log.info({ file: path }, "budgets are kept on file again");
      this.#writable = true;
    } catch (error) {
      this.#changed = true;
      const { code: reason = "unknown" } = error as NodeJS.ErrnoException;
      if (this.#writable) log.error({ file: path, reason }, "budgets cannot be kept on file");
      this.#writable = false;
    }
    const pause = Math.max(CHECKPOINT_MS, (performance.now() - started) * CHECKPOINT_SHARE);
    this.#nextCheckpoint = this.#clock() + pause;
  }

  #checkpoint(): Checkpoint {
    const totals: Record<string, readonly [number, number]> = {};
    for (const [name, { period, nanos }] of this.#spending.entries(this.#clock())) totals[name] = [period, nanos];
    return {
      version: 1,
      budgets: this.#spending.set.counters.map(({ identity }) => identity),
      positions: Object.fromEntries(this.#cursor.positions),
      totals,
    };
  }
}
