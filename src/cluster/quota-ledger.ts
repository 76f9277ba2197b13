/**
 * Who holds how much of each limit. Every instance has a copy, and copies merge in any order, any number of times:
 * all counters only grow, and the greater one is right. For each holder an entry has what each *author* has granted it
 * (the owner of that moment, or the holder itself for what it took alone) and what the holder has given back. Only an
 * author writes its counter, and only a holder tells what it gave back.
 */
import { type BucketId, endOf, isInForce, keyOf } from "./quota-bucket.js";

/** Past this the oldest are forgotten. */
const MAX_ENTRIES = 300_000;
/** More are somebody's mistake. */
const MAX_ROWS = 1_024;
/** Of requests at once, whose holders come and go: past this those that are gone are left out. */
const MANY_ROWS = 64;
const MAX_AUTHORS = 256;
/** How many of the oldest are looked at for one that this node has nothing of. */
const LOOKS = 64;

export interface RowData {
  readonly holder: string;
  /** Units the holder has given back. */
  readonly returned: number;
  /** Author and units. */
  readonly granted: readonly (readonly [string, number])[];
}

export interface EntryData extends BucketId {
  readonly limit: number;
  readonly rows: readonly RowData[];
}

interface Row {
  readonly holder: string;
  returned: number;
  readonly authors: string[];
  readonly units: number[];
}

/** One bucket. What stands behind `rows` is this instance's own and travels nowhere. */
export class Entry implements BucketId {
  readonly bucket: string;
  readonly dimension: number;
  readonly window: number;
  limit: number;
  readonly rows: Row[] = [];
  /** Units of this instance that stand in its memory. */
  applied = 0;
  /** Units that this instance took while it could not ask. */
  solo = 0;
  /** As its owner: when the holders may be asked again to give back, and how long to wait after that. */
  recallAt = 0;
  backoffMs = 0;
  recalling: Promise<void> | null = null;

  constructor({ bucket, dimension, window }: BucketId, limit: number) {
    this.bucket = bucket;
    this.dimension = dimension;
    this.window = window;
    this.limit = limit;
  }
}

export interface LedgerOptions {
  readonly self: string;
  /** Is this instance known to live? Requests at once end with the instance that has them. */
  readonly isHere: (instance: string) => boolean;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Units that stand in this instance's memory of a bucket: it may have been forgotten here, and come again. */
  readonly held?: (id: BucketId) => number;
  /** Entries that are remembered; past it the oldest are forgotten. */
  readonly most?: number;
}

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #entries = new Map<string, Entry>();
  /** Entries whose counters this instance has changed since `changes` was called. */
  readonly #changed = new Set<Entry>();
  /** The same names come with every message: they are kept once. */
  readonly #names = new Map<string, string>();
  #urgent = false;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Has this instance taken something itself that nobody has been told of? */
  get isUrgent(): boolean {
    return this.#urgent;
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  find(id: BucketId): Entry | null {
    return this.#entries.get(keyOf(id)) ?? null;
  }

  /** The entry, with the limit as it was heard last; null when its window is not in force. */
  open(id: BucketId, limit: number): Entry | null {
    const key = keyOf(id);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (!isInForce(id, this.#options.clock())) return null;
      if (this.#entries.size >= (this.#options.most ?? MAX_ENTRIES)) this.#forgetOldest();
      entry = new Entry(id, limit);
      entry.applied = this.#options.held?.(id) ?? 0;
      this.#entries.set(key, entry);
    }
    entry.limit = limit;
    return entry;
  }

  /** Units that a holder has: granted and not given back. */
  net(entry: Entry, holder: string): number {
    const row = entry.rows.find((candidate) => candidate.holder === holder);
    return row === undefined ? 0 : netOf(row);
  }

  /** What nobody holds; below 0 when more was taken than there is. */
  rest(entry: Entry): number {
    let rest = entry.limit;
    const counts = Number.isFinite(endOf(entry)) ? null : this.#options.isHere;
    for (const row of entry.rows) if (counts === null || counts(row.holder)) rest -= netOf(row);
    return rest;
  }

  /** Are more requests at once allowed than there may be: was the limit lowered, or a holder taken for gone? */
  hasExcess(entry: Entry): boolean {
    return !Number.isFinite(endOf(entry)) && this.rest(entry) < 0;
  }

  /**
   * What a holder has to give up of requests at once where more are held than there are: its part of what is too much,
   * also of places in use, as those have no end at which all begins anew.
   */
  excessOf(entry: Entry, holder: string): number {
    if (!this.hasExcess(entry)) return 0;
    const excess = -this.rest(entry);
    return Math.ceil((excess * this.net(entry, holder)) / (entry.limit + excess));
  }

  holders(entry: Entry): string[] {
    return entry.rows.filter((row) => netOf(row) > 0).map(({ holder }) => holder);
  }

  /** This instance grants units, as the owner or to itself. */
  grant(entry: Entry, holder: string, units: number): void {
    if (units <= 0) return;
    const { self } = this.#options;
    const row = this.#row(entry, holder);
    if (row === null) return;
    const at = authorAt(row, this.#name(self));
    if (at < 0) return;
    row.units[at] = (row.units[at] as number) + units;
    if (holder === self) this.#urgent = true;
    this.#changed.add(entry);
  }

  /** This instance gives back units that it has not spent. */
  giveBack(entry: Entry, units: number): void {
    const row = units > 0 ? this.#row(entry, this.#options.self) : null;
    if (row === null) return;
    row.returned += units;
    this.#changed.add(entry);
  }

  /** Takes in what another instance knows. Returns the entry; null when it is not in force. */
  merge(data: EntryData): Entry | null {
    const entry = this.find(data) ?? this.open(data, data.limit);
    if (entry === null) return null;
    for (const { holder, returned, granted } of data.rows) {
      const row = this.#row(entry, holder);
      if (row === null) continue;
      row.returned = Math.max(row.returned, returned);
      for (const [author, units] of granted) {
        const at = authorAt(row, this.#name(author));
        if (at >= 0) row.units[at] = Math.max(row.units[at] as number, units);
      }
    }
    return entry;
  }

  /** The entry with one holder's row, or with all rows. */
  data(entry: Entry, holder: string | null = null): EntryData {
    const rows = holder === null ? entry.rows : entry.rows.filter((row) => row.holder === holder);
    return dataOf(entry, rows);
  }

  /** What this instance has written since the last time, as far as it is its own: others tell the rest. */
  changes(): EntryData[] {
    const { self } = this.#options;
    const found: EntryData[] = [];
    for (const entry of this.#changed) {
      found.push(
        dataOf(
          entry,
          entry.rows.filter(({ holder, authors }) => holder === self || authors.includes(self)),
        ),
      );
    }
    this.#changed.clear();
    this.#urgent = false;
    return found;
  }

  /** All of it will be told again: what was told may not have arrived. */
  tellAgain(): void {
    const { self } = this.#options;
    for (const entry of this.#entries.values()) {
      if (entry.rows.some(({ holder, authors }) => holder === self || authors.includes(self))) this.#changed.add(entry);
    }
  }

  /** Forgets windows that are long over. */
  expire(): void {
    const now = this.#options.clock();
    for (const [key, entry] of this.#entries) {
      if (isInForce(entry, now)) continue;
      this.#entries.delete(key);
      this.#changed.delete(entry);
    }
  }

  /** Rather one that this node has nothing of. */
  #forgetOldest(): void {
    let looks = 0;
    let oldest: string | null = null;
    for (const [key, { applied }] of this.#entries) {
      if (applied === 0) oldest = key;
      else oldest ??= key;
      looks += 1;
      if (applied === 0 || looks >= LOOKS) break;
    }
    const entry = oldest === null ? undefined : this.#entries.get(oldest);
    if (oldest === null || entry === undefined) return;
    this.#entries.delete(oldest);
    this.#changed.delete(entry);
  }

  #row(entry: Entry, holder: string): Row | null {
    const known = entry.rows.find((row) => row.holder === holder);
    if (known !== undefined) return known;
    if (entry.rows.length >= MANY_ROWS && !Number.isFinite(endOf(entry))) this.#leaveOutGone(entry);
    if (entry.rows.length >= MAX_ROWS) return null;
    const row: Row = { holder: this.#name(holder), returned: 0, authors: [], units: [] };
    entry.rows.push(row);
    return row;
  }

  /** Who is back again tells what it has. */
  #leaveOutGone({ rows }: Entry): void {
    const here = rows.filter(({ holder }) => this.#options.isHere(holder));
    rows.splice(0, rows.length, ...here);
  }

  #name(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size >= 2 * MAX_ROWS) this.#names.clear();
    this.#names.set(name, name);
    return name;
  }
}

function netOf({ units, returned }: Row): number {
  let net = -returned;
  for (const granted of units) net += granted;
  return Math.max(0, net);
}

/** Where the author's counter stands; made when it is missing; -1: there are too many. */
function authorAt(row: Row, author: string): number {
  const at = row.authors.indexOf(author);
  if (at >= 0 || row.authors.length >= MAX_AUTHORS) return at;
  row.units.push(0);
  return row.authors.push(author) - 1;
}

function dataOf({ bucket, dimension, window, limit }: Entry, rows: readonly Row[]): EntryData {
  return {
    bucket,
    dimension,
    window,
    limit,
    rows: rows.map(({ holder, returned, authors, units }) => ({
      holder,
      returned,
      granted: authors.map((author, at) => [author, units[at] as number] as const),
    })),
  };
}
