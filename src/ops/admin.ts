/** The admin API of the ops listener: who may use it, and what it does. */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { type AdminAnswer, type AdminRequest, notAllowed, problem } from "./admin-answer.js";
import { answerResources, type ResourceStore } from "./admin-resources.js";

/** What the API acts on. */
export interface AdminSources {
  /** SHA-256 of the keys that may use it, hexadecimal. */
  readonly keyHashes: readonly string[];
  readonly resources: ResourceStore;
  /** Forgets cached answers that fit all the names given; returns how many. */
  purgeCache(filter: { policy?: string | undefined; model?: string | undefined; apiKey?: string | undefined }): number;
}

export const ADMIN_PREFIX = "/admin/v1/";
/** No request of the API is longer. */
export const MAX_ADMIN_BODY_BYTES = 1_048_576;
const MAX_PURGE_BYTES = 65_536;
/** Digits of an admin key's hash that tell it from others. */
const ADMIN_DIGITS = 12;

const name = z.string().min(1).max(256).optional();
const purge = z.strictObject({ policy: name, model: name, api_key: name });

/** Why this request may not use the API; null = it may. */
export function adminProblem(request: Credentials, { keyHashes }: AdminSources): AdminAnswer | null {
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
export async function answerAdmin(request: AdminRequest, sources: AdminSources): Promise<AdminAnswer> {
  const rest = request.path.slice(ADMIN_PREFIX.length);
  if (rest === "cache/purge") return purgeCache(request, sources);
  const admin = createHash("sha256").update(presentedKey(request)).digest("hex").slice(0, ADMIN_DIGITS);
  return answerResources(rest, { ...request, admin }, sources.resources);
}

function purgeCache(request: AdminRequest, sources: AdminSources): AdminAnswer {
  if (request.method !== "post") return notAllowed("POST");
  if (request.body.length > MAX_PURGE_BYTES) return problem("400 Bad Request", "The request body is too long.");
  const filter = purge.safeParse(parsed(request.body));
  if (!filter.success) {
    return problem("400 Bad Request", "The body must be a JSON object with policy, model or api_key, or be empty.");
  }
  const { policy, model, api_key: apiKey } = filter.data;
  return { status: "200 OK", body: { purged: sources.purgeCache({ policy, model, apiKey }) } };
}

type Credentials = Pick<AdminRequest, "authorization" | "apiKey">;

function presentedKey({ authorization, apiKey }: Credentials): string {
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
