/**
 * The error table: every error the gateway itself can answer with. Dialects render their own
 * envelopes from these rows; docs/errors.md is held equal to this table by a test.
 */

export interface ErrorRow {
  /** HTTP status sent to the caller. */
  readonly status: number;
  /** The `type` of the OpenAI-shaped envelope. */
  readonly type: string;
  /** May the same request succeed when it is sent again? */
  readonly retryable: boolean;
  /** What the caller reads when the failure carries no message of its own. */
  readonly message: string;
}

function row(status: number, type: string, retryable: boolean, message: string): ErrorRow {
  return Object.freeze({ status, type, retryable, message });
}

export const ERRORS = Object.freeze({
  invalid_api_key: row(401, "invalid_api_key", false, "The API key is missing, malformed or unknown."),
  api_key_expired: row(401, "invalid_api_key", false, "The API key has expired."),
  api_key_disabled: row(401, "invalid_api_key", false, "The API key is disabled."),
  permission_denied: row(403, "permission_denied", false, "The API key may not do this."),
  ip_restricted: row(403, "permission_denied", false, "The caller's address is not allowed."),
  route_not_found: row(404, "invalid_request_error", false, "There is no such endpoint."),
  model_not_found: row(404, "model_not_found", false, "The model does not exist."),
  method_not_allowed: row(405, "invalid_request_error", false, "The endpoint does not take this method."),
  invalid_request_error: row(400, "invalid_request_error", false, "The request is not valid."),
  unsupported_operation: row(400, "unsupported_operation", false, "The model does not serve this operation."),
  request_too_large: row(413, "invalid_request_error", false, "The request body is too large."),
  headers_too_large: row(431, "invalid_request_error", false, "The request headers are too large."),
  content_filter: row(422, "content_filter", false, "The content was blocked."),
  rate_limit_exceeded: row(429, "rate_limit_exceeded", true, "The rate limit is exhausted."),
  budget_exceeded: row(429, "billing_error", true, "The budget is exhausted."),
  client_closed_request: row(499, "client_closed_request", false, "The client closed the connection."),
  internal_error: row(500, "internal_error", true, "The gateway failed to handle the request."),
  transport_error: row(502, "transport_error", true, "The upstream could not be reached or broke off."),
  upstream_decode_error: row(502, "upstream_decode_error", true, "The upstream's answer could not be read."),
  overloaded: row(503, "overloaded", true, "The gateway is at its limit; try again."),
  all_candidates_unavailable: row(503, "all_candidates_unavailable", true, "No target can take the request now."),
  mailbox_full: row(503, "overloaded", true, "An internal queue is full; try again."),
  actor_unavailable: row(503, "overloaded", true, "A part of the gateway is restarting; try again."),
  timeout: row(504, "timeout", true, "The upstream did not answer in time."),
}) satisfies Readonly<Record<string, ErrorRow>>;

export type ErrorCode = keyof typeof ERRORS;

/** One concrete refusal or failure: a code of the table plus what is particular to this request. */
export interface Failure {
  readonly code: ErrorCode;
  /** Shown to the caller; never holds a secret or a prompt. */
  readonly message: string;
  /** The field of the request that is at fault, as a path ("model", "messages[0].content"). */
  readonly param: string | null;
  /** Whole seconds for the `retry-after` header; 0 = no header. */
  readonly retryAfterSeconds: number;
  /** The rate-limit policy that refused, where one did. */
  readonly policy: { readonly id: string; readonly name: string } | null;
  /** The budget that refused, where one did. */
  readonly budget: BudgetState | null;
  /** What kind of limit refused ("key", "model", "policy", "budget"); "" = none. For metrics, not shown. */
  readonly refusedBy: string;
}

/** What a caller is told of a budget that has no room. */
export interface BudgetState {
  readonly scope: string;
  readonly limit_usd: number;
  readonly spent_usd: number;
  /** RFC 3339; null = never. */
  readonly resets_at: string | null;
}

/** Builds a failure; every failure has the same shape, whatever it carries. */
export function failure(code: ErrorCode, message?: string, param?: string | null, retryAfterSeconds?: number): Failure {
  return {
    code,
    message: message ?? ERRORS[code].message,
    param: param ?? null,
    retryAfterSeconds: retryAfterSeconds ?? 0,
    policy: null,
    budget: null,
    refusedBy: "",
  };
}

/** Tells a failure from any other value. */
export function isFailure(value: unknown): value is Failure {
  return typeof value === "object" && value !== null && "code" in value && "retryAfterSeconds" in value;
}
