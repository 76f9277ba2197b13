/** The error envelope of the messages API. */
import { ERRORS, type Failure } from "../../errors.js";
import { asObject, asString } from "../json.js";
import type { AnswerError, JsonObject } from "../semantic.js";

/** The vendor's own error type for a status; statuses that it does not know fall into their class. */
const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/** The vendor's error type for an HTTP status. */
export function messagesErrorType(status: number): string {
  return TYPES[status] ?? (status >= 400 && status < 499 ? "invalid_request_error" : "api_error");
}

/** `{"type":"error","error":{"type","message"},"request_id"}` as JSON text. */
export function renderMessagesError(failure: Failure, requestId: string): string {
  const { policy, budget } = failure;
  const error = {
    type: messagesErrorType(ERRORS[failure.code].status),
    message: failure.message,
    ...(policy === null ? null : { policy }),
    ...(budget === null ? null : { budget }),
  };
  return JSON.stringify({ type: "error", error, request_id: requestId });
}

/** The same as an `error` event. JSON text holds no raw line end. */
export function renderMessagesStreamError(failure: Failure, requestId: string): string {
  return `event: error\ndata: ${renderMessagesError(failure, requestId)}\n\n`;
}

/** The status that each of the vendor's error types stands for. */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

/** Longer messages are cut: an upstream may answer with a whole page. In UTF-16 units. */
const LONGEST_MESSAGE = 4096;

/** An upstream's error in this dialect's envelope: the vendor's type for its status, and its code in `details`. */
export function encodeMessagesError(error: AnswerError, requestId: string): JsonObject {
  const fields: JsonObject = { type: messagesErrorType(error.status), message: error.message };
  if (error.code !== null) fields.details = { error_code: error.code };
  return { type: "error", error: fields, request_id: requestId };
}

/** The code of an error object: its details' or its own, when it says one. */
function codeOf(error: JsonObject): string | null {
  const code = asObject(error.details)?.error_code ?? error.code;
  if (typeof code === "number") return String(code);
  return typeof code === "string" && code !== "" ? code : null;
}

/**
 * An error answer of an upstream of this wire. `status` 0 = it came inside a stream: then the error's type
 * says the status. Look-alikes that write `{message}`, `{detail}` or an error that is a string are read too.
 */
export function decodeMessagesError(status: number, body: JsonObject | null, text: string): AnswerError {
  const error = asObject(body?.error) ?? body ?? {};
  const spoken = asString(error.message) || asString(body?.error) || asString(body?.message) || asString(body?.detail);
  const type = asObject(body?.error) === null ? "" : asString(error.type);
  const known = status >= 400 ? status : (STATUSES[type] ?? 500);
  return {
    status: known,
    type: type || messagesErrorType(known),
    code: codeOf(error),
    message: (spoken || text.trim() || `The upstream answered ${known}.`).slice(0, LONGEST_MESSAGE),
  };
}
