/** The connections to upstreams: one pool an origin, owned by one acceptor thread. */
import { lengthOfBody } from "../dialects/body-pieces.js";
import { Call } from "./http1/call.js";
import { OriginPool } from "./http1/pool.js";
import { requestHead } from "./http1/request-head.js";
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
}

const IDLE_POOL_MS = 600_000;
/** How often clocks are looked at, milliseconds: no time limit is kept more exactly. */
const TICK_MS = 50;
/** The thread was away for so long that what has come meanwhile must be read before anybody is called silent. */
const LATE_MS = 250;

interface PoolEntry {
  readonly pool: OriginPool;
  /** "host:port" as the Host field says it. */
  readonly authority: string;
  lastUsed: number;
}

/** All upstream pools of one acceptor. */
export class Upstreams {
  readonly #options: UpstreamOptions;
  readonly #pools = new Map<string, PoolEntry>();
  #clock: NodeJS.Timeout | null = null;
  #lastTick = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** Sends one request; never throws: failures reach the handler, and never before this call has returned. */
  send(request: UpstreamRequest, handler: UpstreamHandler, now: number): UpstreamCall {
    const { method = "POST", path, headers, firstByteMs, idleMs } = request;
    const entry = this.#entry(request);
    entry.lastUsed = now;
    const body = bodyOf(request, method);
    const bodyBytes = body === null ? -1 : lengthOfBody(body);
    let head: string;
    try {
      head = requestHead({ authority: entry.authority, method, path, headers, bodyBytes });
    } catch (error) {
      return unsendable(handler, error as Error);
    }
    const call = new Call({ head, body, bodiless: method === "HEAD", firstByteMs, idleMs }, handler);
    entry.pool.send(call, now);
    if (this.#clock === null) this.#startClock(now);
    return call;
  }

  /** Forgets pools that nobody used for ten minutes; call it now and then. */
  sweep(now: number): void {
    for (const [name, { pool, lastUsed }] of this.#pools) {
      if (now - lastUsed >= IDLE_POOL_MS && pool.size === 0) this.#pools.delete(name);
    }
  }

  /** Ends every connection at once. */
  async destroy(): Promise<void> {
    this.#stopClock();
    for (const { pool } of this.#pools.values()) pool.destroy();
    this.#pools.clear();
  }

  #entry({ origin, tls }: UpstreamRequest): PoolEntry {
    // The same host with another trust is another pool.
    const name = tls === null ? origin : `${origin} ${tls.verify} ${tls.caCert ?? ""}`;
    let entry = this.#pools.get(name);
    if (entry === undefined) {
      const { connectMs, connectionsPerOrigin: connections } = this.#options;
      const pool = new OriginPool(socketsTo(origin, tls), { connectMs, connections });
      entry = { pool, authority: new URL(origin).host, lastUsed: 0 };
      this.#pools.set(name, entry);
    }
    return entry;
  }

  /** Runs while there is any connection. */
  #startClock(now: number): void {
    this.#lastTick = now;
    this.#clock = setInterval(() => this.#tick(performance.now()), TICK_MS);
    this.#clock.unref();
  }

  #stopClock(): void {
    if (this.#clock !== null) clearInterval(this.#clock);
    this.#clock = null;
  }

  #tick(now: number): void {
    const late = now - this.#lastTick > LATE_MS;
    this.#lastTick = now;
    if (late) return;
    let connections = 0;
    for (const { pool } of this.#pools.values()) {
      pool.tick(now);
      connections += pool.size;
    }
    if (connections === 0) this.#stopClock();
  }
}

const MAY_HAVE_NONE: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

/** No body is not the same as an empty one: the latter is announced. */
function bodyOf({ body }: UpstreamRequest, method: string): Buffer | readonly Buffer[] | null {
  return body.length === 0 && MAY_HAVE_NONE.has(method) ? null : body;
}

/** A request that would not be one on the wire; it is told of as any other failure is. */
function unsendable(handler: UpstreamHandler, error: Error): UpstreamCall {
  let left = false;
  queueMicrotask(() => {
    if (!left) handler.onFailure("transport", `the request cannot be sent: ${error.message}`);
  });
  return {
    abort() {
      left = true;
    },
    resume() {},
  };
}
