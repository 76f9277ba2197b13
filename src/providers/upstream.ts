/**
 * The connections to upstreams: one pool an origin, owned by one acceptor thread.
 *
 * undici's raw handler interface (status and headers as they came, `false` from onData pauses the socket)
 * is used because it costs no promise, no stream and no header object a request.
 */
import { type Dispatcher, errors, Pool } from "undici";
import { lengthOfBody } from "../dialects/body-pieces.js";

export interface UpstreamRequest {
  /** "https://host:port" */
  readonly origin: string;
  readonly path: string;
  /** In capitals; "POST" where it is not said. */
  readonly method?: string;
  /** Flat list of names and values. */
  readonly headers: readonly string[];
  /** A list is sent piece by piece, as fast as the connection takes them. */
  readonly body: Buffer | readonly Buffer[];
  /** Milliseconds until the answer's head must have come; 0 = none. */
  readonly firstByteMs: number;
  /** Longest silence inside the answer's body, milliseconds; 0 = none. */
  readonly idleMs: number;
  readonly tls: UpstreamTls | null;
}

export interface UpstreamTls {
  /** PEM text of the trusted roots, null = the system's. */
  readonly caCert: string | null;
  readonly verify: boolean;
}

/** How an attempt failed below HTTP. */
export type UpstreamFailureKind = "transport" | "timeout" | "decode" | "aborted";

/** What the caller of an upstream implements; calls come in this order and never after onEnd or onFailure. */
export interface UpstreamHandler {
  /** `rawHeaders` alternates names and values. */
  onHead(status: number, rawHeaders: readonly Buffer[]): void;
  /** Return false to pause; `call.resume()` goes on. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onFailure(kind: UpstreamFailureKind, message: string): void;
}

/** One request under way. */
export interface UpstreamCall {
  /** Gives the request up; the handler hears nothing more. */
  abort(): void;
  resume(): void;
}

export interface UpstreamOptions {
  readonly connectMs: number;
  /** Connections to one origin; requests past it wait in the pool's queue. */
  readonly connectionsPerOrigin: number;
}

const IDLE_POOL_MS = 600_000;

interface PoolEntry {
  readonly pool: Pool;
  lastUsed: number;
}

/** All upstream pools of one acceptor. */
export class Upstreams {
  readonly #options: UpstreamOptions;
  readonly #pools = new Map<string, PoolEntry>();

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** Sends one request; never throws: failures reach the handler. */
  send(request: UpstreamRequest, handler: UpstreamHandler, now: number): UpstreamCall {
    const call = new Call(handler);
    const entry = this.#entry(request);
    entry.lastUsed = now;
    try {
      entry.pool.dispatch(
        {
          path: request.path,
          method: (request.method ?? "POST") as Dispatcher.HttpMethod,
          headers: headersOf(request),
          body: bodyOf(request),
          headersTimeout: request.firstByteMs,
          bodyTimeout: request.idleMs,
        },
        call as unknown as Dispatcher.DispatchHandler,
      );
    } catch (error) {
      call.onError(error as Error);
    }
    return call;
  }

  /** Closes pools that nobody used for ten minutes; call it now and then. */
  sweep(now: number): void {
    for (const [name, entry] of this.#pools) {
      if (now - entry.lastUsed < IDLE_POOL_MS) continue;
      this.#pools.delete(name);
      entry.pool.close().catch(() => {});
    }
  }

  /** Ends every connection at once. */
  async destroy(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map(({ pool }) => pool.destroy().catch(() => {})));
  }

  #entry(request: UpstreamRequest): PoolEntry {
    const { origin, tls } = request;
    // The same host with another trust is another pool.
    const name = tls === null ? origin : `${origin} ${tls.verify} ${tls.caCert ?? ""}`;
    let entry = this.#pools.get(name);
    if (entry === undefined) {
      const trust =
        tls === null ? {} : { rejectUnauthorized: tls.verify, ...(tls.caCert === null ? {} : { ca: tls.caCert }) };
      entry = {
        pool: new Pool(origin, {
          connections: this.#options.connectionsPerOrigin,
          pipelining: 1,
          connect: { timeout: this.#options.connectMs, ...trust },
          allowH2: false,
        }),
        lastUsed: 0,
      };
      this.#pools.set(name, entry);
    }
    return entry;
  }
}

const MAY_HAVE_NONE: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

/** No body is not the same as an empty one: the latter is announced. */
function bodyOf({ body, method = "POST" }: UpstreamRequest): Buffer | null {
  return body.length === 0 && MAY_HAVE_NONE.has(method) ? null : (body as Buffer);
}

/** A body in pieces must be announced, or it would go out chunked. */
function headersOf({ headers, body }: UpstreamRequest): string[] {
  return Buffer.isBuffer(body) ? (headers as string[]) : [...headers, "content-length", String(lengthOfBody(body))];
}

/** Adapts undici's handler to ours and remembers how to abort and resume. */
class Call implements UpstreamCall {
  readonly #handler: UpstreamHandler;
  #abort: ((reason?: Error) => void) | null = null;
  #resume: (() => void) | null = null;
  #done = false;

  constructor(handler: UpstreamHandler) {
    this.#handler = handler;
  }

  abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#abort?.(ABORTED);
  }

  resume(): void {
    this.#resume?.();
  }

  onConnect(abort: (reason?: Error) => void): void {
    this.#abort = abort;
    // The client may have left while the request waited for a connection.
    if (this.#done) abort(ABORTED);
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void): boolean {
    if (this.#done || status < 200) return true;
    this.#resume = resume;
    this.#handler.onHead(status, rawHeaders);
    return true;
  }

  onData(chunk: Buffer): boolean {
    return this.#done ? true : this.#handler.onData(chunk);
  }

  onComplete(): void {
    if (this.#done) return;
    this.#done = true;
    this.#handler.onEnd();
  }

  onError(error: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.#handler.onFailure(failureKind(error), describe(error));
  }
}

const ABORTED = new errors.RequestAbortedError("given up");

function failureKind(error: Error): UpstreamFailureKind {
  if (
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.BodyTimeoutError ||
    error instanceof errors.ConnectTimeoutError
  ) {
    return "timeout";
  }
  if (error instanceof errors.HTTPParserError || error instanceof errors.ResponseContentLengthMismatchError)
    return "decode";
  if (error instanceof errors.RequestAbortedError) return "aborted";
  return "transport";
}

/** Says what went wrong without an address: internal hosts are not for callers. */
function describe(error: Error): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" ? code : error.name;
}
