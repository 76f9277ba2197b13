/** The resources by the admin API: shown without their secrets, and changed one by one. */
import { createHash, randomBytes } from "node:crypto";
import type { ChangeOutcome, ConfigChange, Denied } from "../cluster/config-writer.js";
import type { StoredEntry } from "../cluster/config-entries.js";
import { isMapping, type Raw } from "../config/entry.js";
import { NAME_FIELDS } from "../config/entry-name.js";
import { mapSecrets, REDACTED, redactEntry } from "../config/entry-secrets.js";
import { isCollection, isTooDeep } from "../config/resource-set.js";
import { type Path, renderPath } from "../config/result.js";
import { COLLECTIONS, type CollectionName } from "../config/schema.js";
import { type AdminAnswer, type AdminRequest, notAllowed, problem, readable, type Reason } from "./admin-answer.js";

/** Where the resources are, and how they are changed. */
export interface ResourceStore {
  listing(): Listing;
  change(change: ConfigChange): Promise<ChangeOutcome>;
  /** The latest changes, the newest first; rejects when they cannot be read now. */
  audit(limit: number): Promise<readonly unknown[]>;
}

export interface Listing {
  readonly revision: number;
  /** "nats", "snapshot file", "file" or "embedded default". */
  readonly source: string;
  readonly entries: Iterable<StoredEntry>;
}

/** The first digits of an admin key's hash tell whose change it was. */
type Call = AdminRequest & { readonly admin: string };

const KEY_BYTES = 32;
const MAX_AUDIT = 1_000;
const DEFAULT_AUDIT = 100;

/** Answers `/admin/v1/{collection}`, `/admin/v1/{collection}/{name}` and `/admin/v1/audit`. `rest` is what follows `/admin/v1/`. */
export async function answerResources(rest: string, call: Call, store: ResourceStore): Promise<AdminAnswer> {
  if (rest === "audit") return call.method === "get" ? audit(call, store) : notAllowed("GET");
  const slash = rest.indexOf("/");
  const collection = slash < 0 ? rest : rest.slice(0, slash);
  if (!isCollection(collection)) {
    const names = Object.keys(COLLECTIONS).join(", ");
    return problem("404 Not Found", `There is no such endpoint; the collections are ${names}.`);
  }
  if (slash < 0 || slash === rest.length - 1) return answerCollection(collection, call, store);
  const name = decoded(rest.slice(slash + 1));
  if (name === null) return problem("400 Bad Request", "The name is not percent-encoded as it should be.");
  switch (call.method) {
    case "get":
      return show(collection, name, store);
    case "put":
      return put({ collection, name }, call, store);
    case "delete":
      return answerOf(await store.change(removal({ collection, name }, call)), { collection, name });
    default:
      return notAllowed("GET, PUT, DELETE");
  }
}

interface Place {
  readonly collection: CollectionName;
  readonly name: string;
}

function answerCollection(
  collection: CollectionName,
  call: Call,
  store: ResourceStore,
): AdminAnswer | Promise<AdminAnswer> {
  if (call.method === "post" && collection === "api_keys") return createKey(call, store);
  if (call.method !== "get") return notAllowed(collection === "api_keys" ? "GET, POST" : "GET");
  const { revision, source, entries } = store.listing();
  const items = [...entries]
    .filter((entry) => entry.collection === collection)
    .map((entry) => itemOf(collection, entry));
  items.sort((one, other) => (one.name < other.name ? -1 : 1));
  return { status: "200 OK", body: { revision, source, items } };
}

function show(collection: CollectionName, name: string, store: ResourceStore): AdminAnswer {
  for (const entry of store.listing().entries) {
    if (entry.collection !== collection || entry.name !== name) continue;
    return { status: "200 OK", body: itemOf(collection, entry), headers: { etag: etag(entry.revision) } };
  }
  return missing({ collection, name });
}

function itemOf(collection: CollectionName, { name, revision, value, problem }: StoredEntry) {
  const shown = { name, revision, value: isMapping(value) ? redactEntry(collection, value) : {} };
  return problem === "" ? shown : { ...shown, problem };
}

async function audit({ query }: Call, store: ResourceStore): Promise<AdminAnswer> {
  const written = new URLSearchParams(query).get("limit") ?? String(DEFAULT_AUDIT);
  const limit = Number(written);
  if (!/^[0-9]{1,4}$/.test(written) || limit < 1 || limit > MAX_AUDIT) {
    return problem("400 Bad Request", `limit must be a whole number from 1 to ${MAX_AUDIT}.`);
  }
  try {
    return { status: "200 OK", body: { items: await store.audit(limit) } };
  } catch (error) {
    return away(error instanceof Error ? error.message : String(error));
  }
}

async function put(place: Place, call: Call, store: ResourceStore): Promise<AdminAnswer> {
  const { collection, name } = place;
  const body = parsed(call.body);
  if (body === null) return problem("400 Bad Request", "The body must be the entry, as a JSON object.");
  const nameErrors = wrongNames(collection, body, name);
  if (nameErrors.length > 0)
    return problem("400 Bad Request", "The entry has another name than the address.", nameErrors);
  const value = named(collection, body, name);
  const change: ConfigChange = {
    ...place,
    action: "put",
    admin: call.admin,
    address: call.address,
    decide: (current) => unmet(call, current) ?? withSecrets(collection, value, current),
  };
  return answerOf(await store.change(change), place);
}

function removal(place: Place, call: Call): ConfigChange {
  return {
    ...place,
    action: "delete",
    admin: call.admin,
    address: call.address,
    decide: (current) => {
      if (call.ifMatch === "" && current === null) return { kind: "missing", errors: [] };
      return unmet(call, current) ?? { value: null };
    },
  };
}

/** Makes a key for a caller; its hash is kept, and it is told this once. */
async function createKey(call: Call, store: ResourceStore): Promise<AdminAnswer> {
  const body = parsed(call.body);
  const name = body?.display_name ?? body?.name;
  if (body === null || typeof name !== "string" || name === "") {
    return problem("400 Bad Request", "The body must be the entry, as a JSON object with a display_name.");
  }
  if (!isAddressable(name)) {
    return problem("400 Bad Request", "No address could name it: the name is dots alone, or holds half a character.");
  }
  const taken = ["key_hash", "key_env"].filter((field) => Object.hasOwn(body, field));
  if (taken.length > 0) {
    const errors = taken.map((path) => ({ path, message: "cannot be given: the key is made here" }));
    return problem("400 Bad Request", "A key that you have is put, not made: use PUT.", errors);
  }
  const key = `sk-weir-${randomBytes(KEY_BYTES).toString("base64url")}`;
  const value = { ...body, key_hash: createHash("sha256").update(key).digest("hex") };
  const place = { collection: "api_keys", name } as const;
  const outcome = await store.change({
    ...place,
    action: "create_key",
    admin: call.admin,
    address: call.address,
    decide: (current) => (current === null ? { value } : { kind: "unmet", errors: [] }),
  });
  if (outcome.kind === "unmet") return problem("409 Conflict", `There is an API key named ${JSON.stringify(name)}.`);
  const answer = answerOf(outcome, place);
  return outcome.kind === "written" ? { ...answer, body: { ...(answer.body as object), key } } : answer;
}

function answerOf(outcome: ChangeOutcome, place: Place): AdminAnswer {
  switch (outcome.kind) {
    case "written":
      return written(outcome, place);
    case "missing":
      return missing(place);
    case "unmet":
      return problem("412 Precondition Failed", "The entry is another one than you expect.");
    case "wrong":
      return problem("400 Bad Request", "The entry cannot be taken.", outcome.errors);
    case "refused":
      return outcome.deletes
        ? problem("409 Conflict", "Other entries need this one.", outcome.errors)
        : problem("400 Bad Request", "The resources would not be valid with this entry.", outcome.errors);
    case "away":
      return away(outcome.reason);
    case "elsewhere":
      return problem("409 Conflict", outcome.reason);
  }
}

function written(outcome: Extract<ChangeOutcome, { kind: "written" }>, { collection, name }: Place): AdminAnswer {
  const { revision, created, value, errors } = outcome;
  // Others' entries are wrong: whoever mends them one by one must know that it is not over.
  const rest = errors.length === 0 ? {} : { not_in_force: readable(errors) };
  if (!isMapping(value)) return { status: "200 OK", body: { name, revision, ...rest } };
  const body = { name, revision, value: redactEntry(collection, value), ...rest };
  return { status: created ? "201 Created" : "200 OK", body, headers: { etag: etag(revision) } };
}

function missing({ collection, name }: Place): AdminAnswer {
  return problem("404 Not Found", `There is no ${JSON.stringify(name)} in ${collection}.`);
}

function away(reason: string): AdminAnswer {
  return { ...problem("503 Service Unavailable", reason), headers: { "retry-after": "1" } };
}

function etag(revision: number): string {
  return `"${revision}"`;
}

/** What the call says of the entry that it expects, held against the one there is. */
function unmet({ ifMatch, ifNoneMatch }: Call, current: StoredEntry | null): Denied | null {
  const fits = (wanted: string): boolean => {
    const tags = wanted.split(",").map((tag) => tag.trim().replace(/^(?:W\/)?"?|"$/g, ""));
    return current !== null && (tags.includes("*") || tags.includes(String(current.revision)));
  };
  const met = (ifMatch === "" || fits(ifMatch)) && (ifNoneMatch === "" || !fits(ifNoneMatch));
  return met ? null : { kind: "unmet", errors: [] };
}

/** The entry with the secrets that it only alludes to. */
function withSecrets(collection: CollectionName, value: Raw, current: StoredEntry | null) {
  const errors: Reason[] = [];
  const stored = isMapping(current?.value) ? secretsOf(collection, current.value) : new Map<string, string>();
  const whole = mapSecrets(collection, value, (secret, path) => {
    if (secret !== REDACTED) return secret;
    const kept = stored.get(JSON.stringify(path));
    if (kept === undefined) {
      errors.push({ path: renderPath(path), message: `is ${REDACTED}, and no secret is stored here to be kept` });
    }
    return kept ?? secret;
  });
  return errors.length === 0 ? { value: whole } : ({ kind: "wrong", errors } as const);
}

function secretsOf(collection: CollectionName, value: Raw): Map<string, string> {
  const secrets = new Map<string, string>();
  mapSecrets(collection, value, (secret, path: Path) => secrets.set(JSON.stringify(path), secret));
  return secrets;
}

function wrongNames(collection: CollectionName, body: Raw, name: string): Reason[] {
  const fields = collection === "guardrail_attachments" ? ["id"] : ["display_name", "name"];
  const wrong = fields.filter((field) => body[field] !== undefined && body[field] !== name);
  return wrong.map((path) => ({ path, message: `must be ${JSON.stringify(name)}, as in the address` }));
}

function named(collection: CollectionName, body: Raw, name: string): Raw {
  const known = collection === "guardrail_attachments" ? body.id : (body.display_name ?? body.name);
  return known === undefined ? { [NAME_FIELDS[collection]]: name, ...body } : body;
}

function parsed(body: Buffer): Raw | null {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return isMapping(value) && !isTooDeep(value) ? value : null;
  } catch {
    return null;
  }
}

/** What an address can hold: of these names it makes steps, or nothing at all. */
function isAddressable(name: string): boolean {
  return name !== "." && name !== ".." && Buffer.from(name, "utf8").toString("utf8") === name;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
