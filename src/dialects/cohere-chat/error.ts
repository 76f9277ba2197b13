/** `{message, id}` → an upstream's error. */
import { asObject, asString } from "../json.js";
import type { AnswerError, JsonObject } from "../semantic.js";

const MAX_MESSAGE = 2_000;
const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  422: "invalid_request_error",
  429: "rate_limit_error",
  498: "authentication_error",
  499: "client_closed_request",
  501: "not_implemented_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** Reads an error answer; a body that is no JSON is the message. The wire has no types: they follow the status. */
export function decodeError(status: number, body: JsonObject | null, text: string): AnswerError {
  const nested = asObject(body?.error);
  const message =
    asString(body?.message) || asString(nested?.message) || asString(body?.error) || asString(body?.detail);
  const code = asString(body?.code) || asString(nested?.code);
  return {
    status,
    type: TYPES[status] ?? (status >= 500 ? "api_error" : "invalid_request_error"),
    code: code === "" ? null : code,
    message: (message || text).trim().slice(0, MAX_MESSAGE) || `HTTP status ${status}`,
  };
}
