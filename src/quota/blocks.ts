/** Which counters belong to which limited thing. Names keep their block over reloads, so counts survive them. */
import type { Resources } from "../config/resources.js";
import { Place, type PlaceFinder } from "./groups.js";

/** Name of a limited thing ("api_key:NAME", "model:NAME", "policy:ID", "budget:ID") → number of its block in the quota table. */
export type BlockMap = Readonly<Record<string, number>>;

/** Finds places by the names that the main thread has given blocks to. */
export class Places implements PlaceFinder {
  readonly #blocks: BlockMap;

  constructor(blocks: BlockMap) {
    this.#blocks = blocks;
  }

  find(name: string, within = name): Place {
    const block = this.#blocks[within];
    if (block === undefined) throw new Error(`no block was assigned to "${within}"`);
    return within === name ? Place.named(block) : Place.hashed(name, block);
  }
}

/** Hands out blocks; lives on the main thread. */
export class BlockAllocator {
  readonly #capacity: number;
  readonly #clear: (block: number) => void;
  #taken = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  /** `clear` zeroes the counters of a block that gets a new owner. */
  constructor(capacity: number, clear: (block: number) => void) {
    this.#capacity = capacity;
    this.#clear = clear;
  }

  /** Blocks for every limited thing of these resources, or null when there are more than the table holds. */
  assign(resources: Resources): BlockMap | null {
    const names = limitedNames(resources);
    if (names.size > this.#capacity) return null;
    for (const [name, block] of this.#taken) {
      if (names.has(name)) continue;
      this.#taken.delete(name);
      this.#free.push(block);
    }
    for (const name of names) {
      if (this.#taken.has(name)) continue;
      // A fresh one while there are any, then the one free for longest: requests may still hold its last owner.
      const block = this.#next < this.#capacity ? this.#next++ : (this.#free.shift() as number);
      this.#clear(block);
      this.#taken.set(name, block);
    }
    return Object.fromEntries(this.#taken);
  }
}

/** Names of everything that has a limit of its own. */
function limitedNames(resources: Resources): Set<string> {
  const names = new Set<string>();
  for (const key of resources.apiKeys) if (key.rateLimit !== null) names.add(`api_key:${key.name}`);
  for (const model of resources.models) if (model.rateLimit !== null) names.add(`model:${model.name}`);
  // A policy's or budget's own block is its only one, or the one for groups that find no room.
  for (const policy of resources.traffic.policies) names.add(`policy:${policy.id}`);
  for (const budget of resources.traffic.budgets) names.add(`budget:${budget.id}`);
  return names;
}
