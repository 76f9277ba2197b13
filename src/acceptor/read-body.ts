/** Reads a request body within a limit. Its memory grows with what has come: eight times as much at the most. */
import type { HttpResponse } from "uWebSockets.js";

const FIRST_BYTES = 65_536;
/** How many times what has come an announced length is believed. */
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
 * The same buffer if it is large enough, else a larger one: of the announced length once an eighth of that has
 * come (every buffer that is outgrown is garbage for the collector), before that of twice the size.
 */
function withRoom(buffer: Buffer | null, used: number, needed: number, limits: BodyLimits): Buffer {
  if (buffer !== null && buffer.length >= needed) return buffer;
  if (limits.announced >= needed && limits.announced <= needed * TRUST) return grown(buffer, used, limits.announced);
  const ceiling = limits.announced >= needed ? Math.min(limits.announced, limits.maxBytes) : limits.maxBytes;
  const size = Math.min(Math.max(needed, (buffer?.length ?? 0) * 2, FIRST_BYTES), Math.max(ceiling, needed));
  return grown(buffer, used, size);
}

function grown(buffer: Buffer | null, used: number, size: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(size);
  buffer?.copy(larger, 0, 0, used);
  return larger;
}
