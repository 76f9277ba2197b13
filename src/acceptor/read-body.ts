/** Reads a request body within a limit. Its memory grows with what has come: eight times as much at the most. */
import type { HttpResponse } from "uWebSockets.js";

const FIRST_BYTES = 65_536;
/** A body of which more has come is large, even where nobody has said how long it will be. */
const LARGE_BYTES = 1_048_576;
/** How many times what has come is set aside for a body that is announced, or large. */
const TRUST = 8;

export interface BodyLimits {
  /** Bytes; a longer body is refused, however it is framed. */
  readonly maxBytes: number;
  /** From `content-length`; -1 = not announced. */
  readonly announced: number;
  /** Asked for every growth, in bytes; false = the node has no memory left for bodies. */
  take(bytes: number): boolean;
}

export type BodyProblem = "too-large" | "no-memory";

/** Calls `done` exactly once, unless the client goes away first. */
export function readBody(response: HttpResponse, limits: BodyLimits, done: (body: Buffer | BodyProblem) => void): void {
  let buffer: Buffer | null = null;
  let length = 0;
  let finished = false;
  const finish = (result: Buffer | BodyProblem) => {
    finished = true;
    buffer = null;
    done(result);
  };
  response.onData((piece, isLast) => {
    if (finished) return;
    const chunk = Buffer.from(piece);
    const needed = length + chunk.length;
    const problem = needed > limits.maxBytes ? "too-large" : limits.take(chunk.length) ? null : "no-memory";
    if (problem !== null || (buffer === null && isLast)) {
      finish(problem ?? Buffer.from(chunk));
      return;
    }
    buffer = withRoom(buffer, length, needed, limits);
    chunk.copy(buffer, length);
    length = needed;
    if (isLast) finish(buffer.subarray(0, length));
  });
}

/**
 * The same buffer if it is large enough, else a larger one. A buffer that is outgrown is garbage, which for a large
 * body would soon be as much as the body, so there are few of them: once an eighth of the most that can come is there,
 * all of it is set aside. What lies beyond the bytes that have come costs address space, and no memory yet.
 */
function withRoom(buffer: Buffer | null, used: number, needed: number, limits: BodyLimits): Buffer {
  if (buffer !== null && buffer.length >= needed) return buffer;
  const isKnown = limits.announced >= needed;
  const most = isKnown ? Math.min(limits.announced, limits.maxBytes) : limits.maxBytes;
  let wanted = (buffer?.length ?? 0) * 2;
  if (isKnown || needed > LARGE_BYTES) {
    wanted = needed * TRUST >= most ? most : Math.min(needed * TRUST, Math.ceil(most / TRUST));
  }
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(Math.max(wanted, FIRST_BYTES), most)));
  buffer?.copy(larger, 0, 0, used);
  return larger;
}
