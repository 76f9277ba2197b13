/** What a node carries right now, over all its acceptors: one row of shared counters a thread. */
import type { Exchange } from "../pipeline/exchange.js";

const FIELDS = { inFlight: 0, connections: 1, bodyKilobytes: 2 } as const;
const FIELD_COUNT = 3;

/** Zeroed counters for `rows` threads. */
export function allocateLoadMemory(rows: number): SharedArrayBuffer {
  return new SharedArrayBuffer(rows * FIELD_COUNT * 4);
}

/** One thread's view of the node's load. */
export class NodeLoad {
  readonly #counters: Int32Array;
  readonly #row: number;
  readonly #rows: number;
  readonly #bodyBound: number;
  #bodyBytes = 0;

  /** `bodyBytes`: bound of the request bodies held in memory by the whole node. */
  constructor(memory: SharedArrayBuffer, row: number, bodyBytes: number) {
    this.#counters = new Int32Array(memory);
    this.#row = row * FIELD_COUNT;
    this.#rows = this.#counters.length / FIELD_COUNT;
    this.#bodyBound = Math.ceil(bodyBytes / 1_024);
  }

  /** Forgets what an earlier owner of this row left behind. */
  clearRow(): void {
    this.#counters.fill(0, this.#row, this.#row + FIELD_COUNT);
  }

  get inFlight(): number {
    return this.#sum(FIELDS.inFlight);
  }

  /** Connections of this thread alone. */
  get ownConnections(): number {
    return this.#counters[this.#row + FIELDS.connections] as number;
  }

  get connections(): number {
    return this.#sum(FIELDS.connections);
  }

  enter(): void {
    this.#change(FIELDS.inFlight, 1);
  }

  /** An exchange has been settled: its place and its body's memory are free. */
  leave(exchange: Exchange): void {
    this.#change(FIELDS.inFlight, -1);
    this.#bodyBytes -= exchange.bodyMemory;
    exchange.bodyMemory = 0;
    this.#storeBodies();
  }

  changeConnections(by: number): void {
    this.#change(FIELDS.connections, by);
  }

  /** Counts body memory for an exchange; false when the node has none left. */
  takeBodyMemory(exchange: Exchange, bytes: number): boolean {
    if (this.#sum(FIELDS.bodyKilobytes) + bytes / 1_024 > this.#bodyBound) return false;
    exchange.bodyMemory += bytes;
    this.#bodyBytes += bytes;
    this.#storeBodies();
    return true;
  }

  #storeBodies(): void {
    this.#counters[this.#row + FIELDS.bodyKilobytes] = Math.ceil(this.#bodyBytes / 1_024);
  }

  /** Only this thread writes its row, so plain reads and writes do. */
  #change(field: number, by: number): void {
    this.#counters[this.#row + field] = (this.#counters[this.#row + field] as number) + by;
  }

  #sum(field: number): number {
    let sum = 0;
    for (let row = 0; row < this.#rows; row += 1) sum += this.#counters[row * FIELD_COUNT + field] as number;
    return sum;
  }
}
