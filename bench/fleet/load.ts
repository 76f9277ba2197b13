/**
 * The load of the fleet rig: so many lanes, each one request after the other (closed loop), or so many requests a
 * second, whatever the answers take (open loop). Nothing is tried again: what fails is seen.
 */
import { Pool } from "undici";
import type { Wanted } from "./wanted.js";

/** What became of one request. */
export interface Reply {
  /** The rig's own name for the request, which the upstream knows it by. */
  readonly user: string;
  /** Index into the load's addresses. */
  readonly at: number;
  /** 0 = no answer came, or it broke off. */
  readonly status: number;
  readonly streamed: boolean;
  readonly requestId: string;
  /** As the gateway says in its header; 0 where it says nothing. */
  readonly attempts: number;
  /** ms since 1970, with fractions. */
  readonly sentAt: number;
  readonly endedAt: number;
  readonly text: string;
  /** Why it failed, or "". */
  readonly problem: string;
}

export interface LoadOptions {
  /** Requests go to them by turns. */
  readonly urls: readonly string[];
  /** Callers' keys, by turns. */
  readonly keys: readonly string[];
  readonly model: string;
  /** Lanes of a closed loop; of an open one, how many may be under way at once. */
  readonly lanes: number;
  /** Of these lanes, how many stream; of an open loop, the same share of the requests. */
  readonly streams?: number;
  /** Requests a second of an open loop; none = a closed one. */
  readonly rate?: number;
  /** Ends after so many requests; none = when it is stopped. */
  readonly requests?: number;
  readonly wanted?: Wanted;
  readonly maxTokens?: number;
  readonly onReply: (reply: Reply) => void;
}

const TICK_MS = 5;
/** Where nothing answers, a lane does not spin. */
const PAUSE_MS = 10;
const REQUEST_MS = 60_000;
let runs = 0;

export class Load {
  /** Requests begun; and those of an open loop that found no lane free. */
  sent = 0;
  skipped = 0;
  readonly #options: LoadOptions;
  readonly #pools: readonly Pool[];
  readonly #run: string;
  readonly #open = new Set<Promise<void>>();
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(options: LoadOptions) {
    runs += 1;
    this.#run = `r${runs}`;
    this.#options = options;
    const settings = { connections: options.lanes, headersTimeout: REQUEST_MS, bodyTimeout: REQUEST_MS };
    this.#pools = options.urls.map((url) => new Pool(url, settings));
    this.#ended = options.rate === undefined ? this.#closedLoop() : this.#openLoop(options.rate);
  }

  /** Resolves when all its requests have been answered: a load without an end needs `stop`. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Begins nothing more; resolves when what was under way has ended. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
    await Promise.all(this.#pools.map((pool) => pool.destroy()));
  }

  #more(): boolean {
    return !this.#isOver && this.sent < (this.#options.requests ?? Number.POSITIVE_INFINITY);
  }

  async #closedLoop(): Promise<void> {
    const { lanes, streams = 0 } = this.#options;
    const lane = async (index: number): Promise<void> => {
      while (this.#more()) {
        const reply = await this.#ask(index < streams);
        if (reply.status === 0) await new Promise((done) => setTimeout(done, PAUSE_MS));
      }
    };
    await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)));
  }

  async #openLoop(rate: number): Promise<void> {
    const { lanes, streams = 0 } = this.#options;
    const begin = performance.now();
    let due = 0;
    while (this.#more()) {
      const until = ((performance.now() - begin) / 1_000) * rate;
      for (; due < until && this.#more(); due += 1) {
        if (this.#open.size >= lanes) {
          this.skipped += 1;
          continue;
        }
        const asked = this.#ask(due % lanes < streams).then(() => void this.#open.delete(asked));
        this.#open.add(asked);
      }
      await new Promise((done) => setTimeout(done, TICK_MS));
    }
    await Promise.all(this.#open);
  }

  async #ask(streams: boolean): Promise<Reply> {
    const number = this.sent;
    this.sent += 1;
    const at = number % this.#pools.length;
    const user = `${this.#run}-${number}`;
    const sentAt = wallClock();
    const key = this.#options.keys[Math.floor(number / this.#pools.length) % this.#options.keys.length] ?? "";
    const come = await this.#exchange(this.#pools[at] as Pool, { user, key, streams }).catch((error: unknown) => ({
      ...NOTHING,
      problem: String((error as { code?: string }).code ?? error),
    }));
    const reply: Reply = { user, at, streamed: streams, sentAt, endedAt: wallClock(), ...come };
    this.#options.onReply(reply);
    return reply;
  }

  async #exchange(pool: Pool, { user, key, streams }: Question): Promise<Come> {
    const { model, wanted = {}, maxTokens } = this.#options;
    const stream = streams ? { stream: true, stream_options: { include_usage: true } } : {};
    const cap = maxTokens === undefined ? {} : { max_tokens: maxTokens };
    const messages = [{ role: "user", content: "How high does the water stand?" }];
    const { statusCode, headers, body } = await pool.request({
      method: "POST",
      path: "/v1/chat/completions",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model, messages, user, fleet: wanted, ...cap, ...stream }),
    });
    const text = await body.text();
    const cut = streams && statusCode === 200 && !text.endsWith("data: [DONE]\n\n");
    return {
      status: cut ? 0 : statusCode,
      requestId: String(headers["x-weir-request-id"] ?? ""),
      attempts: Number(headers["x-weir-attempts"] ?? 0),
      text,
      problem: cut ? `a stream without its end: ${text.slice(-200)}` : statusCode === 200 ? "" : text.slice(0, 200),
    };
  }
}

/** ms since 1970, with fractions. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}

interface Question {
  readonly user: string;
  readonly key: string;
  readonly streams: boolean;
}

type Come = Pick<Reply, "status" | "requestId" | "attempts" | "text" | "problem">;

const NOTHING: Come = { status: 0, requestId: "", attempts: 0, text: "", problem: "" };
