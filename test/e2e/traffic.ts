/** Traffic for scenarios that count and compare: kept connections, answers as bytes, clients that leave early. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import type { Operation } from "../../src/dialects/dialect.js";
import { BEARER } from "./calls.js";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The answer came to the end that its framing announced. */
  readonly whole: boolean;
  readonly requestId: string;
}

export interface Manner {
  readonly headers?: Record<string, string>;
  /** Leave once so many bytes of the body have come; 0 = as soon as the head is there. */
  readonly leaveAfter?: number;
}

/** A client with at most so many connections, which it keeps. */
export class Client {
  readonly #agent: Agent;
  readonly #url: string;

  constructor(url: string, connections = 16) {
    this.#url = url;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /**
   * Posts a body (a string or bytes as they are, anything else as JSON). Resolves with what came, also when
   * the answer broke off; rejects when there was no answer at all.
   */
  post(path: string, body: unknown, manner: Manner = {}): Promise<Reply> {
    const bytes = typeof body === "string" || Buffer.isBuffer(body) ? Buffer.from(body) : encode(body);
    const framing = { "content-type": "application/json", "content-length": bytes.length };
    return new Promise((resolve, reject) => {
      const outgoing = request(
        this.#url + path,
        { method: "POST", agent: this.#agent, headers: { ...framing, ...BEARER, ...manner.headers } },
        (response) => collect(response, manner.leaveAfter ?? Number.POSITIVE_INFINITY).then(resolve, reject),
      );
      outgoing.once("error", reject);
      outgoing.end(bytes);
    });
  }

  /** Closes its connections. */
  close(): void {
    this.#agent.destroy();
  }
}

function encode(body: unknown): Buffer {
  return Buffer.from(JSON.stringify(body));
}

function collect(response: IncomingMessage, leaveAfter: number): Promise<Reply> {
  const parts: Buffer[] = [];
  let length = 0;
  return new Promise((resolve) => {
    const done = (): void => {
      const { statusCode = 0, headers, complete } = response;
      const requestId = String(headers["x-weir-request-id"] ?? "");
      resolve({ status: statusCode, headers, body: Buffer.concat(parts), whole: complete, requestId });
    };
    response.on("data", (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length >= leaveAfter) response.destroy();
    });
    // A broken answer is a result here, not a surprise.
    response.on("error", () => {});
    response.once("close", done);
    if (leaveAfter === 0) response.destroy();
  });
}

export interface Endpoint {
  readonly operation: Operation;
  readonly path: string;
  readonly model: string;
  readonly streams: boolean;
  /** The field without which a request is refused, and a value for it. */
  readonly required: readonly [string, unknown];
}

const TURNS = [{ role: "user", content: "How high does the water stand today?" }];

const SILENT: ReadonlySet<Operation> = new Set(["count_tokens", "input_tokens", "embeddings"]);

/** Every operation that reaches an upstream. */
export const ENDPOINTS = {
  chat: endpoint("chat", "/v1/chat/completions", "gpt-soak", ["messages", TURNS]),
  completions: endpoint("completions", "/v1/completions", "gpt-soak", ["prompt", "The water stands"]),
  messages: endpoint("messages", "/v1/messages", "claude-soak", ["messages", TURNS]),
  responses: endpoint("responses", "/v1/responses", "gpt-soak", ["input", "How high does the water stand?"]),
  count_tokens: endpoint("count_tokens", "/v1/messages/count_tokens", "claude-soak", ["messages", TURNS]),
  input_tokens: endpoint("input_tokens", "/v1/responses/input_tokens", "gpt-soak", ["input", "How many tokens?"]),
  embeddings: endpoint("embeddings", "/v1/embeddings", "text-embedding-soak", ["input", ["one text", "another"]]),
} as const;

export const STREAMING = [ENDPOINTS.chat, ENDPOINTS.completions, ENDPOINTS.messages, ENDPOINTS.responses] as const;

function endpoint(operation: Operation, path: string, model: string, required: readonly [string, unknown]): Endpoint {
  return { operation, path, model, required, streams: !SILENT.has(operation) };
}

/** A request that the endpoint takes, with more fields laid over it. */
export function requestFor(endpoint: Endpoint, more: Record<string, unknown> = {}): Record<string, unknown> {
  const [name, value] = endpoint.required;
  const cap = endpoint.operation === "messages" ? { max_tokens: 4096 } : {};
  return { model: endpoint.model, [name]: value, ...cap, ...more };
}

/** Has the stream come to its dialect's successful end? */
export function hasTerminator(operation: Operation, body: Buffer): boolean {
  if (operation === "messages") return body.includes("event: message_stop");
  if (operation === "responses") return /event: response\.(completed|incomplete)\n/.test(body.toString("latin1"));
  return body.includes("data: [DONE]");
}

/** Runs the jobs, so many at once; rejects with the first failure. */
export async function inParallel<T>(
  jobs: Iterable<T>,
  width: number,
  run: (job: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = jobs[Symbol.iterator]();
  let index = 0;
  const lane = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) await run(next.value, index++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

/** The samples of a metrics page that have this name and at least these labels, added up. */
export function metricSum(page: string, name: string, labels: Record<string, string> = {}): number {
  let sum = 0;
  for (const sample of metricSamples(page, name)) {
    if (Object.entries(labels).every(([label, value]) => sample.labels[label] === value)) sum += sample.value;
  }
  return sum;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Every sample of a name on a metrics page. */
export function metricSamples(page: string, name: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of page.split("\n")) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null || match[1] !== name) continue;
    const pairs = (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
    samples.push({ labels: Object.fromEntries([...pairs].map((pair) => [pair[1], pair[2]])), value: Number(match[3]) });
  }
  return samples;
}

/** The metrics page as it is now. */
export async function metricsPage(opsUrl: string): Promise<string> {
  const answer = await fetch(`${opsUrl}/metrics`);
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`);
  return answer.text();
}
