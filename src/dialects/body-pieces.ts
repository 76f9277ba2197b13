/** Large bodies with a few changes, without a copy: the bytes as they came and the new ones between them. */
import type { Edit } from "./json-splice.js";

/** What is handed to a connection at once; whatever lies below it in memory is no larger. */
const PIECE_BYTES = 262_144;

/** A body from this size on is worth more than one write. */
export const LARGE_BODY_BYTES = PIECE_BYTES;

/** The edited body in pieces that share its memory. The edits are ordered by position and do not overlap. */
export function editedPieces(body: Buffer, edits: readonly Edit[]): readonly Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const edit of edits) {
    cut(body, from, edit.start, pieces);
    if (edit.bytes.length > 0) pieces.push(edit.bytes);
    from = edit.end;
  }
  cut(body, from, body.length, pieces);
  return pieces;
}

function cut(body: Buffer, from: number, to: number, pieces: Buffer[]): void {
  for (let at = from; at < to; at += PIECE_BYTES) pieces.push(body.subarray(at, Math.min(to, at + PIECE_BYTES)));
}

/** Length of a body that is whole or in pieces. */
export function lengthOfBody(body: Buffer | readonly Buffer[]): number {
  return Buffer.isBuffer(body) ? body.length : body.reduce((sum, piece) => sum + piece.length, 0);
}

/** The body in one piece. */
export function wholeBody(body: Buffer | readonly Buffer[]): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.concat(body as Buffer[]);
}
