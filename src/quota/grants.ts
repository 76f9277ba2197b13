/**
 * The main thread's side of limits that hold for a fleet: hears what this node is short of, and puts what the fleet
 * grants it into the memory that admissions read. Who grants what is decided elsewhere; here are only this node's own
 * figures. Times are milliseconds since the epoch.
 */
import type { OnPartition } from "../config/traffic.js";
import type { BlockMap } from "./blocks.js";
import { type Bucket, CONCURRENCY, type GrantCells, type Shortage } from "./grant-cells.js";
import { Place } from "./groups.js";
import type { QuotaTable } from "./table.js";
import { DIMENSIONS, windowOf } from "./window.js";

export { CONCURRENCY } from "./grant-cells.js";

/** What a node is short of in one bucket; several of the same bucket are told as one. */
export interface Want {
  /** The same on all nodes: "api_key:NAME", "model:NAME", "policy:ID", or "#" and 32 hex digits. */
  readonly bucket: string;
  /** Index of DIMENSIONS, or CONCURRENCY. */
  readonly dimension: number;
  /** Number of the window, `windowOf(nowMs, windowMs)`; may be the next one. 0 for CONCURRENCY. */
  readonly window: number;
  /** The limit, as this node knows it. */
  readonly amount: number;
  /** Units that requests need now beyond what is here; 0 = none, there will be need of some soon. */
  readonly want: number;
  /** Requests wait for it. */
  readonly urgent: boolean;
  /** Units used beyond what was granted, to be claimed after the fact; `granted` has them already. */
  readonly overdraft: number;
  readonly onPartition: OnPartition;
  /** Units granted here for this window, all in all. */
  readonly granted: number;
  /** Units used here in this window; of a window to come: in the one before it. Of CONCURRENCY: in flight. */
  readonly used: number;
}

export interface Grant {
  /** Units more. */
  readonly units: number;
  /** What the owner has left for others; only for what callers are told. */
  readonly rest: number;
  /** Nothing is to be had before that: nobody asks or waits until then. 0 = not dry. */
  readonly dryUntil: number;
}

/** One bucket of which this node holds something. */
export interface Holding {
  readonly bucket: string;
  readonly dimension: number;
  readonly window: number;
  readonly granted: number;
  readonly used: number;
}

/** What the fleet's side uses of this node's memory. */
export interface Grants {
  /** Told when requests wait for units: there is something to `take` at once. Set by who takes. */
  onUrgent: (() => void) | null;
  /** Drains what is wanted. Cheap when nothing is. */
  take(): Want[];
  /**
   * Adds units to a bucket's window and wakes who waits for any, also when `units` is 0: they look again.
   * @returns the units taken; 0 where the bucket is not counted here any more or the window is over: give them back
   */
  grant(bucket: string, dimension: number, window: number, grant: Grant): number;
  /** Removes what is neither spent nor to be kept. @returns how many units; they are not here any more */
  takeBack(bucket: string, dimension: number, window: number, keep: number): number;
  /**
   * Removes up to so many, of requests at once also those in use: a request that ends leaves no place then.
   * @returns how many units; they are not here any more
   */
  giveUp(bucket: string, dimension: number, window: number, units: number): number;
  /** What stands here of a bucket's window; null = nothing: whatever was granted is not spent from here any more. */
  holding(bucket: string, dimension: number, window: number): Holding | null;
  /** Everything granted here whose window is not over, that of the next window included. */
  active(): Iterable<Holding>;
}

/** Shortages read in one go: the lock is not held for longer. */
const AT_ONCE = 64;
/** Holdings remembered; past it those whose window is over are looked for at once, and of the rest none is added. */
const MOST_HOLDINGS = 300_000;
const SWEEP_MS = 5_000;
const NO_WANTS: Want[] = [];

export interface GrantTableOptions {
  /** The main thread's view of the counters. */
  readonly table: QuotaTable;
  /** `cluster.on_partition`. */
  readonly onPartition: OnPartition;
  /** Tells the threads with requests that wait (see `waits`) to look again. */
  readonly wake: () => void;
  readonly clock?: () => number;
}

interface Known {
  readonly bucket: string;
  readonly dimension: number;
  readonly window: number;
}

type Sum = { -readonly [Field in keyof Want]: Want[Field] };

export class GrantTable implements Grants {
  onUrgent: (() => void) | null = null;
  readonly #table: QuotaTable;
  readonly #cells: GrantCells;
  readonly #options: GrantTableOptions;
  readonly #clock: () => number;
  readonly #holdings = new Map<string, Known>();
  #blocks: BlockMap = {};
  #names: (string | undefined)[] = [];
  #wakes = false;
  #sweptAt = 0;

  /** Throws where the table has no memory for grants. */
  constructor(options: GrantTableOptions) {
    const { table, clock = Date.now } = options;
    if (table.grants === null) throw new Error("no memory for grants was allocated");
    this.#table = table;
    this.#cells = table.grants;
    this.#options = options;
    this.#clock = clock;
  }

  /** Which names have which blocks from now on. */
  adopt(blocks: BlockMap): void {
    this.#blocks = blocks;
    this.#names = [];
    for (const [name, block] of Object.entries(blocks)) this.#names[block] = name;
  }

  /** An acceptor has rung. */
  hearBell(): void {
    this.onUrgent?.();
  }

  /** Do requests wait on the thread of this row? */
  waits(row: number): boolean {
    return this.#cells.waits(row);
  }

  take(): Want[] {
    this.#cells.unring();
    const now = this.#clock();
    if (now - this.#sweptAt >= SWEEP_MS) this.#sweep(now);
    let sums: Map<string, Sum> | null = null;
    for (let full = true; full; ) {
      this.#table.lock();
      try {
        for (let count = 0; count < AT_ONCE && full; count += 1) {
          const said = this.#cells.next();
          full = said !== null;
          if (said === null || this.#table.generation(said.block) !== said.generation) continue;
          sums ??= new Map();
          this.#sum(sums, said);
        }
      } finally {
        this.#table.unlock();
      }
    }
    return sums === null ? NO_WANTS.slice() : [...sums.values()];
  }

  grant(bucket: string, dimension: number, window: number, grant: Grant): number {
    this.#wakeSoon();
    const units = Math.max(0, Math.floor(grant.units));
    this.#table.lock();
    try {
      const block = this.#blockOf(bucket);
      if (block < 0 || !this.#add(block, { dimension, window }, { ...grant, units })) return 0;
    } finally {
      this.#table.unlock();
    }
    return units === 0 || this.#remember({ bucket, dimension, window })
      ? units
      : this.#refuse(bucket, dimension, window);
  }

  takeBack(bucket: string, dimension: number, window: number, keep: number): number {
    const leave = Math.max(0, keep);
    return this.#remove({ bucket, dimension, window }, (granted, used) => granted - used - leave);
  }

  giveUp(bucket: string, dimension: number, window: number, units: number): number {
    const isPlaces = dimension === CONCURRENCY;
    return this.#remove({ bucket, dimension, window }, (granted, used) =>
      Math.min(units, isPlaces ? granted : granted - used),
    );
  }

  #remove({ bucket, dimension, window }: Known, howMany: (granted: number, used: number) => number): number {
    this.#table.lock();
    try {
      const block = this.#blockOf(bucket);
      const granted = block < 0 ? -1 : this.#cells.grantedFor(block, dimension, window);
      if (granted <= 0) return 0;
      const units = Math.max(0, howMany(granted, this.#used(block, dimension, window)));
      if (units > 0) this.#cells.remove(block, dimension, window, units);
      return units;
    } finally {
      this.#table.unlock();
    }
  }

  holding(bucket: string, dimension: number, window: number): Holding | null {
    this.#table.lock();
    try {
      const block = this.#blockOf(bucket);
      const granted = block < 0 ? -1 : this.#cells.grantedFor(block, dimension, window);
      if (granted < 0) return null;
      return { bucket, dimension, window, granted, used: this.#used(block, dimension, window) };
    } finally {
      this.#table.unlock();
    }
  }

  *active(): Generator<Holding> {
    const now = this.#clock();
    for (const [key, { bucket, dimension, window }] of this.#holdings) {
      const held = isOver(dimension, window, now) ? null : this.holding(bucket, dimension, window);
      if (held === null || held.granted <= 0) this.#holdings.delete(key);
      else yield held;
    }
  }

  #sum(sums: Map<string, Sum>, said: Bucket & Shortage): void {
    const { block, dimension, window, amount, want, overdraft, urgent } = said;
    const bucket = this.#nameOf(block);
    if (bucket === null) return;
    const key = keyOf(bucket, dimension, window);
    const known = sums.get(key);
    if (known !== undefined) {
      known.want += want;
      known.overdraft += overdraft;
      known.urgent ||= urgent;
      known.amount = amount;
      return;
    }
    const onPartition = said.onPartition ?? this.#options.onPartition;
    const granted = Math.max(0, this.#cells.grantedFor(block, dimension, window));
    const used = this.#usedOrBefore(block, dimension, window);
    sums.set(key, { bucket, dimension, window, amount, want, urgent, overdraft, onPartition, granted, used });
    // It was raised by the node itself, so nobody has remembered it by a grant.
    if (overdraft > 0) this.#remember({ bucket, dimension, window });
  }

  /** For the window under way or the one after it; a cell that nobody has asked for long is brought up to date first. */
  #add(block: number, { dimension, window }: Pick<Known, "dimension" | "window">, grant: Grant): boolean {
    const windowMs = DIMENSIONS[dimension]?.windowMs;
    if (windowMs !== undefined) {
      const underWay = windowOf(this.#clock(), windowMs);
      if (window > underWay + 1) return false;
      this.#cells.enter(block, dimension, underWay);
    }
    return this.#cells.add(block, dimension, window, grant);
  }

  #used(block: number, dimension: number, window: number): number {
    if (dimension === CONCURRENCY) return this.#table.inFlight(block);
    return this.#table.used(block, dimension, window);
  }

  #usedOrBefore(block: number, dimension: number, window: number): number {
    return (
      this.#used(block, dimension, window) || (dimension === CONCURRENCY ? 0 : this.#before(block, dimension, window))
    );
  }

  #before(block: number, dimension: number, window: number): number {
    const windowMs = DIMENSIONS[dimension]?.windowMs ?? 1;
    return window * windowMs > this.#clock() ? this.#table.used(block, dimension, window - 1) : 0;
  }

  #nameOf(block: number): string | null {
    return this.#names[block] ?? this.#table.hashOf(block);
  }

  /** -1 = it has none here. */
  #blockOf(bucket: string): number {
    if (!bucket.startsWith("#")) return this.#blocks[bucket] ?? -1;
    const place = Place.ofHash(bucket.slice(1));
    return place === null ? -1 : this.#table.find(place);
  }

  #remember(known: Known): boolean {
    const key = keyOf(known.bucket, known.dimension, known.window);
    if (this.#holdings.has(key)) return true;
    if (this.#holdings.size >= MOST_HOLDINGS) this.#sweep(this.#clock());
    if (this.#holdings.size >= MOST_HOLDINGS) return false;
    this.#holdings.set(key, known);
    return true;
  }

  /** What cannot be remembered could not be given back when the node leaves. */
  #refuse(bucket: string, dimension: number, window: number): number {
    this.takeBack(bucket, dimension, window, 0);
    return 0;
  }

  #sweep(nowMs: number): void {
    this.#sweptAt = nowMs;
    for (const [key, { dimension, window }] of this.#holdings) {
      if (isOver(dimension, window, nowMs)) this.#holdings.delete(key);
    }
  }

  /** Once for all grants of a turn. */
  #wakeSoon(): void {
    if (this.#wakes) return;
    this.#wakes = true;
    queueMicrotask(() => {
      this.#wakes = false;
      this.#options.wake();
    });
  }
}

function keyOf(bucket: string, dimension: number, window: number): string {
  return `${dimension}:${window}:${bucket}`;
}

function isOver(dimension: number, window: number, nowMs: number): boolean {
  const windowMs = DIMENSIONS[dimension]?.windowMs;
  return windowMs !== undefined && (window + 1) * windowMs <= nowMs;
}
