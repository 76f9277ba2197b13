/**
 * The values behind the metrics. A holder of a cell changes a number and nothing else happens: labels are
 * looked up once, when the cell is asked for. (prom-client's own children hash their labels at every
 * observation, 1 µs and more with five labels.)
 */

/** The value of one counter or gauge. Counters only grow. */
export class Cell {
  value = 0;

  add(amount: number): void {
    this.value += amount;
  }
}

/** One histogram series; counts are per bucket, not cumulative, the last one is beyond every bound. */
export class HistogramCell {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Takes one value; one that is not finite is passed over. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index += 1;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += value;
  }

  /** [...counts, sum]. */
  numbers(): number[] {
    return [...this.#counts, this.#sum];
  }
}

/** The series of one metric, by label values; bounded. */
export class Family<T> {
  readonly #limit: number;
  readonly #create: () => T;
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly cell: T }>();

  constructor(limit: number, create: () => T) {
    this.#limit = limit;
    this.#create = create;
  }

  /** Has the bound been reached, so that unknown label values have no place? */
  isFullFor(labels: readonly string[]): boolean {
    return this.#series.size >= this.#limit && !this.#series.has(keyOf(labels));
  }

  cell(labels: readonly string[]): T {
    const key = keyOf(labels);
    const known = this.#series.get(key);
    if (known !== undefined) return known.cell;
    const cell = this.#create();
    this.#series.set(key, { labels: [...labels], cell });
    return cell;
  }

  /** Forgets every series: for a metric whose label is the value (a revision). */
  clear(): void {
    this.#series.clear();
  }

  values(): IterableIterator<{ readonly labels: readonly string[]; readonly cell: T }> {
    return this.#series.values();
  }
}

/** Joins label values to a key. No name that configuration admits holds the separator. */
function keyOf(labels: readonly string[]): string {
  return labels.length === 1 ? (labels[0] as string) : labels.join("\u0000");
}

/** One series as plain data: a single number, or a histogram's counts and sum. */
export interface SeriesData {
  readonly labels: readonly string[];
  readonly numbers: readonly number[];
}

/** One metric's series of one thread. */
export interface MetricData {
  readonly name: string;
  readonly series: readonly SeriesData[];
}

/** Everything one thread has counted, fit to cross threads. */
export type MetricObjects = readonly MetricData[];
