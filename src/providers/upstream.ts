/** The connections to upstreams: one pool an origin, owned by one acceptor thread. */
import { hash } from "node:crypto";
import { lengthOfBody } from "../dialects/body-pieces.js";
import { Call, type CallRequest } from "./http1/call.js";
import { OriginPool } from "./http1/pool.js";
import { HeadWriter, headEnd, RequestError, type RequestHead } from "./http1/request-head.js";
import { socketsTo } from "./http1/socket.js";

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
  /**
   * Milliseconds until the answer's head must have come, counted from when the request was written, and of a large
   * body from when the upstream took the last of it; 0 = none. Opening a connection does not count; one that is not
   * to be had within the same time is not waited for any longer.
   */
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
  /** `headers`: names in lower case and values alternate, as they came. */
  onHead(status: number, headers: readonly string[]): void;
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
  /** Told what a handler has thrown: its call fails, all others go on. */
  readonly reportFault?: (error: unknown) => void;
}

const IDLE_POOL_MS = 600_000;
/** How often clocks are looked at, milliseconds: no time limit is kept more exactly. */
const TICK_MS = 50;

interface PoolEntry {
  readonly pool: OriginPool;
  /** "host:port" as the Host field says it. */
  readonly authority: string;
  readonly heads: HeadWriter;
  lastUsed: number;
}

/** All upstream pools of one acceptor. */
export class Upstreams {
  readonly #options: UpstreamOptions;
  readonly #pools = new Map<string, PoolEntry>();
  readonly #trusts = new WeakMap<UpstreamTls, string>();
  readonly #reportFault: (error: unknown) => void;
  #clock: NodeJS.Timeout | null = null;
  #destroyed = false;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#reportFault = options.reportFault ?? (() => {});
  }

  /** Sends one request; never throws: failures reach the handler, and never before this call has returned. */
  send(request: UpstreamRequest, handler: UpstreamHandler, now: number): UpstreamCall {
    const { method = "POST", path, headers, firstByteMs, idleMs } = request;
    if (this.#destroyed) return this.#failing(handler, "aborted", "closed");
    const body = bodyOf(request, method);
    const bodyBytes = body === null ? -1 : lengthOfBody(body);
    let entry: PoolEntry;
    let head: RequestHead;
    try {
      entry = this.#entry(request);
      const fields = entry.heads.fieldsOf({ authority: entry.authority, method, path, headers });
      head = { fields, end: headEnd(bodyBytes) };
    } catch (error) {
      const reason = error instanceof RequestError ? error.message : "origin";
      return this.#failing(handler, "transport", `the request cannot be sent: ${reason}`);
    }
    entry.lastUsed = now;
    const sent = { head, body, bodiless: method === "HEAD", firstByteMs, idleMs };
    const call = new Call(sent, handler, this.#reportFault);
    entry.pool.send(call, now);
    if (this.#clock === null) this.#startClock();
    return call;
  }

  /** Forgets pools that nobody used for ten minutes; call it now and then. */
  sweep(now: number): void {
    for (const [name, { pool, lastUsed }] of this.#pools) {
      if (now - lastUsed >= IDLE_POOL_MS && pool.size === 0) this.#pools.delete(name);
    }
  }

  /** Ends every connection at once, and for good: what is sent later fails. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    this.#stopClock();
    for (const { pool } of this.#pools.values()) pool.destroy();
    this.#pools.clear();
  }

  #entry({ origin, tls }: UpstreamRequest): PoolEntry {
    // The same host with another trust is another pool.
    const name = tls === null ? origin : `${origin} ${this.#trustName(tls)}`;
    let entry = this.#pools.get(name);
    if (entry === undefined) {
      const { connectMs, connectionsPerOrigin: connections } = this.#options;
      const pool = new OriginPool(socketsTo(origin, tls), { connectMs, connections });
      entry = { pool, authority: new URL(origin).host, heads: new HeadWriter(), lastUsed: 0 };
      this.#pools.set(name, entry);
    }
    return entry;
  }

  /** Equal for equal trust; made once for each target, as certificates are long. */
  #trustName(tls: UpstreamTls): string {
    let name = this.#trusts.get(tls);
    if (name === undefined) {
      name = hash("sha256", JSON.stringify([tls.verify, tls.caCert]));
      this.#trusts.set(tls, name);
    }
    return name;
  }

  /** A call that cannot be sent; it is told of as any other failure is. */
  #failing(handler: UpstreamHandler, kind: UpstreamFailureKind, message: string): UpstreamCall {
    const call = new Call(NOTHING_SENT, handler, this.#reportFault);
    queueMicrotask(() => call.fail(kind, message));
    return call;
  }

  /**
   * Runs while there is any connection. Judges by the time before the sockets are read, and only after it: where the
   * thread was away, what has come meanwhile must be told before anybody is called silent.
   */
  #startClock(): void {
    this.#clock = setInterval(() => setImmediate((now: number) => this.#tick(now), performance.now()), TICK_MS);
    this.#clock.unref();
  }

  #stopClock(): void {
    if (this.#clock !== null) clearInterval(this.#clock);
    this.#clock = null;
  }

  #tick(now: number): void {
    let connections = 0;
    for (const { pool } of this.#pools.values()) {
      pool.tick(now);
      connections += pool.size;
    }
    if (connections === 0) this.#stopClock();
  }
}

const NO_HEAD: RequestHead = { fields: Buffer.alloc(0), end: "" };
const NOTHING_SENT: CallRequest = { head: NO_HEAD, body: null, bodiless: false, firstByteMs: 0, idleMs: 0 };

const MAY_HAVE_NONE: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

/** No body is not the same as an empty one: the latter is announced. */
function bodyOf({ body }: UpstreamRequest, method: string): Buffer | readonly Buffer[] | null {
  return body.length === 0 && MAY_HAVE_NONE.has(method) ? null : body;
}
