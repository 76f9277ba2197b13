/** Which record of the health table belongs to which model. Names keep theirs over reloads. */
import type { ModelResource, Resources } from "../config/resources.js";

/** Name of a model → its slot: the generation of its owner and the number of its record, in one number. */
export type SlotMap = Readonly<Record<string, number>>;

/** A model's record in the health table. */
export interface HealthSlot {
  readonly index: number;
  /** Which owner of the record this is: what is told of an earlier one is not its successor's. */
  readonly generation: number;
}

/** Of a model without a record: everything is told to nobody, and it is taken to be well. */
export const NO_SLOT: HealthSlot = Object.freeze({ index: -1, generation: 0 });

/** `capacity`: records of the table. */
export function unpackSlot(packed: number, capacity: number): HealthSlot {
  return Object.freeze({ index: packed % capacity, generation: Math.floor(packed / capacity) });
}

/** Hands out records; lives on the main thread. */
export class SlotAllocator {
  readonly #capacity: number;
  readonly #clear: (index: number) => number;
  readonly #taken = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  /** `clear` empties a record for a new owner and tells its generation. */
  constructor(capacity: number, clear: (index: number) => number) {
    this.#capacity = capacity;
    this.#clear = clear;
  }

  /** Slots for the models of these resources: targets first, the rest as far as there is room. */
  assign(resources: Resources): SlotMap {
    const names = slotNames(resources);
    for (const [name, packed] of this.#taken) {
      if (names.has(name)) continue;
      this.#taken.delete(name);
      this.#free.push(packed % this.#capacity);
    }
    for (const name of names) {
      if (this.#taken.has(name)) continue;
      // A fresh one while there are any, then the one free for longest: attempts may still hold its last owner.
      const index = this.#next < this.#capacity ? this.#next++ : this.#free.shift();
      if (index === undefined) break;
      this.#taken.set(name, this.#clear(index) * this.#capacity + index);
    }
    return Object.fromEntries(this.#taken);
  }
}

/**
 * What has a health of its own: every model that one provider serves, and every target of another model, also one
 * that only a pattern covers. Calls of other names that a pattern covers are the pattern's.
 */
export function slotNames(resources: Resources): Set<string> {
  const kinds = new Map(resources.models.map((model) => [model.name, model.kind]));
  const names = new Set<string>();
  for (const model of resources.models) {
    for (const target of targetNames(model)) {
      const kind = kinds.get(target);
      if (kind === undefined || kind === "direct") names.add(target);
    }
  }
  for (const model of resources.models) if (model.kind === "direct") names.add(model.name);
  return names;
}

/** Names of the models that stand behind a model; one that a provider serves has none. */
export function targetNames(model: ModelResource): readonly string[] {
  switch (model.kind) {
    case "direct":
      return [];
    case "routing":
      return model.routing.targets.map((target) => target.model);
    case "ensemble":
      return [...model.ensemble.panel.map((member) => member.model), model.ensemble.judge.model];
    case "semantic":
      return [
        model.semantic.embeddingModel,
        model.semantic.defaultTarget,
        ...model.semantic.routes.map((route) => route.target),
        ...(model.semantic.onEmbeddingFailure.action === "target" ? [model.semantic.onEmbeddingFailure.target] : []),
      ];
  }
}
