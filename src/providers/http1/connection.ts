/**
 * One HTTP/1.1 connection to an upstream: a request at a time, its answer told as it comes, then the next. Bytes are
 * read without the streams of Node.js where the socket allows it: those cost as much as everything else here.
 */
import type { Socket } from "node:net";
import type { UpstreamFailureKind } from "../upstream.js";
import { AnswerError } from "./answer-head.js";
import { AnswerReader } from "./answer-reader.js";
import type { Call, Carrier } from "./call.js";
import { type Sending, sendRequest } from "./sending.js";

/** Who the connection belongs to. */
export interface ConnectionOwner {
  /** It is free, and can take a call. */
  onFree(connection: Connection): void;
  /** It is gone. */
  onClosed(connection: Connection): void;
}

/** What opens a socket: bytes that come go to `onBytes`, which says whether more may come. */
export type OpenSocket = (events: SocketEvents) => Socket;

export interface SocketEvents {
  onReady(): void;
  /** `lent`: the bytes are overwritten by the next read. */
  onBytes(bytes: Buffer, length: number, lent: boolean): void;
}

/** How long a connection is kept at rest, milliseconds, where the upstream does not say. */
const IDLE_MS = 4_000;
/** It is given up so long before the upstream would, or a request could meet its end. */
const IDLE_MARGIN_MS = 2_000;
const MAX_IDLE_MS = 600_000;

export class Connection implements Carrier, SocketEvents {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  #call: Call | null;
  #ready = false;
  #closed = false;
  #headTold = false;
  #paused = false;
  /** The answer is whole, but its reader has asked for a pause. */
  #endDue = false;
  #sending: Sending | null = null;
  /** When the upstream's patience or ours is over: of connecting, of the head, of silence, of rest. */
  #dueAt: number;

  /** Opens a connection for its first call; `connectMs` bounds that, milliseconds. */
  constructor(owner: ConnectionOwner, open: OpenSocket, call: Call, connectMs: number) {
    this.#owner = owner;
    this.#call = call;
    call.carrier = this;
    this.#dueAt = performance.now() + connectMs;
    this.#socket = open(this);
    this.#socket.on("error", (error) => this.#gone("transport", describe(error)));
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("close", () => this.#gone("transport", CLOSED_EARLY));
    this.#socket.on("drain", () => this.#drained());
  }

  /** Sends a call on a free connection. */
  start(call: Call, now: number): void {
    const { request } = call;
    this.#call = call;
    call.carrier = this;
    this.#headTold = false;
    this.#reader.begin(request.bodiless);
    this.#dueAt = request.firstByteMs > 0 ? now + request.firstByteMs : Number.POSITIVE_INFINITY;
    this.#sending = sendRequest(this.#socket, request.head, request.body);
  }

  /** May it take a call now? One that the upstream may be about to close may not. */
  isUsable(now: number): boolean {
    return !this.#closed && now < this.#dueAt;
  }

  /** Looks at the clock. */
  tick(now: number): void {
    if (now < this.#dueAt || this.#paused) return;
    if (this.#call === null) this.destroy();
    else this.#gone("timeout", !this.#ready ? "connecting" : this.#headTold ? "silent" : "no answer yet");
  }

  destroy(): void {
    this.#gone("aborted", "closed");
  }

  drop(call: Call): void {
    if (this.#call !== call) return;
    this.#call = null;
    // A connection that is not open yet serves the next one.
    if (this.#ready) this.destroy();
  }

  resume(call: Call): void {
    if (this.#call !== call || !this.#paused) return;
    this.#paused = false;
    this.#expectMore(call);
    if (this.#endDue) this.#finish(call);
    else this.#socket.resume();
  }

  onReady(): void {
    if (this.#closed) return;
    this.#ready = true;
    const call = this.#call;
    if (call === null) this.#release(IDLE_MS);
    else this.start(call, performance.now());
  }

  onBytes(bytes: Buffer, length: number, lent: boolean): void {
    const call = this.#call;
    if (this.#closed) return;
    if (call === null || this.#endDue) {
      // Nobody has asked: what would be read next is anybody's guess.
      this.destroy();
      return;
    }
    try {
      this.#reader.read(bytes, length, lent);
      this.#tell(call);
    } catch (error) {
      this.#gone(error instanceof AnswerError ? "decode" : "transport", describe(error as Error));
    }
  }

  #tell(call: Call): void {
    const { head, body, done } = this.#reader;
    if (head === null) return;
    if (!this.#headTold) {
      this.#headTold = true;
      call.handler.onHead(head.status, head.headers);
      if (this.#call !== call) return;
    }
    if (body !== null && !call.handler.onData(body)) this.#pause(call);
    if (this.#call !== call) return;
    if (!done) this.#expectMore(call);
    else if (this.#paused) this.#endDue = true;
    else this.#finish(call);
  }

  #expectMore({ request }: Call): void {
    this.#dueAt = request.idleMs > 0 ? performance.now() + request.idleMs : Number.POSITIVE_INFINITY;
  }

  #pause(call: Call): void {
    if (this.#call !== call) return;
    this.#paused = true;
    this.#socket.pause();
  }

  /** The answer is whole. The connection is free before anybody hears of it. */
  #finish(call: Call): void {
    this.#call = null;
    this.#endDue = false;
    const restMs = this.#restMs();
    if (restMs > 0) this.#release(restMs);
    else this.destroy();
    call.end();
  }

  /** Milliseconds for which the connection may rest; 0 = it may serve no other call. */
  #restMs(): number {
    const { head, excess } = this.#reader;
    const sent = this.#sending === null && this.#socket.writableLength === 0;
    if (this.#closed || !sent || excess || head?.keepsAlive !== true) return 0;
    const told = head.keepAliveMs;
    return Number.isNaN(told) ? IDLE_MS : Math.min(told - IDLE_MARGIN_MS, MAX_IDLE_MS);
  }

  #release(restMs: number): void {
    this.#dueAt = performance.now() + restMs;
    this.#owner.onFree(this);
  }

  #drained(): void {
    if (this.#sending?.goOn() === true) this.#sending = null;
  }

  /** The upstream says no more. */
  #ended(): void {
    const call = this.#call;
    if (call !== null && this.#reader.close()) this.#finish(call);
    else this.#gone("transport", CLOSED_EARLY);
  }

  #gone(kind: UpstreamFailureKind, message: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    this.#owner.onClosed(this);
    const call = this.#call;
    // A whole answer stays one; it is told when its reader goes on.
    if (call === null || this.#endDue) return;
    this.#call = null;
    call.fail(kind, message);
  }
}

const CLOSED_EARLY = "closed before the answer was whole";

/** Says what went wrong without an address: internal hosts are not for callers. */
function describe(error: Error): string {
  if (error instanceof AnswerError) return error.message;
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" ? code : error.name;
}
