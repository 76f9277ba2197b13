/**
 * Answers whose ids become the gateway's own. Only the ids change; what no rule names stays as it came, to the byte.
 */
import { type CarriedId, carryId } from "./carried-id.js";
import { scanTopLevel, skipValue } from "./json-scan.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { decodeString, JsonText, type KeyTable, keyTable } from "./json-text.js";
import { LINE, lastEventEnd, nextEventEnd, sseDataBytes } from "./sse.js";

/** Whose ids they are. */
export interface Origin extends Pick<CarriedId, "providerKey" | "model"> {
  /** Ids that the caller knows already, by their upstream's. */
  readonly known?: ReadonlyMap<string, string> | null;
}

function carriedBy({ providerKey, model, known }: Origin, id: string): string {
  return known?.get(id) ?? carryId({ providerKey, model, id });
}

const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;

/** Members of a thing that hold ids, lists of them included. */
const THING = keyTable([
  "id",
  "first_id",
  "last_id",
  "input_file_id",
  "output_file_id",
  "error_file_id",
  "training_file",
  "validation_file",
  "result_files",
  "fine_tuning_job_id",
]);
const LISTED = keyTable(["data"]);
const RESPONSE = keyTable(["id", "previous_response_id"]);
const EVENT = keyTable(["response"]);

/** A file, a job, or a list of them. Bytes that are no JSON object stay as they are. */
export function carryThings(body: Buffer, origin: Origin): Buffer {
  const edits = editsOf(body, 0, THING, origin);
  if (edits === null) return body;
  const list = scanTopLevel(body, LISTED);
  const start = list.starts[0] ?? -1;
  if (body[start] === OPEN_BRACKET) edits.push(...editsOfElements(body, start, origin));
  edits.sort((one, other) => one.start - other.start);
  return applyEdits(body, edits);
}

/** A response. */
export function carryResponse(body: Buffer, origin: Origin): Buffer {
  const edits = editsOf(body, 0, RESPONSE, origin);
  if (edits === null) return body;
  edits.sort((one, other) => one.start - other.start);
  return applyEdits(body, edits);
}

/** null: the bytes are no JSON object. `offset`: where they stand in the whole. */
function editsOf(bytes: Buffer, offset: number, keys: KeyTable, origin: Origin): Edit[] | null {
  const scan = scanTopLevel(bytes, keys);
  if (scan.brokenAt >= 0) return null;
  const edits: Edit[] = [];
  for (const [index, start] of scan.starts.entries()) {
    if (start < 0) continue;
    const end = scan.ends[index] as number;
    if (bytes[start] === QUOTE) addEdit(edits, bytes, { start, end, offset }, origin);
    else if (bytes[start] === OPEN_BRACKET) {
      for (const [from, to] of elements(bytes, start)) {
        if (bytes[from] === QUOTE) addEdit(edits, bytes, { start: from, end: to, offset }, origin);
      }
    }
  }
  return edits;
}

function editsOfElements(body: Buffer, start: number, origin: Origin): Edit[] {
  const edits: Edit[] = [];
  for (const [from, to] of elements(body, start)) {
    if (body[from] === OPEN_BRACE) edits.push(...(editsOf(body.subarray(from, to), from, THING, origin) ?? []));
  }
  return edits;
}

/** The elements of an array whose structure has been verified. */
function* elements(bytes: Buffer, start: number): Generator<readonly [from: number, to: number]> {
  const json = new JsonText(bytes);
  let at = json.space(start + 1);
  while (json.code(at) !== CLOSE_BRACKET) {
    const end = skipValue(json, at);
    if (end < 0) return;
    yield [at, end];
    at = json.space(end);
    if (json.code(at) !== COMMA) return;
    at = json.space(at + 1);
  }
}

interface Place {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
}

function addEdit(edits: Edit[], bytes: Buffer, { start, end, offset }: Place, origin: Origin): void {
  const id = decodeString(bytes, start, end);
  if (id === null || id === "") return;
  const carried = carriedBy(origin, id);
  if (carried === id) return;
  edits.push({ start: start + offset, end: end + offset, bytes: Buffer.from(JSON.stringify(carried)) });
}

/** Holds an answer until it is whole, then changes it. Throws RangeError for one that is too long. */
export class CarriedWhole {
  readonly contentType: string;
  readonly #change: (body: Buffer) => Buffer;
  readonly #maxBytes: number;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(contentType: string, change: (body: Buffer) => Buffer, maxBytes: number) {
    this.contentType = contentType;
    this.#change = change;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): null {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) throw new RangeError("the answer is too long for its ids to be changed");
    this.#pieces.push(chunk);
    return null;
  }

  end(): Buffer | null {
    return this.#bytes === 0 ? null : this.#change(Buffer.concat(this.#pieces));
  }
}

/** How far into a stream its first event may reach; behind it the stream goes on as it is. */
const MAX_FIRST_EVENT = 1_048_576;

/**
 * A stream of a response's events. Its first event names the response; from there on that name, as a whole JSON
 * string, is replaced wherever it stands. A string inside a string has its quotes escaped, so no text is touched.
 */
export class CarriedStream {
  readonly contentType: string;
  readonly #origin: Origin;
  /** What is looked for, quotes included, and what takes its place; null = not known yet. */
  #names: readonly Renaming[] | null = null;
  #held: Buffer | null = null;
  #given = false;

  constructor(contentType: string, origin: Origin) {
    this.contentType = contentType;
    this.#origin = origin;
  }

  push(chunk: Buffer): Buffer | null {
    if (this.#given) return chunk;
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    if (this.#names === null && !this.#learn(bytes)) {
      this.#held = bytes;
      return null;
    }
    return this.#names === null ? bytes : this.#replace(bytes, this.#names);
  }

  end(): Buffer | null {
    const held = this.#held;
    this.#held = null;
    return held;
  }

  /** False: no event with data is whole yet. */
  #learn(bytes: Buffer): boolean {
    const data = firstData(bytes);
    if (data === null) {
      this.#given = bytes.length > MAX_FIRST_EVENT;
      return this.#given;
    }
    const id = idOf(data);
    const ids = [...(id === null ? [] : [id]), ...(this.#origin.known?.keys() ?? [])];
    this.#names = ids.flatMap((name) => {
      const carried = carriedBy(this.#origin, name);
      if (carried === name) return [];
      return [{ needle: Buffer.from(JSON.stringify(name)), bytes: Buffer.from(JSON.stringify(carried)) }];
    });
    this.#given = this.#names.length === 0;
    return true;
  }

  #replace(bytes: Buffer, names: readonly Renaming[]): Buffer | null {
    const edits: Edit[] = [];
    for (const { needle, bytes: replacement } of names) {
      for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + needle.length)) {
        edits.push({ start: at, end: at + needle.length, bytes: replacement });
      }
    }
    edits.sort((one, other) => one.start - other.start);
    const from = edits.at(-1)?.end ?? 0;
    const kept = Math.max(...names.map(({ needle }) => beginningAtEnd(bytes, from, needle)));
    const whole = kept === 0 ? bytes : bytes.subarray(0, bytes.length - kept);
    if (kept > 0) this.#held = Buffer.from(bytes.subarray(bytes.length - kept));
    return whole.length === 0 ? null : applyEdits(whole, edits);
  }
}

interface Renaming {
  readonly needle: Buffer;
  readonly bytes: Buffer;
}

/** How many bytes at the end may be the beginning of the needle. */
function beginningAtEnd(bytes: Buffer, from: number, needle: Buffer): number {
  for (let at = Math.max(from, bytes.length - needle.length + 1); at < bytes.length; at++) {
    if (bytes[at] !== QUOTE) continue;
    const length = bytes.length - at;
    if (bytes.compare(needle, 0, length, at, bytes.length) === 0) return length;
  }
  return 0;
}

/** The data of the first whole event that has any; null = there is none yet. */
function firstData(bytes: Buffer): Buffer | null {
  const whole = lastEventEnd(bytes, 0, bytes.length, LINE.START);
  for (let at = 0; at < whole; ) {
    const end = nextEventEnd(bytes, at, LINE.START);
    const data = sseDataBytes(bytes.subarray(at, end));
    if (data.length > 0) return data;
    at = end;
  }
  return null;
}

function idOf(data: Buffer): string | null {
  const event = scanTopLevel(data, EVENT);
  const start = event.starts[0] ?? -1;
  if (event.brokenAt >= 0 || data[start] !== OPEN_BRACE) return null;
  const response = data.subarray(start, event.ends[0]);
  const scan = scanTopLevel(response, RESPONSE);
  const at = scan.starts[0] ?? -1;
  return at < 0 ? null : decodeString(response, at, scan.ends[0] as number);
}
