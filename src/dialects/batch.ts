/**
 * Requests that hold a list of inputs, cut into several that hold fewer, and their answers put together again. Works
 * on the bytes: whatever stands around the list goes into every part as it came.
 */
import { type Failure, failure } from "../errors.js";
import { scanTopLevel, skipValue } from "./json-scan.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { JsonText, keyTable } from "./json-text.js";
import { asCount, asObject, parseObject } from "./json-values.js";

/** Where a dialect has its lists. */
export interface BatchForm {
  /** Member of requests that holds the inputs. */
  readonly inputs: string;
  /** Member of answers that holds the outputs, each with its `index`. */
  readonly outputs: string;
  /** Member of requests that says how many outputs an input gets; null = one. */
  readonly outputsPerInput: string | null;
}

/** More calls than this are not made for one request. */
const MAX_PARTS = 2_048;

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;

/** A request's list, cut. */
export class Cut {
  /** Number of parts, at least two. */
  readonly parts: number;
  readonly #body: Buffer;
  readonly #most: number;
  readonly #outputsPerInput: number;
  /** Start of the first input of each part, end of its last. */
  readonly #bounds: readonly number[];

  constructor(body: Buffer, bounds: readonly number[], most: number, outputsPerInput: number) {
    this.#body = body;
    this.#bounds = bounds;
    this.#most = most;
    this.#outputsPerInput = outputsPerInput;
    this.parts = bounds.length / 2;
  }

  /** The request of a part: the whole one with a shorter list. */
  part(index: number): Buffer {
    const bounds = this.#bounds;
    const first = bounds[0] as number;
    const last = bounds[bounds.length - 1] as number;
    return Buffer.concat([
      this.#body.subarray(0, first),
      this.#body.subarray(bounds[2 * index], bounds[2 * index + 1]),
      this.#body.subarray(last),
    ]);
  }

  /** What is added to the indexes of a part's outputs. */
  offset(index: number): number {
    return index * this.#most * this.#outputsPerInput;
  }
}

/**
 * Cuts a request whose list is longer than `most`; null = it is not, or the member is no list of inputs. A list that
 * would take too many calls is refused. `body`: one JSON object, verified.
 */
export function cutBatch(body: Buffer, form: BatchForm, most: number): Cut | Failure | null {
  const wanted = [form.inputs, ...(form.outputsPerInput === null ? [] : [form.outputsPerInput])];
  const scan = scanTopLevel(body, keyTable(wanted));
  const [list = -1, perInput = -1] = scan.starts;
  if (list < 0 || body[list] !== OPEN_BRACKET || !isListOfInputs(scan.json, list)) return null;
  const bounds = boundsOf(scan.json, list, most);
  if (bounds === null) {
    const message = `'${form.inputs}' holds more than the model takes in ${MAX_PARTS} calls; send fewer.`;
    return failure("invalid_request_error", message, form.inputs);
  }
  if (bounds.length <= 2) return null;
  const each = perInput < 0 ? 1 : Number(body.toString("latin1", perInput, scan.ends[1]));
  return new Cut(body, bounds, most, Number.isInteger(each) && each > 0 ? each : 1);
}

/** A list of numbers is one input, given as tokens. */
function isListOfInputs(json: JsonText, list: number): boolean {
  const first = json.code(json.space(list + 1));
  return first === QUOTE || first === OPEN_BRACKET || first === OPEN_BRACE;
}

/** Start and end of every run of `most` elements; null = too many runs. */
function boundsOf(json: JsonText, list: number, most: number): number[] | null {
  const bounds: number[] = [];
  let inRun = 0;
  let at = json.space(list + 1);
  let end = at;
  while (json.code(at) !== CLOSE_BRACKET) {
    if (inRun === 0) {
      if (bounds.length === 2 * MAX_PARTS) return null;
      bounds.push(at);
    }
    end = skipValue(json, at);
    if (end < 0) return [];
    inRun += 1;
    if (inRun === most) {
      bounds.push(end);
      inRun = 0;
    }
    at = json.space(end);
    if (json.code(at) === COMMA) at = json.space(at + 1);
  }
  if (inRun > 0) bounds.push(end);
  return bounds;
}

const USAGE = "usage";
const INDEX = keyTable(["index"]);

/**
 * The answer to the whole request: the first part's, with everybody's outputs in the order of the inputs and the sum
 * of the usage. null: one of the answers has no list where it should.
 */
export function joinAnswers(cut: Cut, answers: readonly Buffer[], form: BatchForm): Buffer | null {
  const keys = keyTable([form.outputs, USAGE]);
  const outputs: Buffer[] = [];
  const usages: (Readonly<Record<string, unknown>> | null)[] = [];
  const edits: Edit[] = [];
  for (const [part, answer] of answers.entries()) {
    const { starts, ends, brokenAt } = scanTopLevel(answer, keys);
    const [list = -1, usage = -1] = starts;
    const [listEnd = -1, usageEnd = -1] = ends;
    if (brokenAt >= 0 || list < 0 || answer[list] !== OPEN_BRACKET) return null;
    const elements = renumbered(answer.subarray(list, listEnd), cut.offset(part));
    if (elements.length > 0) outputs.push(elements);
    usages.push(usage < 0 ? null : parseObject(answer.subarray(usage, usageEnd)));
    if (part > 0) continue;
    edits.push({ start: list + 1, end: listEnd - 1, bytes: NOTHING });
    if (usage >= 0) edits.push({ start: usage, end: usageEnd, bytes: NOTHING });
  }
  const [base] = answers;
  if (base === undefined) return null;
  const bytes = [joined(outputs), Buffer.from(JSON.stringify(summedUsage(usages)))];
  const filled = edits.map((edit, index) => ({ ...edit, bytes: bytes[index] as Buffer }));
  return applyEdits(
    base,
    filled.sort((one, other) => one.start - other.start),
  );
}

const NOTHING = Buffer.alloc(0);
const SEPARATOR = Buffer.from(",");

function joined(pieces: readonly Buffer[]): Buffer {
  return Buffer.concat(pieces.flatMap((piece, index) => (index === 0 ? [piece] : [SEPARATOR, piece])));
}

/** What stands between the brackets, every element's `index` raised by `offset`. */
function renumbered(list: Buffer, offset: number): Buffer {
  const edits: Edit[] = [];
  const json = new JsonText(list);
  let at = json.space(1);
  while (at < list.length - 1) {
    const end = skipValue(json, at);
    if (end < 0) break;
    const [index = -1] = scanTopLevel(list.subarray(at, end), INDEX).starts;
    if (index >= 0) edits.push(raised(json, at + index, offset));
    at = json.space(end);
    if (json.code(at) === COMMA) at = json.space(at + 1);
  }
  const whole = offset === 0 ? list : applyEdits(list, edits);
  const from = new JsonText(whole).space(1);
  return whole.subarray(from, Math.max(from, whole.length - 1));
}

function raised(json: JsonText, start: number, offset: number): Edit {
  const end = skipValue(json, start);
  const index = Number(json.slice(start, end));
  return { start, end, bytes: Buffer.from(String(Number.isInteger(index) ? index + offset : offset)) };
}

type Usage = Readonly<Record<string, unknown>>;

/** Every count is the sum of all parts'; null where a part has not said its own. */
export function summedUsage(usages: readonly (Usage | null)[]): Usage | null {
  const [first, ...others] = usages;
  if (first === undefined || first === null) return null;
  return others.reduce<Usage | null>(
    (sum, usage) => (sum === null || usage === null ? null : added(sum, usage)),
    first,
  );
}

function added(one: Usage, other: Usage): Usage {
  const sum: Record<string, unknown> = { ...one };
  for (const [name, value] of Object.entries(other)) {
    const before = sum[name];
    const [inner, innerBefore] = [asObject(value), asObject(before)];
    if (asCount(value) >= 0) sum[name] = Math.max(0, asCount(before)) + asCount(value);
    else if (inner !== null) sum[name] = innerBefore === null ? inner : added(innerBefore, inner);
  }
  return sum;
}
