/** Requests that name ids of the gateway's making: the bytes with the ids that the upstream knows. */
import { type CarriedId, readCarriedId } from "./carried-id.js";
import { applyEdits, type Edit } from "./json-splice.js";

/** Two searches for rare beginnings cost a fiftieth of one for "wr1", which begins with a common letter. */
const MARKS = [Buffer.from("-wr1"), Buffer.from("_wr1")] as const;
const QUOTE = 0x22;
/** From the quote before an id to its mark: the longest beginning that ids have, and the quote. */
const MAX_BEFORE = 17;
/** Past it, it is no id. */
const MAX_LENGTH = 1_500;

export interface FoundId extends Edit {
  readonly carried: CarriedId;
}

/** Every JSON string that is such an id, in order; the edits put in what the upstream knows. About 20 µs a megabyte. */
export function findCarriedIds(body: Buffer): readonly FoundId[] {
  let found: FoundId[] | null = null;
  for (const mark of MARKS) {
    for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + mark.length)) {
      const id = idAround(body, at);
      if (id === null) continue;
      found ??= [];
      found.push(id);
    }
  }
  return found === null ? NONE : found.sort((one, other) => one.start - other.start);
}

function idAround(body: Buffer, at: number): FoundId | null {
  const before = Math.max(0, at - MAX_BEFORE);
  const start = body.subarray(before, at).lastIndexOf(QUOTE) + before;
  const end = body.subarray(at, at + MAX_LENGTH).indexOf(QUOTE) + at;
  if (start < before || end < at) return null;
  const carried = readCarriedId(body.toString("latin1", start + 1, end));
  return carried === null ? null : { start, end: end + 1, bytes: Buffer.from(JSON.stringify(carried.id)), carried };
}

const NONE: readonly FoundId[] = Object.freeze([]);

/** The body with upstreams' ids in it; `body` itself where there is nothing to restore. */
export function withRestoredIds(body: Buffer, found: readonly FoundId[]): Buffer {
  return found.length === 0 ? body : applyEdits(body, found);
}
