/**
 * One HTTP/1.1 connection to an upstream: a request at a time, its answer told as it comes, then the next. Bytes are
 * read without the streams of Node.js where the socket allows it: those cost as much as everything else here.
 */
import type { Socket } from "node:net";
import type { UpstreamFailureKind } from "../upstream.js";
import { AnswerError } from "./answer-head.js";
import { AnswerReader } from "./answer-reader.js";
import type { Call, Carrier } from "./call.js";
import { inOne, type Letter, postSoon, type Sending, sendLarge } from "./sending.js";

/** Who the connection belongs to. */
export interface ConnectionOwner {
  /** It is free, and can take a call. */
  onFree(connection: Connection): void;
  /** It is gone. */
  onClosed(connection: Connection): void;
  /** It is gone, and this call that it had taken has not left: another may send it. */
  onUnsent(call: Call): void;
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
/** After a longer pause inside an answer, nobody knows how long the upstream has been at rest. */
const MAX_PAUSE_MS = 1_000;

export class Connection implements Carrier, Letter, SocketEvents {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  #call: Call | null;
  #ready = false;
  #closed = false;
  #headTold = false;
  /** It has served a call, so its upstream may end it at any time. */
  #served = false;
  #paused = false;
  #pausedAt = 0;
  /** The answer was paused for so long that the upstream may be gone, and that has not been read yet. */
  #doubtful = false;
  /** The answer is whole, but its reader has asked for a pause. */
  #endDue = false;
  /** How the socket broke while its reader had asked for a pause; null = it did not. */
  #breakDue: string | null = null;
  /** A request that leaves at the end of this turn. */
  #letter: Buffer | null = null;
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
    this.#socket.on("error", (error) => this.#broken(describe(error)));
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("close", () => this.#broken(CLOSED_EARLY));
    this.#socket.on("drain", () => this.#drained());
  }

  /** Sends a call on a free connection. */
  start(call: Call, now: number): void {
    const { request } = call;
    this.#call = call;
    call.carrier = this;
    this.#headTold = false;
    this.#reader.begin(request.bodiless);
    this.#awaitHead(call, now);
    this.#letter = inOne(request.head, request.body);
    if (this.#letter !== null) postSoon(this);
    else if (request.body !== null) this.#sending = sendLarge(this.#socket, request.head, request.body);
  }

  post(): void {
    const letter = this.#letter;
    this.#letter = null;
    if (letter !== null && !this.#closed) this.#socket.write(letter);
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
    if (performance.now() - this.#pausedAt > MAX_PAUSE_MS) this.#doubtful = true;
    this.#expectMore(call);
    if (this.#breakDue !== null && !this.#endDue) {
      this.#tellBreak(this.#breakDue);
      return;
    }
    // Also where the answer is whole: the connection's next call wants to be heard.
    this.#socket.resume();
    if (this.#endDue) this.#finish(call);
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
    if (call === null || this.#endDue || this.#letter !== null) {
      // Nobody has asked: what would be read next is anybody's guess.
      this.#gone("transport", "bytes that nobody has asked for");
      return;
    }
    try {
      this.#reader.read(bytes, length, lent);
    } catch (error) {
      this.#gone("decode", describe(error as Error));
      return;
    }
    try {
      this.#tell(call);
    } catch (error) {
      call.reportFault(error);
      if (this.#call === call) this.#gone("transport", "the answer could not be taken");
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

  #awaitHead({ request }: Call, now: number): void {
    this.#dueAt = request.firstByteMs > 0 ? now + request.firstByteMs : Number.POSITIVE_INFINITY;
  }

  #expectMore({ request }: Call): void {
    this.#dueAt = request.idleMs > 0 ? performance.now() + request.idleMs : Number.POSITIVE_INFINITY;
  }

  #pause(call: Call): void {
    if (this.#call !== call) return;
    this.#paused = true;
    this.#pausedAt = performance.now();
    this.#socket.pause();
  }

  /** The answer is whole. The connection is free before anybody hears of it. */
  #finish(call: Call): void {
    this.#call = null;
    this.#endDue = false;
    this.#served = true;
    const restMs = this.#restMs();
    if (restMs > 0) this.#release(restMs);
    else this.destroy();
    call.end();
  }

  /** Milliseconds for which the connection may rest; 0 = it may serve no other call. */
  #restMs(): number {
    const { head, excess } = this.#reader;
    const sent = this.#letter === null && this.#sending === null && this.#socket.writableLength === 0;
    const lost = this.#closed || this.#breakDue !== null || this.#doubtful;
    if (lost || !sent || excess || head?.keepsAlive !== true) return 0;
    const told = head.keepAliveMs;
    return Number.isNaN(told) ? IDLE_MS : Math.min(told - IDLE_MARGIN_MS, MAX_IDLE_MS);
  }

  #release(restMs: number): void {
    this.#dueAt = performance.now() + restMs;
    this.#owner.onFree(this);
  }

  #drained(): void {
    const call = this.#call;
    if (this.#sending === null || call === null) return;
    // The upstream takes what is sent: it has not been silent.
    if (!this.#headTold) this.#awaitHead(call, performance.now());
    if (this.#sending.goOn()) this.#sending = null;
  }

  /** The upstream says no more. */
  #ended(): void {
    const call = this.#call;
    if (call === null || !this.#reader.close()) this.#gone("transport", CLOSED_EARLY);
    else if (this.#paused) this.#endDue = true;
    else this.#finish(call);
  }

  /** The socket is no more; what it has read before is told first. */
  #broken(message: string): void {
    if (!this.#paused || this.#endDue) this.#gone("transport", message);
    else this.#breakDue ??= message;
  }

  #tellBreak(message: string): void {
    const rest = this.#socket.read() as Buffer | null;
    if (rest !== null) this.onBytes(rest, rest.length, false);
    // Where its reader has asked for another pause, it hears of the break after that.
    if (!this.#paused) this.#gone("transport", message);
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
    // A new connection that is ended at once would be followed by one like it.
    if (this.#letter !== null && this.#served && kind === "transport") this.#owner.onUnsent(call);
    else call.fail(kind, message);
  }
}

const CLOSED_EARLY = "closed before the answer was whole";

/** Says what went wrong without an address: internal hosts are not for callers. */
function describe(error: Error): string {
  if (error instanceof AnswerError) return error.message;
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" ? code : error.name;
}
