/** How request decoders refuse: from any depth, naming the field. */
import { type Failure, failure } from "../errors.js";
import { isAbsent, isObject } from "./json.js";
import type { JsonObject, JsonValue } from "./semantic.js";

/** Carries a failure up to the decoder's entry. */
class RequestRefused extends Error {
  readonly failure: Failure;

  constructor(refused: Failure) {
    super(refused.message);
    this.failure = refused;
  }
}

/** Refuses the request: `param` is what is malformed, `expected` what should stand there. */
export function refuse(param: string, expected: string): never {
  throw new RequestRefused(failure("invalid_request_error", `'${param}' must be ${expected}.`, param));
}

/** Refuses what no translation can carry. */
export function refuseUnsupported(param: string, message: string): never {
  throw new RequestRefused(failure("unsupported_operation", message, param));
}

/** Runs a decoder and turns its refusal into a failure; other errors go on. */
export function orFailure<Result>(decode: () => Result): Result | Failure {
  try {
    return decode();
  } catch (error) {
    if (error instanceof RequestRefused) return error.failure;
    throw error;
  }
}

/** The path of a member; built only when something is refused, since histories are long. */
function member(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** The text in a field of the object at `path`; null when it is absent. */
export function optionalText(object: JsonObject, name: string, path = ""): string | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "string" ? value : refuse(member(path, name), "a string");
}

/** The text in a field that must be there. */
export function demandText(object: JsonObject, name: string, path = ""): string {
  const value = object[name];
  return typeof value === "string" ? value : refuse(member(path, name), "a string");
}

/** The number in a field; null when it is absent. */
export function optionalNumber(object: JsonObject, name: string): number | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  // 1e999 is JSON too, and no number.
  return typeof value === "number" && Number.isFinite(value) ? value : refuse(name, "a number");
}

/** The flag in a field; null when it is absent. */
export function optionalFlag(object: JsonObject, name: string, path = ""): boolean | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return typeof value === "boolean" ? value : refuse(member(path, name), "a boolean");
}

/** The object in a field; null when it is absent. */
export function optionalObject(object: JsonObject, name: string, path = ""): JsonObject | null {
  const value = object[name];
  if (isAbsent(value)) return null;
  return isObject(value) ? value : refuse(member(path, name), "an object");
}

/** The array in a field; empty when it is absent. */
export function optionalArray(object: JsonObject, name: string, path = ""): readonly JsonValue[] {
  const value = object[name];
  if (isAbsent(value)) return [];
  return Array.isArray(value) ? value : refuse(member(path, name), "an array");
}

/** An object that must be there. */
export function objectAt(value: JsonValue | undefined, path: string): JsonObject {
  return isObject(value) ? value : refuse(path, "an object");
}

/** A text that must be there. */
export function textAt(value: JsonValue | undefined, path: string): string {
  return typeof value === "string" ? value : refuse(path, "a string");
}
