/** The main thread's side of routing: the memory that the acceptors share, and who has which part of it. */
import type { Resources } from "../config/resources.js";
import { Snapshot } from "../config/snapshot.js";
import type { Cooldown } from "../config/traffic.js";
import { Cursors } from "./cursors.js";
import { HealthTable } from "./health.js";
import type { OtherNodes } from "./other-nodes.js";
import { type CheckedModel, checkedModels } from "./prober.js";
import { allocateRoutingMemory, type RoutingMemory } from "./router.js";
import { type HealthSlot, SlotAllocator, type SlotMap } from "./slots.js";
import { type ModelStatus, modelStatus } from "./status.js";

/** A model with a health of its own. */
export interface SharedModel {
  readonly slot: HealthSlot;
  readonly cooldown: Cooldown;
  /** For so long the result of a background check says something; 0: none is made. */
  readonly staleSeconds: number;
}

export class SharedRouting {
  readonly memory: RoutingMemory;
  /** In no acceptor's row: for checks and for looking. */
  readonly health: HealthTable;
  /** null: this node is alone. */
  otherNodes: OtherNodes | null = null;
  readonly #allocator: SlotAllocator;
  readonly #cursors: Cursors;
  #resources: Resources | null = null;
  /** Of those resources; made when somebody looks. */
  #snapshot: Snapshot | null = null;
  #slots: SlotMap = {};
  #models: ReadonlyMap<string, SharedModel> | null = null;

  /** `rows`: threads that may live at once. */
  constructor(rows: number) {
    this.memory = allocateRoutingMemory(rows);
    this.health = new HealthTable(this.memory.health, rows);
    this.#cursors = new Cursors(this.memory.cursors);
    this.#allocator = new SlotAllocator(this.memory.health.slots, (index) => this.health.clearSlot(index));
  }

  /** New resources come into force. Returns the slots of their models, for every acceptor. */
  assign(resources: Resources): SlotMap {
    const slots = this.#allocator.assign(resources);
    this.health.adopt(slots);
    this.#cursors.tidy();
    this.#resources = resources;
    this.#snapshot = null;
    this.#slots = slots;
    this.#models = null;
    return slots;
  }

  /** The thread of this row is dead: what it had in flight is over. */
  bury(row: number): void {
    new HealthTable(this.memory.health, row).clearRow();
  }

  /** How the models are doing, a row each. `nowMs`: milliseconds since the epoch. */
  status(nowMs: number): readonly ModelStatus[] {
    const resources = this.#resources;
    if (resources === null) return [];
    const cooldownFrom = (name: string) => this.otherNodes?.cooldownFrom(name) ?? null;
    return modelStatus({ resources, snapshot: this.#look(resources), health: this.health, cooldownFrom }, nowMs);
  }

  /** What has a health of its own, by the names that all nodes know it by; another map after every `assign`. */
  get models(): ReadonlyMap<string, SharedModel> {
    this.#models ??= this.#findModels();
    return this.#models;
  }

  #findModels(): ReadonlyMap<string, SharedModel> {
    const models = new Map<string, SharedModel>();
    if (this.#resources === null) return models;
    const snapshot = this.#look(this.#resources);
    for (const name of Object.keys(this.#slots)) {
      const entry = snapshot.findModel(name)?.direct?.entry;
      if (entry === undefined) continue;
      const { cooldown, backgroundCheck } = entry;
      const staleSeconds = backgroundCheck?.staleAfterSeconds ?? 0;
      models.set(name, { slot: this.health.slotOf(name), cooldown, staleSeconds });
    }
    return models;
  }

  /** The models that want background checks. */
  checked(): readonly CheckedModel[] {
    return this.#resources === null ? [] : checkedModels(this.#resources, this.#look(this.#resources), this.health);
  }

  #look(resources: Resources): Snapshot {
    this.#snapshot ??= new Snapshot(resources);
    return this.#snapshot;
  }
}
