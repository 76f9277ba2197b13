/** A request on its way: small ones in one write at the end of the turn, large ones as the connection takes them. */
import type { Socket } from "node:net";
import type { RequestHead } from "./request-head.js";
import { LARGE_BODY_BYTES, lengthOfBody } from "../../dialects/body-pieces.js";

/** Up to this many bytes, a copy is cheaper than a second write. */
const ONE_WRITE_BYTES = 65_536;
/** No request waits for more than so many others of its turn. */
const MOST_OF_A_TURN = 32;

/** Something to be written. */
export interface Letter {
  post(): void;
}

let letters: Letter[] = [];

/**
 * Writes at the end of this turn of the event loop, with all others of this thread. An upstream that has gone to sleep
 * is woken by the first of them and finds the others there: waking it for each costs as much as the write itself.
 */
export function postSoon(letter: Letter): void {
  if (letters.push(letter) === 1) setImmediate(postAll);
  else if (letters.length >= MOST_OF_A_TURN) postAll();
}

function postAll(): void {
  const posted = letters;
  letters = [];
  for (const letter of posted) letter.post();
}

/** The head and the body as one piece of memory; null where that would be a large copy. */
export function inOne({ fields, end }: RequestHead, body: Buffer | readonly Buffer[] | null): Buffer | null {
  const bytes = body === null ? 0 : lengthOfBody(body);
  if (bytes > ONE_WRITE_BYTES) return null;
  const out = Buffer.allocUnsafe(fields.length + end.length + bytes);
  out.set(fields);
  let at = fields.length + out.write(end, fields.length, "latin1");
  if (body === null) return out;
  for (const piece of piecesOf(body)) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

function piecesOf(body: Buffer | readonly Buffer[]): readonly Buffer[] {
  return Buffer.isBuffer(body) ? [body] : body;
}

/** Writes the head and begins with a large body. Returns null when all has been handed over, else what goes on with it. */
export function sendLarge(socket: Socket, head: RequestHead, body: Buffer | readonly Buffer[]): Sending | null {
  socket.write(head.fields);
  socket.write(head.end, "latin1");
  const sending = new Sending(socket, piecesOf(body));
  return sending.goOn() ? null : sending;
}

/** Keeps no more in the socket's own memory than the connection is about to take. */
export class Sending {
  readonly #socket: Socket;
  readonly #pieces: readonly Buffer[];
  #piece = 0;
  #offset = 0;

  constructor(socket: Socket, pieces: readonly Buffer[]) {
    this.#socket = socket;
    this.#pieces = pieces;
  }

  /** To be called again when the socket has drained. True: everything has been handed over. */
  goOn(): boolean {
    for (; this.#piece < this.#pieces.length; this.#piece += 1, this.#offset = 0) {
      const piece = this.#pieces[this.#piece] as Buffer;
      while (this.#offset < piece.length) {
        const part = piece.subarray(this.#offset, this.#offset + LARGE_BODY_BYTES);
        this.#offset += part.length;
        if (!this.#socket.write(part)) return this.#isOver();
      }
    }
    return true;
  }

  /** The last write may be waiting, but there is no more to hand over. */
  #isOver(): boolean {
    const last = this.#pieces.length - 1;
    return this.#piece === last && this.#offset >= (this.#pieces[last] as Buffer).length;
  }
}
