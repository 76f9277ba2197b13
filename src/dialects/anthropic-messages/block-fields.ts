/**
 * Fields of blocks, turns and tools that the hub has no place for. They travel as one extra, `block_fields`,
 * from this dialect's decoder to this wire's encoder; for any other target the extra is a loss like the rest.
 * Keys are places: `s0` (system block), `m3` (turn), `m3.2` (its block), `m3.2.1` (content of a tool result),
 * `t1` (tool). A key with "=" before the place replaces the whole block.
 */
import { asObject } from "../json.js";
import type { JsonObject } from "../semantic.js";

export const BLOCK_FIELDS = "block_fields";
/** Where system turns stood among the messages: `[turn, first system block, count]` each. */
export const LATER_SYSTEM = "later_system_turns";

/** Extras that this dialect makes up itself; they never reach a wire. */
export const OWN_EXTRAS: ReadonlySet<string> = new Set([BLOCK_FIELDS, LATER_SYSTEM]);

/** Collects while a request is decoded. */
export class BlockFieldsWriter {
  readonly #fields: JsonObject = {};
  #size = 0;

  /** Keeps the fields of `object` whose names are not known. */
  keepOthers(place: string, object: JsonObject, known: ReadonlySet<string>): void {
    for (const name in object) {
      if (!known.has(name) && object[name] !== undefined) this.keep(place, name, object);
    }
  }

  /** Keeps one field as it came. */
  keep(place: string, name: string, object: JsonObject): void {
    const kept = asObject(this.#fields[place]);
    if (kept === null) {
      this.#fields[place] = { [name]: object[name] };
      this.#size++;
    } else {
      kept[name] = object[name];
    }
  }

  /** Keeps a whole block. */
  keepWhole(place: string, block: JsonObject): void {
    this.#fields[`=${place}`] = block;
    this.#size++;
  }

  /** null when nothing was kept. */
  get fields(): JsonObject | null {
    return this.#size === 0 ? null : this.#fields;
  }
}

/** `block` with the fields that were kept for its place. */
export function withBlockFields(fields: JsonObject | null, place: string, block: JsonObject): JsonObject {
  if (fields === null) return block;
  const whole = asObject(fields[`=${place}`]);
  if (whole !== null) return whole;
  const kept = asObject(fields[place]);
  return kept === null ? block : { ...block, ...kept };
}
