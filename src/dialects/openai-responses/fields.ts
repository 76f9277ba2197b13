/** Readers of a request's fields at any depth: absent reads as null, a wrong type is refused by its path. */
import { isAbsent, isObject } from "../json.js";
import { refuse } from "../refuse-request.js";
import type { JsonObject, JsonValue } from "../semantic.js";

/** The path of a member; built only when something is refused, since histories are long. */
function member(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** The string in a field; null when it is absent. */
export function readString(object: JsonObject, name: string, path = ""): string | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "string" ? value : refuse(member(path, name), "a string");
}

/** The string in a field that must be there. */
export function demandString(object: JsonObject, name: string, path = ""): string {
  const value = object[name];
  return typeof value === "string" ? value : refuse(member(path, name), "a string");
}

/** The number in a field; null when it is absent. */
export function readNumber(object: JsonObject, name: string): number | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "number" ? value : refuse(name, "a number");
}

/** The boolean in a field; null when it is absent. */
export function readBoolean(object: JsonObject, name: string, path = ""): boolean | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "boolean" ? value : refuse(member(path, name), "a boolean");
}

/** The object in a field; null when it is absent. */
export function readObject(object: JsonObject, name: string, path = ""): JsonObject | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return isObject(value) ? value : refuse(member(path, name), "an object");
}

/** The array in a field; empty when it is absent. */
export function readArray(object: JsonObject, name: string): readonly JsonValue[] {
  const value = object[name];
  if (isAbsent(value)) return [];
  return Array.isArray(value) ? value : refuse(name, "an array");
}
