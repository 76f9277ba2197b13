/**
 * Changes to a request's members that are described once and made in its bytes: what is not named stays as it
 * came, to the last space. Paths are dotted; only the member at a path's beginning is ever parsed, and only when
 * the path goes deeper. What a wire or a vendor wants is data of whoever compiles a plan; nothing of it is here.
 */
import { type Failure, failure } from "../errors.js";
import { isObject, parseValue } from "./json.js";
import { scanTopLevel, type TopLevelScan } from "./json-scan.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { type KeyTable, keyTable } from "./json-text.js";
import type { JsonObject, JsonValue } from "./semantic.js";

/** One change. Changes are made in their order; each sees what those before it have left. */
export type BodyEdit =
  /** The member gets another name; where that name is taken already, the older name's member goes. Top level only. */
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  /** A number outside the bounds becomes the nearer bound; null = no bound. */
  | { readonly kind: "bound"; readonly path: string; readonly least: number | null; readonly most: number | null }
  /** Put in where nothing (or null) is. */
  | { readonly kind: "default"; readonly path: string; readonly value: JsonValue }
  | { readonly kind: "set"; readonly path: string; readonly value: JsonValue }
  | { readonly kind: "remove"; readonly path: string }
  /** The entries of a comma-separated request header, added to a list of texts at the top level. */
  | { readonly kind: "list"; readonly path: string; readonly header: string };

/** Edits with their names encoded, ready to be made many times. */
export interface EditPlan {
  readonly keys: KeyTable;
  readonly steps: readonly Step[];
}

/** One top-level name while edits are made. */
interface Slot {
  /** Index of the scanned member whose place it has; -1 = it has none in the body. */
  place: number;
  present: boolean;
  /** JSON text in place of what stands there; null = as it came. */
  text: string | null;
}

interface Work {
  readonly body: Buffer;
  readonly scan: TopLevelScan;
  readonly slots: readonly Slot[];
  readonly headers: readonly string[];
}

type Step = (work: Work) => void;

/** Compiles edits; null when there are none. */
export function planEdits(edits: readonly BodyEdit[]): EditPlan | null {
  if (edits.length === 0) return null;
  const names: string[] = [];
  const indexOf = (name: string): number => {
    const known = names.indexOf(name);
    return known >= 0 ? known : names.push(name) - 1;
  };
  const steps = edits.map((edit) => stepOf(edit, indexOf));
  return Object.freeze({ keys: keyTable(names), steps: Object.freeze(steps) });
}

/**
 * The body with the edits made; `body` itself when none of them changes anything. Refuses a body in which a
 * member to be edited stands twice: parsers disagree on which one counts. `headers`: flat, names in lower case.
 */
export function editBody(body: Buffer, plan: EditPlan, headers: readonly string[]): Buffer | Failure {
  const scan = scanTopLevel(body, plan.keys);
  if (scan.brokenAt >= 0) return failure("invalid_request_error", "The body must be one JSON object.");
  if (scan.duplicate >= 0) {
    const name = plan.keys.names[scan.duplicate] ?? "";
    return failure("invalid_request_error", `The field "${name}" stands in the body twice.`, name);
  }
  const slots = scan.starts.map((start, index): Slot => {
    return { place: start < 0 ? -1 : index, present: start >= 0, text: null };
  });
  const work: Work = { body, scan, slots, headers };
  for (const step of plan.steps) step(work);
  return written(work, plan.keys.names);
}

// ---- the edits -------------------------------------------------------------------------------------

function stepOf(edit: BodyEdit, indexOf: (name: string) => number): Step {
  if (edit.kind === "rename") {
    const [from, to] = [indexOf(edit.from), indexOf(edit.to)];
    return (work) => rename(work.slots[from] as Slot, work.slots[to] as Slot);
  }
  const [name = "", ...below] = edit.path.split(".");
  const index = indexOf(name);
  switch (edit.kind) {
    case "remove":
      return below.length === 0 ? (work) => drop(work.slots[index] as Slot) : nested(index, below, undefined);
    case "set":
      return below.length === 0 ? setter(index, edit.value) : nested(index, below, edit.value);
    case "default":
      return defaulter(index, below, edit.value);
    case "bound":
      return (work) => {
        const value = at(work, index, below);
        if (typeof value !== "number") return;
        const held = Math.min(edit.most ?? Infinity, Math.max(edit.least ?? -Infinity, value));
        if (held !== value) put(work, index, below, held);
      };
    case "list":
      return (work) => addToList(work, index, edit.header);
  }
}

function rename(from: Slot, to: Slot): void {
  if (!from.present) return;
  if (!to.present) {
    to.present = true;
    to.text = from.text;
    to.place = from.place;
  }
  drop(from);
}

function drop(slot: Slot): void {
  slot.present = false;
  slot.place = -1;
  slot.text = null;
}

function setter(index: number, value: JsonValue): Step {
  const text = JSON.stringify(value);
  return ({ slots }) => fill(slots[index] as Slot, text);
}

function fill(slot: Slot, text: string): void {
  slot.present = true;
  slot.text = text;
}

function defaulter(index: number, below: readonly string[], value: JsonValue): Step {
  const text = JSON.stringify(value);
  return (work) => {
    if (below.length === 0) {
      if (isNothing(work, index)) fill(work.slots[index] as Slot, text);
      return;
    }
    const found = at(work, index, below);
    if (found === undefined || found === null) put(work, index, below, value);
  };
}

function nested(index: number, below: readonly string[], value: JsonValue | undefined): Step {
  return (work) => {
    if (value === undefined && at(work, index, below) === undefined) return;
    put(work, index, below, value);
  };
}

function addToList(work: Work, index: number, header: string): void {
  const wanted: JsonValue[] = [];
  for (let at = 0; at + 1 < work.headers.length; at += 2) {
    if (work.headers[at] !== header) continue;
    for (const entry of (work.headers[at + 1] as string).split(",")) if (entry.trim() !== "") wanted.push(entry.trim());
  }
  if (wanted.length === 0) return;
  const before = memberOf(work, index);
  const list = Array.isArray(before) ? before : [];
  fill(work.slots[index] as Slot, JSON.stringify([...new Set([...list, ...wanted])]));
}

// ---- values ----------------------------------------------------------------------------------------

function isNothing({ body, scan, slots }: Work, index: number): boolean {
  const slot = slots[index] as Slot;
  if (!slot.present) return true;
  return slot.text === null ? body[scan.starts[slot.place] as number] === 0x6e : slot.text === "null";
}

/** The member's value; undefined when it is not there. */
function memberOf({ body, scan, slots }: Work, index: number): JsonValue | undefined {
  const slot = slots[index] as Slot;
  if (!slot.present) return undefined;
  return parseValue(slot.text ?? body.toString("utf8", scan.starts[slot.place], scan.ends[slot.place]));
}

function at(work: Work, index: number, below: readonly string[]): JsonValue | undefined {
  let value = memberOf(work, index);
  for (const name of below) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Writes a value below a member; undefined takes away what is there. What is no object on the way becomes one. */
function put(work: Work, index: number, below: readonly string[], value: JsonValue | undefined): void {
  const last = below.at(-1);
  if (last === undefined) {
    fill(work.slots[index] as Slot, JSON.stringify(value));
    return;
  }
  const member = memberOf(work, index);
  const root: JsonObject = isObject(member) ? member : {};
  let node = root;
  for (const name of below.slice(0, -1)) {
    const next = Object.hasOwn(node, name) ? node[name] : undefined;
    const child: JsonObject = isObject(next) ? next : {};
    node[name] = child;
    node = child;
  }
  if (value === undefined) delete node[last];
  else node[last] = value;
  fill(work.slots[index] as Slot, JSON.stringify(root));
}

// ---- bytes -----------------------------------------------------------------------------------------

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;

/** A member that goes: from its name's opening quote to the end of its value. */
interface Gap {
  readonly from: number;
  readonly to: number;
}

function written(work: Work, names: readonly string[]): Buffer {
  const { body, scan, slots } = work;
  const edits: Edit[] = [];
  const gaps: Gap[] = [];
  const added: string[] = [];
  const holders = new Map<number, number>();
  for (const [index, slot] of slots.entries()) if (slot.present && slot.place >= 0) holders.set(slot.place, index);
  for (const [place, start] of scan.starts.entries()) {
    if (start < 0) continue;
    const holder = holders.get(place);
    const key = keySpan(body, start);
    if (holder === undefined) gaps.push({ from: key.start, to: scan.ends[place] as number });
    else {
      if (holder !== place) edits.push({ ...key, bytes: Buffer.from(JSON.stringify(names[holder])) });
      const text = (slots[holder] as Slot).text;
      if (text !== null) edits.push({ start, end: scan.ends[place] as number, bytes: Buffer.from(text) });
    }
  }
  for (const [index, slot] of slots.entries()) {
    if (slot.present && slot.place < 0) added.push(`${JSON.stringify(names[index])}:${slot.text ?? "null"}`);
  }
  const emptied = closeGaps(body, gaps, edits);
  edits.sort((one, other) => one.start - other.start);
  if (added.length > 0) {
    const text = added.join(",") + (scan.empty || emptied ? "" : ",");
    edits.unshift({ start: scan.membersAt, end: scan.membersAt, bytes: Buffer.from(text) });
  }
  return applyEdits(body, edits);
}

/** Where the name of the member whose value begins at `value` stands, quotes included. */
function keySpan(body: Buffer, value: number): { readonly start: number; readonly end: number } {
  // Between name and value there are only white space and one colon.
  const close = body.lastIndexOf(QUOTE, value - 1);
  let open = body.lastIndexOf(QUOTE, close - 1);
  while (body[open - 1] === BACKSLASH) open = body.lastIndexOf(QUOTE, open - 1);
  return { start: open, end: close + 1 };
}

const NO_BYTES = Buffer.alloc(0);

/** Takes members out, each with one comma; neighbours go together. True: no member of the object is left. */
function closeGaps(body: Buffer, gaps: Gap[], edits: Edit[]): boolean {
  gaps.sort((one, other) => one.from - other.from);
  let emptied = false;
  for (let at = 0; at < gaps.length; at++) {
    const { from } = gaps[at] as Gap;
    let end = (gaps[at] as Gap).to;
    let next = afterSpace(body, end);
    while (body[next] === COMMA) {
      next = afterSpace(body, next + 1);
      if (gaps[at + 1]?.from !== next) break;
      at += 1;
      end = (gaps[at] as Gap).to;
      next = afterSpace(body, end);
    }
    // With a member behind, the comma before that one goes; else the comma in front, if there is one.
    if (body[next] === QUOTE) edits.push({ start: from, end: next, bytes: NO_BYTES });
    else {
      const before = beforeSpace(body, from);
      emptied = body[before] === OPEN_BRACE;
      edits.push({ start: emptied ? from : before, end, bytes: NO_BYTES });
    }
  }
  return emptied;
}

function afterSpace(body: Buffer, from: number): number {
  let at = from;
  while ((body[at] as number) <= 0x20) at++;
  return at;
}

function beforeSpace(body: Buffer, from: number): number {
  let at = from - 1;
  while ((body[at] as number) <= 0x20) at--;
  return at;
}
