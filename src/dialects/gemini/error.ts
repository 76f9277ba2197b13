/** google.rpc.Status, alone or in a list → an upstream's error. */
import { asArray, asObject, asObjects, asString, numberOrNull, parseValue } from "../json.js";
import type { AnswerError, JsonObject, JsonValue } from "../semantic.js";

const MAX_MESSAGE = 2_000;

/** HTTP statuses of the canonical codes, where an error inside a stream says only the word. */
const STATUSES: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  OUT_OF_RANGE: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  CANCELLED: 499,
  DATA_LOSS: 500,
  UNKNOWN: 500,
  INTERNAL: 500,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};
const TYPES: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

/** Reads an error answer: `{error: {code, message, status, details}}`, the same in a list, or any text. */
export function decodeError(status: number, body: JsonObject | null, text: string): AnswerError {
  const error = errorOf(body ?? parseValue(text));
  if (error === null)
    return { status, type: typeOf(status), code: null, message: cut(text) || `HTTP status ${status}` };
  return readError(error, status);
}

/** Reads an error that stands where a piece of the answer should. */
export function inBandError(chunk: JsonObject): AnswerError {
  const error = asObject(chunk.error) ?? {};
  const code = numberOrNull(error.code) ?? STATUSES[asString(error.status)] ?? 500;
  return readError(error, code >= 400 && code < 600 ? code : 500);
}

function errorOf(value: JsonValue | undefined): JsonObject | null {
  const first = asObject(asArray(value)[0]) ?? asObject(value);
  return asObject(first?.error) ?? (typeof first?.error === "string" ? { message: first.error } : null);
}

function readError(error: JsonObject, status: number): AnswerError {
  const type = asString(error.status) || typeOf(status);
  const details = asObjects(error.details);
  const reason = details.map((detail) => asString(detail.reason)).find((word) => word !== "");
  const wait = secondsOf(details.map((detail) => asString(detail.retryDelay)).find((delay) => delay !== "") ?? "");
  return {
    status,
    type,
    code: reason ?? null,
    message: cut(asString(error.message)) || type,
    ...(wait > 0 ? { retryAfterSeconds: wait } : {}),
  };
}

/** Whole seconds of a google.protobuf.Duration in JSON ("3.5s"); 0 = none. */
function secondsOf(duration: string): number {
  const seconds = /^(\d{1,9}(?:\.\d{1,9})?)s$/.exec(duration)?.[1];
  return seconds === undefined ? 0 : Math.ceil(Number(seconds));
}

function typeOf(status: number): string {
  return TYPES[status] ?? (status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT");
}

function cut(text: string): string {
  return text.trim().slice(0, MAX_MESSAGE);
}
