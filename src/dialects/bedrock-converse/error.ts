/** Errors of Converse: HTTP answers, and exceptions inside a stream. */
import { asCount, asString, parseObject } from "../json.js";
import type { AnswerError, JsonObject } from "../semantic.js";

/** Status by exception, as the vendor's API reference has them; streams carry no status. */
const STATUS: Readonly<Record<string, number>> = {
  ValidationException: 400,
  ServiceQuotaExceededException: 400,
  UnrecognizedClientException: 403,
  ExpiredTokenException: 403,
  AccessDeniedException: 403,
  ResourceNotFoundException: 404,
  ModelTimeoutException: 408,
  ConflictException: 409,
  ModelErrorException: 424,
  ModelStreamErrorException: 424,
  ModelNotReadyException: 429,
  ThrottlingException: 429,
  InternalServerException: 500,
  ServiceUnavailableException: 503,
};

/** The exception that a bare status stands for. */
const BY_STATUS: ReadonlyMap<number, string> = new Map([
  [400, "ValidationException"],
  [403, "AccessDeniedException"],
  [404, "ResourceNotFoundException"],
  [408, "ModelTimeoutException"],
  [424, "ModelErrorException"],
  [429, "ThrottlingException"],
  [500, "InternalServerException"],
  [503, "ServiceUnavailableException"],
]);

const MAX_MESSAGE = 4096;
const TYPE = /^[A-Za-z][A-Za-z0-9_.]{0,127}$/;

/** The type alone: "com.amazon…#ThrottlingException" and "ThrottlingException:http://…" both carry more. */
function plainType(written: string): string {
  const name = (written.split("#").at(-1) as string).split(":", 1)[0] as string;
  return TYPE.test(name) ? name.slice(0, 1).toUpperCase() + name.slice(1) : "";
}

function messageIn(body: JsonObject | null): string {
  return (asString(body?.message) || asString(body?.Message) || asString(body?.originalMessage)).slice(0, MAX_MESSAGE);
}

/**
 * Reads an error answer. `errorType`: the header `x-amzn-errortype`, where the caller of this function has it;
 * else the body's `__type` counts, else what the status stands for.
 */
export function decodeError(
  status: number,
  body: JsonObject | null,
  text: string,
  errorType: string = "",
): AnswerError {
  const type = plainType(errorType) || plainType(asString(body?.__type)) || (BY_STATUS.get(status) ?? "");
  const plain = body === null ? text.trim().slice(0, MAX_MESSAGE) : "";
  const message = messageIn(body) || plain || `The upstream answered with status ${status}.`;
  return { status, type: type || "UnknownException", code: null, message };
}

/** Reads an exception frame: its type is the event's name, its payload JSON. "error": the payload says what it is. */
export function decodeException(event: string, data: string): AnswerError {
  const body = parseObject(data);
  const type = (event === "error" ? plainType(asString(body?.code)) : plainType(event)) || "InternalServerException";
  const original = asCount(body?.originalStatusCode);
  const status = STATUS[type] ?? 500;
  const message = messageIn(body) || `The upstream broke off with ${type}.`;
  // A model's own failure says more than that there was one.
  return { status: original >= 400 && original < 600 ? original : status, type, code: null, message };
}
