/** Errors of the chat family: an upstream's own, read, and written for a caller. */
import { asArray, asObject, asString, isObject, stringOrNull } from "../json.js";
import type { AnswerError, JsonObject, JsonValue } from "../semantic.js";

const MAX_MESSAGE = 2_000;

/** HTTP status for an error type or code that came inside a stream. */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  content_policy_violation: 400,
  authentication_error: 401,
  invalid_api_key: 401,
  permission_error: 403,
  permission_denied: 403,
  not_found_error: 404,
  model_not_found: 404,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  server_error: 500,
  api_error: 500,
  internal_error: 500,
  overloaded: 503,
  overloaded_error: 503,
  service_unavailable: 503,
  timeout: 504,
};

/** The vendor's error type for a status that says nothing of its own. */
function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 400 && status < 500 ? "invalid_request_error" : "server_error";
}

function codeText(code: JsonValue | undefined): string | null {
  return typeof code === "number" ? String(code) : stringOrNull(code);
}

function statusOf(error: JsonObject, given: number): number {
  if (given > 0) return given;
  for (const value of [error.status, error.status_code, error.code]) {
    const status = Number(value);
    if (Number.isInteger(status) && status >= 400 && status < 600) return status;
  }
  return STATUSES[asString(error.code)] ?? STATUSES[asString(error.type)] ?? 500;
}

/** FastAPI's `detail`: a text, or a list of `{loc, msg}`. */
function detailText(detail: JsonValue | undefined): string {
  if (typeof detail === "string") return detail;
  return asArray(detail)
    .map((entry) => asString(asObject(entry)?.msg))
    .filter((message) => message !== "")
    .join("; ");
}

/** An upstream that says nothing useful. */
export function plainError(status: number, text: string): AnswerError {
  const said = text.trim().slice(0, MAX_MESSAGE);
  const message = said === "" ? `The upstream answered with status ${status}.` : said;
  return { status, type: typeOf(status), code: null, message };
}

/** Reads an error object or text. `status` 0 = inside a stream: taken from what the error says, else 500. */
export function readError(error: JsonValue, status: number): AnswerError {
  if (!isObject(error)) return plainError(status > 0 ? status : 500, asString(error));
  const found = statusOf(error, status);
  const message = asString(error.message) || detailText(error.detail) || asString(error.error) || asString(error.msg);
  return {
    status: found,
    type: asString(error.type) || typeOf(found),
    code: codeText(error.code),
    message: plainError(found, message).message,
  };
}

/**
 * The error of an answer or chunk; null when it holds none. Besides `error` (object or text) it knows
 * `{"object": "error", "message": …}`.
 */
export function errorIn(body: JsonObject): JsonValue | null {
  if (isObject(body.error) || (typeof body.error === "string" && body.error !== "")) return body.error;
  return body.object === "error" ? body : null;
}

/** Reads an error answer, whatever its shape. */
export function decodeError(status: number, body: JsonObject | null, text: string): AnswerError {
  if (body === null) return plainError(status, text);
  if (isObject(body.error)) return readError(body.error, status);
  const said = readError(body, status);
  const isMute = asString(body.message) + detailText(body.detail) + asString(body.error) + asString(body.msg) === "";
  return isMute ? plainError(status, text) : said;
}

/** `{"error": {message, type, param, code}}`. */
export function encodeError(error: AnswerError, _requestId: string): JsonObject {
  return { error: { message: error.message, type: error.type, param: null, code: error.code } };
}
