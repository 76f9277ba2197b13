/** Replacing parts of a body in its bytes: everything else stays as it was sent. */
import type { Span } from "./dialect.js";

/** A replacement of the bytes [start, end); start = end puts bytes in. */
export interface Edit extends Span {
  readonly bytes: Buffer;
}

/** A new buffer with the edits applied; they are ordered by position and do not overlap. */
export function applyEdits(body: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return body;
  let length = body.length;
  for (const edit of edits) length += edit.bytes.length - (edit.end - edit.start);
  const out = Buffer.allocUnsafe(length);
  let from = 0;
  let to = 0;
  for (const edit of edits) {
    to += body.copy(out, to, from, edit.start);
    to += edit.bytes.copy(out, to);
    from = edit.end;
  }
  body.copy(out, to, from);
  return out;
}
