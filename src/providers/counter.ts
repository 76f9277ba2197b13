/**
 * How a provider's own token counter is asked, and where its answer stands. The counter reads the request that the
 * model would be sent, or a part of it, mostly inside an envelope. Everything here works on bytes: a request to be
 * counted may be as large as one to be answered.
 */
import { scanTopLevel } from "../dialects/json-scan.js";
import { applyEdits } from "../dialects/json-splice.js";
import { type KeyTable, keyTable } from "../dialects/json-text.js";
import { asCount, asObject, parseJson, scannedValue } from "../dialects/json-values.js";

/** What the request is put into. */
export interface CounterEnvelope {
  /** Names of the members, from the outermost, below which the request stands. */
  readonly path: readonly string[];
  /** "base64": as text, in base64; "json" (default): as it is. */
  readonly form?: "json" | "base64";
  /** The request gets a member `model`: this, and the model's name. */
  readonly model?: string;
}

export interface Counter {
  /** Member of the answer that holds the count. */
  readonly count: string;
  /** Members of a translated request that the counter knows; it refuses others. Absent: it takes the request whole. */
  readonly reads?: readonly string[];
  readonly envelope?: CounterEnvelope;
  /** The request needs an output cap, which callers who only count do not give. */
  readonly cap?: boolean;
  /** What must not stand in front of the model's name in the path. */
  readonly notInName?: RegExp;
}

/** The counter's request for a model's; `model`: the upstream's name of it. */
export function counterRequest(counter: Counter, request: Buffer, model: string): Buffer {
  const read = counter.reads === undefined ? request : onlyMembers(request, tableOf(counter.reads));
  const capped = counter.cap === true ? withCap(read) : read;
  return counter.envelope === undefined ? capped : enveloped(counter.envelope, capped, model);
}

/** The count in a counter's answer; -1 = there is none. */
export function countIn(counter: Counter, answer: Buffer): number {
  return asCount(asObject(parseJson(answer))?.[counter.count]);
}

/** Statuses that say: there is no such counter here, or the secret may call the model but not the counter. */
const NO_COUNTER: ReadonlySet<number> = new Set([403, 404, 405, 501]);
/**
 * A bad request that is bad only for the counter: it does not know the model, or its limit is lower than the
 * model's. What the model itself would refuse too is the caller's to know.
 */
const NOT_FOR_COUNTING: readonly RegExp[] = [
  /(?:not|n['’]t|un)[ -]?(?:currently )?support(?:ed|s|ing)?(?: for)? (?:token )?count/i,
  /count[a-z ]{0,40}(?: not|n['’]t|un| un)[ -]?(?:currently )?(?:support|available)/i,
  /model[^"]{0,200} is(?: not|n['’]t) (?:currently )?(?:supported|available)/i,
  /model identifier is invalid/i,
  /unknown (?:url|endpoint|operation|method)/i,
  /(?:prompt|input) is too long/i,
];
const LONGEST_REASON = 4_096;

/** Does this answer say that the provider cannot count here, rather than that the request is wrong? */
export function cannotCount(status: number, answer: Buffer): boolean {
  if (status !== 400) return NO_COUNTER.has(status);
  const reason = answer.toString("utf8", 0, LONGEST_REASON);
  return NOT_FOR_COUNTING.some((pattern) => pattern.test(reason));
}

const tables = new WeakMap<readonly string[], KeyTable>();

function tableOf(names: readonly string[]): KeyTable {
  let table = tables.get(names);
  if (table === undefined) {
    table = keyTable(names);
    tables.set(names, table);
  }
  return table;
}

/** The object with these members only; each value's bytes as they are. */
function onlyMembers(body: Buffer, keys: KeyTable): Buffer {
  const scan = scanTopLevel(body, keys);
  const pieces: Buffer[] = [];
  for (const [index, name] of keys.names.entries()) {
    const value = scannedValue(scan, index);
    if (value === null) continue;
    pieces.push(Buffer.from(`${pieces.length === 0 ? "{" : ","}${JSON.stringify(name)}:`), value);
  }
  pieces.push(Buffer.from(pieces.length === 0 ? "{}" : "}"));
  return Buffer.concat(pieces);
}

const CAP_KEYS = keyTable(["max_tokens", "thinking"]);
/** The cap must leave room for an answer beside the thinking. */
const BEYOND_THINKING = 1_024;

function withCap(body: Buffer): Buffer {
  const scan = scanTopLevel(body, CAP_KEYS);
  if (scannedValue(scan, 0) !== null) return body;
  const thinking = scannedValue(scan, 1);
  const budget = thinking === null ? -1 : asCount(asObject(parseJson(thinking))?.budget_tokens);
  return withFirst(body, `"max_tokens":${budget < 0 ? 1 : budget + BEYOND_THINKING}`);
}

/** Puts a member in front of the others. */
function withFirst(body: Buffer, member: string): Buffer {
  const { membersAt, empty } = scanTopLevel(body, NO_KEYS);
  return applyEdits(body, [{ start: membersAt, end: membersAt, bytes: Buffer.from(empty ? member : `${member},`) }]);
}

const NO_KEYS = keyTable([]);

function enveloped({ path, form, model: prefix }: CounterEnvelope, request: Buffer, model: string): Buffer {
  const before = path.map((name) => `{${JSON.stringify(name)}:`).join("");
  const after = "}".repeat(path.length);
  if (form === "base64") return Buffer.from(`${before}"${request.toString("base64")}"${after}`);
  // A name with a slash says of itself what kind of model it names.
  const name = prefix === undefined || model.includes("/") ? model : prefix + model;
  const inner = prefix === undefined ? request : withFirst(request, `"model":${JSON.stringify(name)}`);
  return Buffer.concat([Buffer.from(before), inner, Buffer.from(after)]);
}
