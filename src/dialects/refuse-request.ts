/** How request decoders refuse: from any depth, naming the field. */
import { type Failure, failure } from "../errors.js";
import { isAbsent } from "./json.js";
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

/** An optional text field; null when absent. */
export function optionalText(body: JsonObject, name: string, path = name): string | null {
  const value = body[name];
  if (isAbsent(value)) return null;
  return typeof value === "string" ? value : refuse(path, "a string");
}

/** An optional number; null when absent. */
export function optionalNumber(body: JsonObject, name: string): number | null {
  const value = body[name];
  if (isAbsent(value)) return null;
  return typeof value === "number" ? value : refuse(name, "a number");
}

/** An optional flag; null when absent. */
export function optionalFlag(body: JsonObject, name: string): boolean | null {
  const value = body[name];
  if (isAbsent(value)) return null;
  return typeof value === "boolean" ? value : refuse(name, "a boolean");
}

/** An optional object; null when absent. */
export function optionalObject(body: JsonObject, name: string, path = name): JsonObject | null {
  const value = body[name];
  if (isAbsent(value)) return null;
  return objectAt(value, path);
}

/** An optional array; empty when absent. */
export function optionalArray(body: JsonObject, name: string, path = name): readonly JsonValue[] {
  const value = body[name];
  if (isAbsent(value)) return [];
  return Array.isArray(value) ? value : refuse(path, "an array");
}

/** An object that must be there. */
export function objectAt(value: JsonValue | undefined, path: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  return refuse(path, "an object");
}

/** A text that must be there. */
export function textAt(value: JsonValue | undefined, path: string): string {
  return typeof value === "string" ? value : refuse(path, "a string");
}
