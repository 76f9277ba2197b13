/**
 * Conversations that the gateway keeps for providers that keep none: how its ids look, and what a follow-up becomes.
 * All on bytes: a conversation may be long.
 */
import { type Failure, failure } from "../errors.js";
import { scanTopLevel } from "./json-scan.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { JsonText, keyTable } from "./json-text.js";
import { asArray, asObject, asText, parseJson, scannedText, scannedValue } from "./json-values.js";
import { isKeptId, KEPT_MARK as MARK } from "./kept-id.js";
import { finalResponse } from "./openai-responses/final-response.js";

const REQUEST = keyTable(["previous_response_id", "input", "store"]);
const [PREVIOUS, INPUT, STORE] = [0, 1, 2] as const;
const ANSWER = keyTable(["id", "output"]);
const [ID, OUTPUT] = [0, 1] as const;
const EMPTY_LIST = Buffer.from("[]");
const NULL = Buffer.from("null");
const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;

/** What a request says of keeping. */
export interface KeepingRequest {
  /** The kept answer that it goes on from; "" = none, or one that somebody else keeps. */
  readonly previous: string;
  /** The answer shall not be kept. */
  readonly declined: boolean;
  /** It says `"store": true`. */
  readonly demanded: boolean;
}

export function readKeeping(body: Buffer): KeepingRequest {
  const scan = scanTopLevel(body, REQUEST);
  const previous = scannedText(scan, PREVIOUS);
  const store = scannedValue(scan, STORE)?.toString("latin1") ?? "";
  return { previous: isKeptId(previous) ? previous : "", declined: store === "false", demanded: store === "true" };
}

/** The same request with the kept conversation before its own input, and without the id. */
export function withHistory(body: Buffer, { input, answer }: { input: Buffer; answer: Buffer }): Buffer | Failure {
  const scan = scanTopLevel(body, REQUEST);
  const own = inputItems(body);
  if (scan.brokenAt >= 0 || own === null) {
    return failure("invalid_request_error", '"input" must be a string or an array.', "input");
  }
  const all = joinedLists([input, outputItems(answer), own]);
  const span = (index: number) => ({ start: scan.starts[index] ?? -1, end: scan.ends[index] ?? -1 });
  const edits: Edit[] = [{ ...span(PREVIOUS), bytes: NULL }];
  if (span(INPUT).start >= 0) edits.push({ ...span(INPUT), bytes: all });
  else {
    const at = scan.membersAt;
    edits.push({ start: at, end: at, bytes: Buffer.concat([Buffer.from('"input":'), all, Buffer.from(",")]) });
  }
  return applyEdits(
    body,
    edits.sort((one, other) => one.start - other.start),
  );
}

/** The same request without its demand to be kept, which is not its provider's matter. */
export function withoutStore(body: Buffer): Buffer {
  const scan = scanTopLevel(body, REQUEST);
  const start = scan.starts[STORE] ?? -1;
  return start < 0 ? body : applyEdits(body, [{ start, end: scan.ends[STORE] ?? start, bytes: NULL }]);
}

/** A request's input as a JSON array of items; null where it is neither text nor a list. */
export function inputItems(body: Buffer): Buffer | null {
  const value = scannedValue(scanTopLevel(body, REQUEST), INPUT);
  if (value === null || value.equals(NULL)) return EMPTY_LIST;
  if (value[0] === OPEN_BRACKET) return value;
  if (value[0] !== QUOTE) return null;
  return Buffer.concat([Buffer.from('[{"type":"message","role":"user","content":'), value, Buffer.from("}]")]);
}

/** An answer that bears one of the gateway's own ids. */
export interface KeepableAnswer {
  readonly id: string;
  readonly body: Buffer;
}

/** The answer in the last bytes of what a caller gets; null: there is none that the gateway keeps. */
export function keepableAnswer(last: Buffer, streamed: boolean): KeepableAnswer | null {
  if (!last.includes(MARK)) return null;
  const body = streamed ? finalResponse(last) : last;
  if (body === null) return null;
  const id = scannedText(scanTopLevel(body, ANSWER), ID);
  return isKeptId(id) ? { id, body } : null;
}

function outputItems(answer: Buffer): Buffer {
  return scannedValue(scanTopLevel(answer, ANSWER), OUTPUT) ?? EMPTY_LIST;
}

/** JSON arrays made one. */
function joinedLists(lists: readonly Buffer[]): Buffer {
  const pieces: Buffer[] = [];
  for (const list of lists) {
    const start = new JsonText(list).space(1);
    if (start >= list.length - 1) continue;
    pieces.push(Buffer.from(pieces.length === 0 ? "[" : ","), list.subarray(start, -1));
  }
  return pieces.length === 0 ? EMPTY_LIST : Buffer.concat([...pieces, Buffer.from("]")]);
}

// ---- by id -------------------------------------------------------------------------------------------

export function deletedAnswer(id: string): string {
  return JSON.stringify({ id, object: "response", deleted: true });
}

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;

/** A page of the items that led to an answer, the last first unless the query says otherwise. */
export function inputItemsPage(id: string, input: Buffer, query: string): string | Failure {
  const asked = new URLSearchParams(query);
  const limit = Number(asked.get("limit") ?? DEFAULT_LIMIT);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    return failure("invalid_request_error", `"limit" must be between 1 and ${MAX_LIMIT}.`, "limit");
  }
  const items = asArray(parseJson(input)).map((item, index) => listedItem(item, `${id.slice(MARK.length)}_${index}`));
  if (asked.get("order") !== "asc") items.reverse();
  const after = asked.get("after");
  const from = after === null ? 0 : items.findIndex((item) => item.id === after) + 1;
  const data = items.slice(from, from + limit);
  const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return JSON.stringify({ object: "list", data, ...ends, has_more: from + limit < items.length });
}

/** An item as lists show it: with a type and an id, and text as a part. */
function listedItem(value: unknown, name: string): Record<string, unknown> & { readonly id: string } {
  const item = asObject(value) ?? {};
  const type = asText(item.type) || "message";
  const { content } = item;
  const parts = typeof content === "string" ? { content: [partOf(item.role, content)] } : {};
  return { ...item, ...parts, type, id: asText(item.id) || `${type === "message" ? "msg" : "item"}_${name}` };
}

function partOf(role: unknown, text: string): Record<string, unknown> {
  return role === "assistant" ? { type: "output_text", text, annotations: [] } : { type: "input_text", text };
}
