/** The body of a request on its way: small ones with their head in one write, large ones as the connection takes them. */
import type { Socket } from "node:net";
import { LARGE_BODY_BYTES, lengthOfBody } from "../../dialects/body-pieces.js";

/** Up to this many bytes, a copy is cheaper than a second write. */
const ONE_WRITE_BYTES = 65_536;

/** Writes `head` (latin1) and the body. Returns null when all of it has been handed over, else what goes on with it. */
export function sendRequest(socket: Socket, head: string, body: Buffer | readonly Buffer[] | null): Sending | null {
  if (body === null) {
    socket.write(head, "latin1");
    return null;
  }
  const pieces = Buffer.isBuffer(body) ? [body] : body;
  const bytes = lengthOfBody(body);
  if (bytes <= ONE_WRITE_BYTES) {
    socket.write(inOne(head, pieces, bytes));
    return null;
  }
  socket.write(head, "latin1");
  const sending = new Sending(socket, pieces);
  return sending.goOn() ? null : sending;
}

function inOne(head: string, pieces: readonly Buffer[], bytes: number): Buffer {
  const out = Buffer.allocUnsafe(head.length + bytes);
  let at = out.write(head, 0, "latin1");
  for (const piece of pieces) at += piece.copy(out, at);
  return out;
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
