/**
 * Every subject, stream and bucket of a fleet, in one place. All of them begin with the fleet's name, so that
 * several fleets can share one NATS. docs/operations.md lists them; a test holds the two equal.
 */
import { createHash } from "node:crypto";

const MAX_TOKEN = 200;
const CUT_TOKEN = 160;
const CUT_DIGITS = 16;

/** Names of one fleet. */
export interface FleetNames {
  /** Inboxes for answers begin with this. */
  readonly inbox: string;
  /** The same for whoever reads usage and is no node. */
  readonly readerInbox: string;
  /** Heartbeats and farewells of the nodes; plain messages that nobody keeps. */
  readonly members: string;
  /** The stream of the usage events. */
  readonly usageStream: string;
  /** All subjects of the usage stream. */
  readonly usageAll: string;
  /** What usage adds up to, for each key, model and day. */
  readonly rollupBucket: string;
  /** The resources, an entry each. */
  readonly configBucket: string;
  /** Who changed which resource, and when. */
  readonly auditStream: string;
  /** All subjects of the audit stream. */
  readonly auditAll: string;
  /** What each node has spent of each budget. */
  readonly budgetBucket: string;
  /** Answers that the nodes share. */
  readonly cacheBucket: string;
  /** Answers that no node shall give any more. */
  readonly cachePurge: string;
  /** How the models do at each node: cooldowns, latencies, requests under way. */
  readonly health: string;
  /** What the owners of limits have granted, told to all. */
  readonly quotaLedger: string;
  /** All questions about limits that one node is to answer; to be extended by its instance. */
  readonly quotaOf: string;
  /** The subject of one usage event. */
  usage(apiKey: string, model: string): string;
  /** The subject of one change of a resource. */
  audit(collection: string, name: string): string;
}

/** One row of the table in docs/operations.md. */
export interface NameRow {
  readonly name: string;
  readonly kind: "subject" | "stream" | "bucket";
}

/** `fleet` is `cluster.name`: lower case, so that the capitals of streams and buckets are as unique as it is. */
export function fleetNames(fleet: string): FleetNames {
  const capitals = fleet.toUpperCase();
  return {
    inbox: `${fleet}._INBOX`,
    readerInbox: `${fleet}._READERS`,
    members: `${fleet}.members`,
    usageStream: `${capitals}_USAGE`,
    usageAll: `${fleet}.usage.>`,
    rollupBucket: `${capitals}_ROLLUPS`,
    configBucket: `${capitals}_CONFIG`,
    auditStream: `${capitals}_AUDIT`,
    auditAll: `${fleet}.audit.>`,
    budgetBucket: `${capitals}_BUDGETS`,
    cacheBucket: `${capitals}_CACHE`,
    cachePurge: `${fleet}.cache.purge`,
    health: `${fleet}.health`,
    quotaLedger: `${fleet}.quota.ledger`,
    quotaOf: `${fleet}.quota.of`,
    usage: (apiKey, model) => `${fleet}.usage.${token(apiKey)}.${token(model)}`,
    audit: (collection, name) => `${fleet}.audit.${token(collection)}.${token(name)}`,
  };
}

/** The names of a fleet as the documents tell them. */
export function nameRows(names: FleetNames, fleet: string): NameRow[] {
  return [
    { name: `${names.inbox}.>`, kind: "subject" },
    { name: `${names.readerInbox}.>`, kind: "subject" },
    { name: names.members, kind: "subject" },
    { name: `${fleet}.usage.<key>.<model>`, kind: "subject" },
    { name: `${fleet}.audit.<collection>.<name>`, kind: "subject" },
    { name: names.health, kind: "subject" },
    { name: names.quotaLedger, kind: "subject" },
    { name: `${names.quotaOf}.<instance>`, kind: "subject" },
    { name: names.cachePurge, kind: "subject" },
    { name: names.usageStream, kind: "stream" },
    { name: names.auditStream, kind: "stream" },
    { name: names.rollupBucket, kind: "bucket" },
    { name: names.configBucket, kind: "bucket" },
    { name: names.budgetBucket, kind: "bucket" },
    { name: names.cacheBucket, kind: "bucket" },
  ];
}

/** Keys of the rollup bucket. */
export const ROLLUP_POSITION = "position";

/** `day` is YYYY-MM-DD. */
export function rollupKey(day: string, apiKey: string, model: string): string {
  return `${day}.${token(apiKey)}.${token(model)}`;
}

/** All entries of one day. */
export function rollupDay(day: string): string {
  return `${day}.>`;
}

/** What one node has spent of one budget's counter; `node` is the id of its data directory. */
export function budgetKey(counter: string, node: string): string {
  return `s.${token(counter)}.${token(node)}`;
}

/** The highest fraction that the fleet was warned of, of one budget's counter. */
export function budgetWarningKey(counter: string): string {
  return `w.${token(counter)}`;
}

/** The cache bucket's record of what was purged. */
export const CACHE_PURGES = "purges";

/** The key of an answer; `key` is the fingerprint of its request. */
export function cacheEntryKey(policy: string, model: string, key: Uint8Array): string {
  return `e.${token(policy)}.${token(model)}.${Buffer.from(key).toString("base64url")}`;
}

/** The keys of all answers of a policy and of a model; those of all where none is named. */
export function cacheEntryKeys(policy: string | undefined, model: string | undefined): string {
  if (policy === undefined && model === undefined) return "e.>";
  return `e.${policy === undefined ? "*" : token(policy)}.${model === undefined ? "*" : token(model)}.*`;
}

/**
 * Any text as one token of a subject or of a bucket's key: letters, digits, `-`, `_` and `/` stay, every other byte
 * of its UTF-8 becomes `=` and two hex digits, so dots, spaces and wildcards mean nothing. Nothing at all is `=`;
 * what would be longer than 200 characters is cut and ends in `==` and a hash, so that it stays one of a kind.
 */
export function token(text: string): string {
  if (text === "") return "=";
  if (/^[A-Za-z0-9_/-]{1,200}$/.test(text)) return text;
  let escaped = "";
  for (const byte of Buffer.from(text, "utf8")) {
    escaped += isPlain(byte) ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  if (escaped.length <= MAX_TOKEN) return escaped;
  const hash = createHash("sha256").update(text).digest("hex").slice(0, CUT_DIGITS);
  return `${escaped.slice(0, CUT_TOKEN)}==${hash}`;
}

function isPlain(byte: number): boolean {
  const isLetter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
  const isDigit = byte >= 0x30 && byte <= 0x39;
  return isLetter || isDigit || byte === 0x5f || byte === 0x2d || byte === 0x2f;
}
