/** Reads a request's headers in one pass: keys, what goes on to the upstream, and what cannot be accepted. */
import type { HttpRequest } from "uWebSockets.js";
import { PASSED_HEADERS } from "../dialects/passed-headers.js";
import { type Failure, failure } from "../errors.js";
import type { RequestHeaders } from "../pipeline/exchange.js";

/** Headers that must not come twice: two readers could believe two different ones. */
const ONCE: ReadonlySet<string> = new Set([
  "authorization",
  "x-api-key",
  "api-key",
  "x-goog-api-key",
  "content-length",
  "content-type",
  "content-encoding",
  "host",
  "idempotency-key",
  "x-ai-eg-model",
]);

/** uWebSockets.js gives up without an answer at about a hundred; long before that nothing is meant well. */
const MAX_HEADERS = 96;

/** Headers of gateways that people migrate from, which mean what `<prefix>model` means. */
const FOREIGN_MODEL_HEADER = "x-ai-eg-model";

export interface HeaderRules {
  /** Name of the header that overrides the body's model. */
  readonly modelHeader: string;
  /** Name of the header that names a provider key. */
  readonly providerHeader: string;
  /** Name of the header that asks for strict translation ("true" or "1"). */
  readonly strictHeader: string;
  /** Names and values together, bytes. */
  readonly maxBytes: number;
}

/** Collects while uWebSockets.js walks over the headers. */
class Reading {
  readonly presented: [bearer: string, xApiKey: string, apiKey: string, googApiKey: string] = ["", "", "", ""];
  readonly passed: string[] = [];
  readonly others: string[] = [];
  readonly seen: string[] = [];
  userAgent = "";
  forwardedFor = "";
  model = "";
  provider = "";
  contentEncoding = "";
  contentType = "";
  strict = false;
  cacheControl = "";
  contentLength = -1;
  bytes = 0;
  count = 0;
  problem: Failure | null = null;
}

/**
 * Reads all headers; `problem` of the result says why they cannot be accepted. `collect`: also keeps those that
 * mean nothing to the gateway.
 */
export function readRequestHeaders(request: HttpRequest, rules: HeaderRules, collect: boolean): RequestHeaders {
  const reading = new Reading();
  request.forEach((name, value) => {
    readHeader(reading, name, value, rules);
    if (collect && !PASSED_HEADERS.has(name)) passOn(reading.others, name, value);
  });
  if (reading.bytes > rules.maxBytes || reading.count > MAX_HEADERS) {
    reading.problem = failure(
      "headers_too_large",
      `The request headers are larger than ${rules.maxBytes} bytes or too many.`,
    );
  }
  return {
    presentedKeys: reading.presented.filter((key) => key !== ""),
    userAgent: reading.userAgent,
    forwardedFor: reading.forwardedFor,
    model: reading.model,
    provider: reading.provider,
    contentEncoding: reading.contentEncoding === "identity" ? "" : reading.contentEncoding,
    contentType: reading.contentType,
    contentLength: reading.contentLength,
    strict: reading.strict,
    cacheControl: reading.cacheControl,
    passed: reading.passed,
    others: reading.others,
    problem: reading.problem,
  };
}

function readHeader(reading: Reading, name: string, value: string, rules: HeaderRules): void {
  reading.bytes += name.length + value.length;
  reading.count += 1;
  if (ONCE.has(name) || name === rules.modelHeader || name === rules.providerHeader) {
    if (reading.seen.includes(name))
      reading.problem ??= failure("invalid_request_error", `The header "${name}" came twice.`, name);
    reading.seen.push(name);
  }
  if (PASSED_HEADERS.has(name)) {
    passOn(reading.passed, name, value);
    return;
  }
  if (name === rules.modelHeader || name === FOREIGN_MODEL_HEADER) reading.model = reading.model || value;
  else if (name === rules.providerHeader) reading.provider = value;
  else if (name === rules.strictHeader) reading.strict = value === "true" || value === "1";
  else readOwn(reading, name, value);
}

function readOwn(reading: Reading, name: string, value: string): void {
  switch (name) {
    case "authorization":
      if (value.length > 7 && value.slice(0, 7).toLowerCase() === "bearer ")
        reading.presented[0] = value.slice(7).trim();
      break;
    case "x-api-key":
      reading.presented[1] = value;
      break;
    case "api-key":
      reading.presented[2] = value;
      break;
    case "x-goog-api-key":
      reading.presented[3] = value;
      break;
    case "user-agent":
      reading.userAgent = value;
      break;
    case "x-forwarded-for":
      reading.forwardedFor = reading.forwardedFor === "" ? value : `${reading.forwardedFor}, ${value}`;
      break;
    case "cache-control":
      reading.cacheControl = `${reading.cacheControl},${value.toLowerCase()}`;
      break;
    case "content-type":
      reading.contentType = value;
      break;
    case "content-encoding":
      reading.contentEncoding = value.trim().toLowerCase();
      break;
    case "content-length":
      readLength(reading, value);
      break;
  }
}

function readLength(reading: Reading, value: string): void {
  if (/^[0-9]{1,15}$/.test(value)) reading.contentLength = Number(value);
  else reading.problem ??= failure("invalid_request_error", "The content-length is not a number.", "content-length");
}

/** A header that may come in several lines is one list (RFC 9110 section 5.3). */
function passOn(passed: string[], name: string, value: string): void {
  for (let index = 0; index < passed.length; index += 2) {
    if (passed[index] !== name) continue;
    passed[index + 1] = `${passed[index + 1]}, ${value}`;
    return;
  }
  passed.push(name, value);
}
