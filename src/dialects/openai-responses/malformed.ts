/** Refusing what is plainly malformed: readers that name the field, and the exception that ends decoding. */
import { isAbsent, isObject } from "../json.js";
import type { JsonObject, JsonValue } from "../semantic.js";

/** Ends the decoding of a request; becomes its failure. */
export class Malformed extends Error {
  override readonly name = "Malformed";
  readonly param: string;

  constructor(message: string, param: string) {
    super(message);
    this.param = param;
  }
}

/** Throws Malformed: the field is of the wrong type. */
export function refuseType(path: string, wanted: string): never {
  throw new Malformed(`Invalid type for '${path}': expected ${wanted}.`, path);
}

/** A path's member. */
function member(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** The string in a field; null when it is absent. Throws Malformed. */
export function readString(object: JsonObject, name: string, path = ""): string | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "string" ? value : refuseType(member(path, name), "a string");
}

/** The string in a field that must be there. Throws Malformed. */
export function demandString(object: JsonObject, name: string, path = ""): string {
  const value = readString(object, name, path);
  if (value !== null) return value;
  const at = member(path, name);
  throw new Malformed(`Missing required parameter: '${at}'.`, at);
}

/** The number in a field; null when it is absent. Throws Malformed. */
export function readNumber(object: JsonObject, name: string, path = ""): number | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "number" ? value : refuseType(member(path, name), "a number");
}

/** The boolean in a field; null when it is absent. Throws Malformed. */
export function readBoolean(object: JsonObject, name: string, path = ""): boolean | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "boolean" ? value : refuseType(member(path, name), "a boolean");
}

/** The object in a field; null when it is absent. Throws Malformed. */
export function readObject(object: JsonObject, name: string, path = ""): JsonObject | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return isObject(value) ? value : refuseType(member(path, name), "an object");
}

/** The array in a field; empty when it is absent. Throws Malformed. */
export function readArray(object: JsonObject, name: string, path = ""): readonly JsonValue[] {
  const value = object[name];
  if (isAbsent(value)) return [];
  return Array.isArray(value) ? value : refuseType(member(path, name), "an array");
}
