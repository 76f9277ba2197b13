/** Errors of the responses dialect: as callers read them, and as upstreams say them. */
import type { Failure } from "../../errors.js";
import { asObject, asString } from "../json.js";
import { openAiError } from "../openai-envelope.js";
import type { AnswerError, JsonObject } from "../semantic.js";

/**
 * An `error` event. Clients read it in two shapes (flat, and under `error`), so it carries both. They
 * insist on a sequence number; the gateway does not count the upstream's events, so it says 0. JSON text holds no raw line end.
 */
export function renderResponsesStreamError(failure: Failure): string {
  const error = openAiError(failure);
  const { code, message, param } = error;
  return `event: error\ndata: ${JSON.stringify({ type: "error", sequence_number: 0, code, message, param, error })}\n\n`;
}

/** The `error` object for an upstream's error: its type, code and message kept. */
export function openAiErrorOf(error: AnswerError): JsonObject {
  return { message: error.message, type: error.type, param: null, code: error.code };
}

/** Codes that the vendor's `response.error` knows for a class of errors that came without one. */
function codeOf(error: AnswerError): string {
  if (error.code !== null) return error.code;
  if (error.status === 429) return "rate_limit_exceeded";
  return error.status >= 400 && error.status < 500 ? "invalid_prompt" : "server_error";
}

/** The error of a response that failed. */
export function responseErrorOf(error: AnswerError): JsonObject {
  return { code: codeOf(error), message: error.message };
}

/** `{"error":{…}}` for an upstream's error. */
export function encodeError(error: AnswerError): JsonObject {
  return { error: openAiErrorOf(error) };
}

/** The HTTP status that an error inside a stream stands for, by its code or type. */
const STATUSES: Readonly<Record<string, number>> = {
  rate_limit_exceeded: 429,
  rate_limit_error: 429,
  tokens: 429,
  requests: 429,
  insufficient_quota: 429,
  invalid_prompt: 400,
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_policy_violation: 400,
  invalid_api_key: 401,
  authentication_error: 401,
  permission_error: 403,
  model_not_found: 404,
  not_found_error: 404,
  server_error: 500,
  overloaded_error: 503,
  timeout: 504,
};

function statusOf(code: string | null, type: string): number {
  if (code?.startsWith("invalid_image") || code?.startsWith("image_")) return 400;
  return STATUSES[code ?? ""] ?? STATUSES[type] ?? 500;
}

function codeText(value: JsonObject[string]): string | null {
  return typeof value === "number" ? String(value) : asString(value) || null;
}

/**
 * An error inside an answer: `error` of a failed response, or an `error` event, flat or nested.
 * `fallback` is the message where the wire gives none.
 */
export function decodeAnswerError(error: JsonObject, fallback: string): AnswerError {
  const code = codeText(error.code);
  const said = asString(error.type);
  const type = said === "" || said === "error" ? (code ?? "server_error") : said;
  return { status: statusOf(code, type), type, code, message: asString(error.message) || fallback };
}

/** Longest message that is taken from a body which is no JSON, in UTF-16 units. */
const MAX_TEXT = 4096;

/** Reads an error answer; look-alikes put the message in `message` or `detail`, or `error` is a mere text. */
export function decodeError(status: number, body: JsonObject | null, text: string): AnswerError {
  const error = asObject(body?.error) ?? body;
  const plain = body === null ? text.trim().slice(0, MAX_TEXT) : asString(body.error) || asString(body.detail);
  const message = asString(error?.message) || plain || `The upstream answered with status ${status}.`;
  const code = error === null ? null : codeText(error.code);
  const type = asString(error?.type);
  return { status, type: type === "" || type === "error" ? "upstream_error" : type, code, message };
}
