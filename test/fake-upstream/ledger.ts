/** What the fake upstream saw and dealt out. Tokens count when they are written, not when they are planned. */
import type { SimulatedUnits } from "../../src/providers/simulator/turn.js";

export interface RecordedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names and values as they came, in order. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly model: string;
  /** Milliseconds since the epoch, with fractions. */
  readonly receivedAt: number;
  /** 0 until the answer ended or broke. */
  endedAt: number;
  /** Status answered; 0 = none. */
  status: number;
  /** The other side closed before the answer was sent whole. */
  aborted: boolean;
  /** The answer was sent whole. */
  completed: boolean;
  bytesSent: number;
  inputTokens: number;
  outputTokens: number;
  /** What was dealt out beside tokens. */
  units: SimulatedUnits;
}

export interface Totals {
  requests: number;
  completed: number;
  aborted: number;
  input: number;
  output: number;
}

export interface Stats extends Totals {
  /** Connections open now, those of control calls included. */
  open_connections: number;
  /** Requests whose answer has not ended yet. */
  in_flight: number;
  /** Tokens of answers that were sent whole. */
  completed_tokens: { input: number; output: number };
  models: Record<string, Totals>;
}

/** Bodies of so many requests are kept; the totals count all. */
const KEPT = 20_000;

export class Ledger {
  #records: RecordedRequest[] = [];
  #totals: Totals = totals();
  #completed = { input: 0, output: 0 };
  #models = new Map<string, Totals>();
  readonly #open = new Set<RecordedRequest>();
  readonly #waiters = new Set<() => void>();
  openConnections = 0;

  get records(): readonly RecordedRequest[] {
    return this.#records;
  }

  begin(request: Pick<RecordedRequest, "method" | "path" | "rawHeaders" | "body" | "model">): RecordedRequest {
    const record: RecordedRequest = {
      ...request,
      receivedAt: performance.timeOrigin + performance.now(),
      endedAt: 0,
      status: 0,
      aborted: false,
      completed: false,
      bytesSent: 0,
      inputTokens: 0,
      outputTokens: 0,
      units: {},
    };
    this.#records.push(record);
    if (this.#records.length > KEPT) this.#records.shift();
    this.#open.add(record);
    this.#count(record, (sum) => sum.requests++);
    return record;
  }

  deal(record: RecordedRequest, input: number, output: number): void {
    if (!this.#open.has(record)) return;
    record.inputTokens += input;
    record.outputTokens += output;
    this.#count(record, (sum) => {
      sum.input += input;
      sum.output += output;
    });
  }

  end(record: RecordedRequest, outcome: "completed" | "aborted" | "broken"): void {
    if (record.endedAt !== 0) return;
    record.endedAt = performance.timeOrigin + performance.now();
    if (!this.#open.delete(record)) return;
    if (outcome === "completed") {
      record.completed = true;
      this.#completed.input += record.inputTokens;
      this.#completed.output += record.outputTokens;
      this.#count(record, (sum) => sum.completed++);
    } else if (outcome === "aborted") {
      record.aborted = true;
      this.#count(record, (sum) => sum.aborted++);
    } else this.changed();
  }

  stats(): Stats {
    return {
      ...this.#totals,
      open_connections: this.openConnections,
      in_flight: this.#open.size,
      completed_tokens: { ...this.#completed },
      models: Object.fromEntries([...this.#models].map(([model, sum]) => [model, { ...sum }])),
    };
  }

  /** Forgets everything; requests that are still open end uncounted. */
  reset(): void {
    this.#open.clear();
    this.#records = [];
    this.#totals = totals();
    this.#completed = { input: 0, output: 0 };
    this.#models = new Map();
  }

  /** Resolves when the condition holds; rejects after `timeoutMs`. Looked at whenever something was counted. */
  until(condition: (stats: Stats) => boolean, timeoutMs: number): Promise<Stats> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!condition(this.stats())) return;
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(this.stats());
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(look);
        reject(new Error(`not so after ${timeoutMs} ms: ${condition} with ${JSON.stringify(this.stats())}`));
      }, timeoutMs);
      this.#waiters.add(look);
      look();
    });
  }

  changed(): void {
    for (const look of [...this.#waiters]) look();
  }

  #count(record: RecordedRequest, change: (sum: Totals) => void): void {
    let model = this.#models.get(record.model);
    if (model === undefined) {
      model = totals();
      this.#models.set(record.model, model);
    }
    change(model);
    change(this.#totals);
    this.changed();
  }
}

function totals(): Totals {
  return { requests: 0, completed: 0, aborted: 0, input: 0, output: 0 };
}
