/** The counters of limits and budgets, from the main thread: their memory, who has which block, and the fleet's grants. */
import type { Resources } from "../config/resources.js";
import type { WeirConfig } from "../config/schema.js";
import { BlockAllocator, type BlockMap, Places } from "../quota/blocks.js";
import { GrantTable } from "../quota/grants.js";
import { firstShares } from "../quota/money-share.js";
import { allocateQuotaMemory, type QuotaMemory, QuotaTable } from "../quota/table.js";

/** Limited things (keys and models with limits) that a node can count. */
const QUOTA_BLOCKS = 65_536;

export interface CountersOptions {
  readonly cluster: WeirConfig["cluster"];
  /** Threads that can count at once. */
  readonly rows: number;
  /** Tells the threads with requests that wait that something has been granted. */
  readonly wake: () => void;
}

export class Counters {
  readonly memory: QuotaMemory;
  readonly table: QuotaTable;
  /** What the fleet grants this node; null = the node is alone. */
  readonly grants: GrantTable | null;
  readonly #allocator: BlockAllocator;
  #blocks: BlockMap = {};

  constructor({ cluster, rows, wake }: CountersOptions) {
    const { nats, on_partition: onPartition } = cluster;
    this.memory = allocateQuotaMemory(QUOTA_BLOCKS, rows, undefined, nats !== null);
    // A row of no thread: it is the main thread's name at the lock.
    const table = new QuotaTable(this.memory, rows);
    this.table = table;
    if (nats !== null) table.shareMoney(firstShares(onPartition));
    this.grants = nats === null ? null : new GrantTable({ table, onPartition, wake });
    this.#allocator = new BlockAllocator(QUOTA_BLOCKS, (block) => table.clearBlock(block));
  }

  /** Throws when the resources have more limits than a node can count. */
  adopt(resources: Resources): void {
    const blocks = this.#allocator.assign(resources);
    if (blocks === null) throw new Error(`more than ${QUOTA_BLOCKS} keys and models with limits`);
    this.#blocks = blocks;
    this.grants?.adopt(blocks);
  }

  /** Who has which block. */
  get blocks(): BlockMap {
    return this.#blocks;
  }

  /** Where the things that are limited count. */
  get places(): Places {
    return new Places(this.#blocks);
  }

  /** The thread of this row is dead. */
  bury(row: number): void {
    new QuotaTable(this.memory, row).bury();
  }
}
