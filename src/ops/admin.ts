/** The admin API of the ops listener: who may use it, and what it does. */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";

/** What the API acts on. */
export interface AdminSources {
  /** SHA-256 of the keys that may use it, hexadecimal. */
  readonly keyHashes: readonly string[];
  /** Forgets cached answers that fit all the names given; returns how many. */
  purgeCache(filter: { policy?: string | undefined; model?: string | undefined; apiKey?: string | undefined }): number;
}

export interface AdminRequest {
  /** In lower case. */
  readonly method: string;
  readonly path: string;
  readonly authorization: string;
  readonly apiKey: string;
  readonly body: Buffer;
}

export interface AdminAnswer {
  readonly status: "200 OK" | "400 Bad Request" | "401 Unauthorized" | "403 Forbidden" | "404 Not Found" | NotAllowed;
  readonly body: unknown;
}
type NotAllowed = "405 Method Not Allowed";

export const ADMIN_PREFIX = "/admin/v1/";
/** No request of the API is longer. */
export const MAX_ADMIN_BODY_BYTES = 65_536;

const name = z.string().min(1).max(256).optional();
const purge = z.strictObject({ policy: name, model: name, api_key: name });

/** Why this request may not use the API; null = it may. */
export function adminProblem(request: Omit<AdminRequest, "body">, { keyHashes }: AdminSources): AdminAnswer | null {
  if (keyHashes.length === 0) {
    return problem("403 Forbidden", "The admin API is closed: ops.admin_key_hashes names no key.");
  }
  const key = presentedKey(request);
  if (key === "") return problem("401 Unauthorized", "Send the admin key as 'Authorization: Bearer KEY'.");
  const presented = createHash("sha256").update(key).digest();
  let known = false;
  // Every hash is compared, whichever fits: how long it takes tells nothing.
  for (const hash of keyHashes) known = timingSafeEqual(presented, Buffer.from(hash, "hex")) || known;
  return known ? null : problem("401 Unauthorized", "The admin key is unknown.");
}

/** Answers a request that `adminProblem` has let through. */
export function answerAdmin(request: AdminRequest, sources: AdminSources): AdminAnswer {
  if (request.path !== `${ADMIN_PREFIX}cache/purge`) return problem("404 Not Found", "There is no such endpoint.");
  if (request.method !== "post") return problem("405 Method Not Allowed", "Use POST.");
  const filter = purge.safeParse(parsed(request.body));
  if (!filter.success) {
    return problem("400 Bad Request", "The body must be a JSON object with policy, model or api_key, or be empty.");
  }
  const { policy, model, api_key: apiKey } = filter.data;
  return { status: "200 OK", body: { purged: sources.purgeCache({ policy, model, apiKey }) } };
}

function presentedKey({ authorization, apiKey }: Pick<AdminRequest, "authorization" | "apiKey">): string {
  const bearer = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  return bearer ?? apiKey;
}

function parsed(body: Buffer): unknown {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function problem(status: AdminAnswer["status"], message: string): AdminAnswer {
  return { status, body: { error: { message } } };
}
