/**
 * Warns of fractions that a fleet's budgets reach. Every node sees them reached; the one that writes so into the bucket
 * first tells the operator. Without NATS each tells what it sees.
 */
import type { Crossing } from "../quota/money.js";
import type { BudgetBucket } from "./budget-bucket.js";

/** Told without the bucket, to be written there later. */
const MOST_UNCLAIMED = 10_000;

export interface BudgetWarningsOptions {
  readonly bucket: Pick<BudgetBucket, "isOpen" | "claim">;
  readonly warn: (crossings: readonly Crossing[]) => void;
}

export class BudgetWarnings {
  readonly #options: BudgetWarningsOptions;
  readonly #unclaimed = new Map<string, { readonly period: number; readonly fraction: number }>();
  /** One after the other: a period may have several fractions. */
  #queue: Promise<void> = Promise.resolve();

  constructor(options: BudgetWarningsOptions) {
    this.#options = options;
  }

  /** A counter has reached fractions of its budget, as far as this node knows. Returns at once. */
  crossed(counter: string, period: number, crossings: readonly Crossing[]): void {
    this.#queue = this.#queue.then(async () => {
      const fraction = Math.max(...crossings.map((crossing) => crossing.fraction));
      const before = await this.#claim(counter, period, fraction);
      const untold = crossings.filter((crossing) => crossing.fraction > before);
      if (untold.length > 0) this.#options.warn(untold);
    });
  }

  /** The bucket is back: what was told without it is written there. */
  claimAll(): void {
    const unclaimed = [...this.#unclaimed];
    this.#unclaimed.clear();
    this.#queue = this.#queue.then(async () => {
      for (const [counter, { period, fraction }] of unclaimed) await this.#claim(counter, period, fraction);
    });
  }

  /** The highest fraction that the fleet was warned of before; 0 where nobody can say. */
  async #claim(counter: string, period: number, fraction: number): Promise<number> {
    const { bucket } = this.#options;
    if (bucket.isOpen) {
      try {
        return await bucket.claim(counter, period, fraction);
      } catch {
        // To be tried again.
      }
    }
    if (this.#unclaimed.size < MOST_UNCLAIMED) this.#unclaimed.set(counter, { period, fraction });
    return 0;
  }
}
