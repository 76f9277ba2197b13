/** Reads a request's headers in one pass: keys, what goes on to the upstream, and what cannot be accepted. */
import type { HttpRequest } from "uWebSockets.js";
import { PASSED_HEADERS } from "../dialects/passed-headers.js";
import { type Failure, failure } from "../errors.js";
import type { RequestHeaders } from "../pipeline/exchange.js";

/** Headers that must not come twice: two readers could believe two different ones. */
const ONCE: readonly string[] = [
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
];

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

/** What has been read, while uWebSockets.js walks over the headers and after it. */
class Reading implements RequestHeaders {
  /** Keys, in the order in which they are tried. */
  bearer = "";
  inXApiKey = "";
  inApiKey = "";
  inXGoogApiKey = "";
  readonly passed: string[] = [];
  readonly others: string[] = [];
  /** Bits of those that came and must not come twice. */
  seen = 0;
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

  get presentedKeys(): readonly string[] {
    const { bearer, inXApiKey, inApiKey, inXGoogApiKey } = this;
    if (inXApiKey === "" && inApiKey === "" && inXGoogApiKey === "") return bearer === "" ? NO_KEYS : [bearer];
    return [bearer, inXApiKey, inApiKey, inXGoogApiKey].filter((key) => key !== "");
  }
}

const NO_KEYS: readonly string[] = Object.freeze([]);

/** What a header means to the gateway. */
interface Meaning {
  /** Its own bit where it must not come twice; 0 = it may. */
  readonly once: number;
  /** It goes on to the upstream. */
  readonly passes: boolean;
  take(reading: Reading, value: string): void;
}

const nothing = (): void => {};

/** Those whose names are given. */
const OWN: Readonly<Record<string, Meaning["take"]>> = {
  authorization: (reading, value) => {
    if (value.length > 7 && value.slice(0, 7).toLowerCase() === "bearer ") reading.bearer = value.slice(7).trim();
  },
  "x-api-key": (reading, value) => {
    reading.inXApiKey = value;
  },
  "api-key": (reading, value) => {
    reading.inApiKey = value;
  },
  "x-goog-api-key": (reading, value) => {
    reading.inXGoogApiKey = value;
  },
  "user-agent": (reading, value) => {
    reading.userAgent = value;
  },
  "x-forwarded-for": (reading, value) => {
    reading.forwardedFor = reading.forwardedFor === "" ? value : `${reading.forwardedFor}, ${value}`;
  },
  "cache-control": (reading, value) => {
    reading.cacheControl = `${reading.cacheControl},${value.toLowerCase()}`;
  },
  "content-type": (reading, value) => {
    reading.contentType = value;
  },
  "content-encoding": (reading, value) => {
    const encoding = value.trim().toLowerCase();
    reading.contentEncoding = encoding === "identity" ? "" : encoding;
  },
  "content-length": readLength,
};

/** Reads headers by rules that stay the same: what each name means is looked up once. */
export class HeaderReader {
  readonly #meanings: ReadonlyMap<string, Meaning>;
  readonly #maxBytes: number;

  constructor(rules: HeaderRules) {
    this.#meanings = meaningsBy(rules);
    this.#maxBytes = rules.maxBytes;
  }

  /**
   * Reads all headers; `problem` of the result says why they cannot be accepted. `collect`: also keeps those that
   * mean nothing to the gateway.
   */
  read(request: HttpRequest, collect: boolean): RequestHeaders {
    const reading = new Reading();
    request.forEach((name, value) => {
      this.#take(reading, name, value, collect);
    });
    if (reading.bytes > this.#maxBytes || reading.count > MAX_HEADERS) {
      reading.problem = failure(
        "headers_too_large",
        `The request headers are larger than ${this.#maxBytes} bytes or too many.`,
      );
    }
    return reading;
  }

  #take(reading: Reading, name: string, value: string, collect: boolean): void {
    reading.bytes += name.length + value.length;
    reading.count += 1;
    const meaning = this.#meanings.get(name);
    if (meaning !== undefined) {
      if ((reading.seen & meaning.once) !== 0)
        reading.problem ??= failure("invalid_request_error", `The header "${name}" came twice.`, name);
      reading.seen |= meaning.once;
      if (meaning.passes) passOn(reading.passed, name, value);
      else meaning.take(reading, value);
    }
    if (collect && meaning?.passes !== true) passOn(reading.others, name, value);
  }
}

function meaningsBy(rules: HeaderRules): ReadonlyMap<string, Meaning> {
  const takes = new Map(Object.entries(OWN));
  takes.set(rules.strictHeader, (reading, value) => {
    reading.strict = value === "true" || value === "1";
  });
  takes.set(rules.providerHeader, (reading, value) => {
    reading.provider = value;
  });
  for (const name of [FOREIGN_MODEL_HEADER, rules.modelHeader]) {
    takes.set(name, (reading, value) => {
      reading.model = reading.model || value;
    });
  }
  const once = [...ONCE, rules.modelHeader, rules.providerHeader];
  const names = new Set([...takes.keys(), ...PASSED_HEADERS, ...once]);
  return new Map(
    [...names].map((name) => {
      const passes = PASSED_HEADERS.has(name);
      const bit = once.includes(name) ? 1 << once.indexOf(name) : 0;
      return [name, { once: bit, passes, take: takes.get(name) ?? nothing }];
    }),
  );
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
