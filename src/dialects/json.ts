/** Typed readers of parsed JSON, shared by all codecs: a value of the wrong type reads as absent. */
import type { JsonObject, JsonValue } from "./semantic.js";

type Maybe = JsonValue | undefined;

/** Is it an object (no array, not null)? */
export function isObject(value: Maybe): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value as an object; null when it is something else. */
export function asObject(value: Maybe): JsonObject | null {
  return isObject(value) ? value : null;
}

/** The value as an array; empty when it is something else. */
export function asArray(value: Maybe): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The objects of an array; what is not an object is left out, and so is what is no array. */
export function asObjects(value: Maybe): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** The value as text; "" when it is something else. */
export function asString(value: Maybe): string {
  return typeof value === "string" ? value : "";
}

/** The value as text; null when it is something else. */
export function stringOrNull(value: Maybe): string | null {
  return typeof value === "string" ? value : null;
}

/** The value as a finite number; null when it is something else. */
export function numberOrNull(value: Maybe): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** The value as true or false; null when it is something else. */
export function booleanOrNull(value: Maybe): boolean | null {
  return typeof value === "boolean" ? value : null;
}

/** A count (tokens, offsets): a whole number from 0 on; -1 when the value is not one. */
export function asCount(value: Maybe): number {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.trunc(value) : -1;
}

/** Is the value absent, as far as wires go: not there, or null? */
export function isAbsent(value: Maybe): value is null | undefined {
  return value === undefined || value === null;
}

/** Parses text; undefined when it is not JSON. */
export function parseValue(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

/** Parses text that must hold an object; null when it does not. */
export function parseObject(text: string): JsonObject | null {
  return asObject(parseValue(text));
}

/** The arguments of a tool call as an object: nothing at all means `{}`; null when the text is no object. */
export function parseArguments(text: string): JsonObject | null {
  return text.trim() === "" ? {} : parseObject(text);
}

/** The fields whose names are not in `known`, values as they came; null values are kept, undefined ones are not. */
export function otherFields(object: JsonObject, known: ReadonlySet<string>): JsonObject {
  const others: JsonObject = {};
  for (const [name, value] of Object.entries(object)) {
    if (value !== undefined && !known.has(name)) others[name] = value;
  }
  return others;
}

/** A copy without the fields that are undefined or null: for optional fields of a wire. */
export function withoutAbsent(object: JsonObject): JsonObject {
  const copy: JsonObject = {};
  for (const [name, value] of Object.entries(object)) {
    if (!isAbsent(value)) copy[name] = value;
  }
  return copy;
}
