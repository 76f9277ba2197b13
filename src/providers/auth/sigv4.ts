/**
 * AWS Signature Version 4 for requests with a body in memory, as the AWS documentation describes it. Synchronous,
 * with the day's signing key kept: the general-purpose package awaits a dozen promises per request.
 */
import { createHash, createHmac } from "node:crypto";
import type { AuthRequest } from "./auth.js";

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** "" = long-lived keys. */
  readonly sessionToken: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

/** Signs for one region and service. */
export class Signer {
  readonly #region: string;
  readonly #service: string;
  #keys: AwsKeys | null = null;
  #day = "";
  #key: Buffer = Buffer.alloc(0);

  constructor(region: string, service: string) {
    this.#region = region;
    this.#service = service;
  }

  /** Flat headers to add: authorization, x-amz-date and, with temporary keys, x-amz-security-token. */
  sign(request: AuthRequest, keys: AwsKeys, now: number): string[] {
    const date = amzDate(now);
    const day = date.slice(0, 8);
    const added = ["x-amz-date", date];
    if (keys.sessionToken !== "") added.push("x-amz-security-token", keys.sessionToken);
    const { names, lines } = canonicalHeaders(request, added);
    const [path, query] = pathAndQuery(request.url);
    const canonical =
      `${request.method}\n${canonicalPath(path)}\n${canonicalQuery(query)}\n${lines}\n${names}\n` +
      sha256(request.body);
    const scope = `${day}/${this.#region}/${this.#service}/aws4_request`;
    const text = `${ALGORITHM}\n${date}\n${scope}\n${sha256(canonical)}`;
    const signature = createHmac("sha256", this.#signingKey(keys, day)).update(text).digest("hex");
    const credential = `Credential=${keys.accessKeyId}/${scope}`;
    added.push("authorization", `${ALGORITHM} ${credential}, SignedHeaders=${names}, Signature=${signature}`);
    return added;
  }

  #signingKey(keys: AwsKeys, day: string): Buffer {
    if (this.#keys === keys && this.#day === day) return this.#key;
    let key: Buffer = Buffer.from(`AWS4${keys.secretAccessKey}`);
    for (const part of [day, this.#region, this.#service, "aws4_request"]) {
      key = createHmac("sha256", key).update(part).digest();
    }
    this.#keys = keys;
    this.#day = day;
    this.#key = key;
    return key;
  }
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** 20250102T030405Z */
function amzDate(now: number): string {
  const iso = new Date(now).toISOString();
  return iso.slice(0, 19).replace(/[-:]/g, "") + "Z";
}

/** Scheme and host are cut off, not parsed: parsing could change how the path is escaped. */
function pathAndQuery(url: string): readonly [string, string] {
  const from = url.indexOf("/", url.indexOf("//") + 2);
  const rest = from < 0 ? "/" : url.slice(from);
  const mark = rest.indexOf("?");
  return mark < 0 ? [rest, ""] : [rest.slice(0, mark), rest.slice(mark + 1)];
}

function hostOf(url: string): string {
  const from = url.indexOf("//") + 2;
  const end = /[/?#]/.exec(url.slice(from));
  const host = (end === null ? url.slice(from) : url.slice(from, from + end.index)).toLowerCase();
  // The default port is not part of the host header.
  return host.replace(url.startsWith("https:") ? /:443$/ : /:80$/, "");
}

/** RFC 3986 unreserved characters stay, everything else is escaped. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The path as sent, escaped once more: every service but S3 wants it so. */
function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") segments.pop();
    else segments.push(percentEncoded(segment));
  }
  const tail = segments.length > 0 && path.endsWith("/") ? "/" : "";
  return `/${segments.join("/")}${tail}`;
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  const pairs = query.split("&").filter((pair) => pair !== "");
  const escaped = pairs.map((pair) => {
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    return [percentEncoded(decodeURIComponent(name)), percentEncoded(decodeURIComponent(value))] as const;
  });
  escaped.sort(([a, x], [b, y]) => order(a, b) || order(x, y));
  return escaped.map(([name, value]) => `${name}=${value}`).join("&");
}

function order(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Host, content-type and everything that begins with x-amz are signed; hops on the way may touch the rest. */
function canonicalHeaders(request: AuthRequest, added: readonly string[]): { names: string; lines: string } {
  const signed = new Map<string, string>([["host", hostOf(request.url)]]);
  for (const list of [request.headers, added]) {
    for (let at = 0; at + 1 < list.length; at += 2) {
      const name = (list[at] as string).toLowerCase();
      if (name !== "content-type" && name !== "host" && !name.startsWith("x-amz")) continue;
      const value = (list[at + 1] as string).trim().replace(/\s+/g, " ");
      const before = signed.get(name);
      // What the gateway adds replaces what was there; what the request holds twice is one list.
      signed.set(name, before === undefined || name === "host" || list === added ? value : `${before},${value}`);
    }
  }
  const names = [...signed.keys()].sort();
  return { names: names.join(";"), lines: names.map((name) => `${name}:${signed.get(name)}\n`).join("") };
}
