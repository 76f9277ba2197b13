/** What the schemas of the files are made of: numbers, names, addresses, headers. */
import { z } from "zod";
import { cidrProblem } from "./cidr.js";

export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

export function whole(minimum: number, maximum: number) {
  return z.int().min(minimum).max(maximum);
}

export function count(minimum: number, maximum: number, value: number) {
  return whole(minimum, maximum).default(value);
}

export function text(maximum: number) {
  return z.string().min(1).max(maximum);
}

export const hash = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, "must be a SHA-256 hash: 64 hex digits")
  .toLowerCase();

export const cidrs = z.array(
  z
    .string()
    .refine((entry) => cidrProblem(entry) === null, { error: (issue) => cidrProblem(String(issue.input)) ?? "" }),
);

export const resourceName = text(256);

export function starred(maximum: number) {
  return text(maximum).refine((value) => value.indexOf("*") === value.lastIndexOf("*"), "may hold one * at most");
}

const most = whole(1, Number.MAX_SAFE_INTEGER).optional();

/** Limits, inline and in policies. */
export const rateLimit = z.strictObject({
  rps: most,
  rpm: most,
  rph: most,
  rpd: most,
  tps: most,
  tpm: most,
  tph: most,
  tpd: most,
  concurrency: most,
});

// These frame the message or belong to one connection; a fixed value would break every request.
const FRAMING_HEADERS = new Set(["connection", "content-length", "expect", "keep-alive", "te", "trailer"]);
FRAMING_HEADERS.add("transfer-encoding").add("upgrade");

export const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, "must be a header name")
  .refine((name) => !FRAMING_HEADERS.has(name.toLowerCase()), "is a header that only the gateway itself may set");
export const HEADER_TEXT = /^[ -~\u0080-\u00ff]*$/;
export const HEADER_TEXT_RULE = "must be a header value: one line, no control characters";
export const headerValue = z.string().regex(HEADER_TEXT, HEADER_TEXT_RULE);

/** Where an upstream is; a bare host counts as https. */
export const apiBase = text(2048).refine((value) => {
  const url = value.includes("://") ? value : `https://${value}`;
  if (!URL.canParse(url)) return false;
  const { protocol, hostname: host, username, password } = new URL(url);
  return (protocol === "https:" || protocol === "http:") && host !== "" && username === "" && password === "";
}, "must be an http or https address without credentials, such as https://api.example.com/v1");

const HTTP_RULE = "must be an http or https address without credentials";

/** Where something else is asked: a whole address, of which only the operator decides. */
export const httpAddress = text(2048).refine((value) => {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
}, HTTP_RULE);

/** An IANA name, as far as this machine knows it. */
export const timezone = text(64).refine(isTimezone, "must be an IANA timezone, such as Europe/Berlin");

function isTimezone(name: string): boolean {
  // Offsets such as "+02:00" are accepted by some engines, but know no summer.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** A number that need not be whole. */
export function number(minimum: number, maximum: number) {
  return z
    .number({
      error: ({ code, input }) => (code === "invalid_type" && input !== undefined ? "must be a number" : undefined),
    })
    .min(minimum)
    .max(maximum);
}

/** A mapping of strings to headers; names in lower case come out of the conversion. */
export const headers = z
  .record(headerName, headerValue)
  .refine((map) => new Set(Object.keys(map).map((name) => name.toLowerCase())).size === Object.keys(map).length, {
    error: "names the same header twice",
  })
  .default({});

/** HTTP statuses. */
export function statuses(minimum: number) {
  return z.array(whole(minimum, 599)).max(64);
}
