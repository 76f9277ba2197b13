/** The error envelope of the messages API. */
import { ERRORS, type Failure } from "../../errors.js";

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
  const error = { type: messagesErrorType(ERRORS[failure.code].status), message: failure.message };
  return JSON.stringify({ type: "error", error, request_id: requestId });
}

/** The same as an `error` event. JSON text holds no raw line end. */
export function renderMessagesStreamError(failure: Failure, requestId: string): string {
  return `event: error\ndata: ${renderMessagesError(failure, requestId)}\n\n`;
}
