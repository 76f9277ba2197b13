/** Requests as clients send them: whole ones, streams, and bytes on a bare socket; and an upstream made by hand. */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { ownPort } from "../../bench/fleet/ports.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { KEY, until } from "./gateway.js";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Parsed, or null where the body is no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
  readonly json: any;
}

/** A chat body; `fake` scripts the fake upstream's answer. */
export function chat(fake: Behaviour = {}, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { model: "gpt-test", messages: [{ role: "user", content: "Tell me something." }], fake, ...more };
}

export interface AskOptions {
  readonly path?: string;
  readonly key?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** Posts a body (an object becomes JSON) and reads the whole answer. */
export async function ask(url: string, body: unknown, options: AskOptions = {}): Promise<Answer> {
  const response = await open(url, body, options);
  const text = await response.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Not every answer is JSON.
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** Posts a body and leaves the answer's body to be read. */
export function open(url: string, body: unknown, options: AskOptions = {}): Promise<Response> {
  return fetch(url + (options.path ?? "/v1/chat/completions"), {
    method: "POST",
    headers: {
      authorization: `Bearer ${options.key ?? KEY}`,
      "content-type": "application/json",
      ...options.headers,
    },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
    signal: options.signal ?? null,
  });
}

/** A JSON page of the ops listener. */
// biome-ignore lint/suspicious/noExplicitAny: a page is looked into field by field.
export async function page(url: string): Promise<{ status: number; json: any; text: string }> {
  const response = await fetch(url, { headers: { connection: "close" } });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith("{") ? JSON.parse(text) : null };
}

/** Sum of a metric's series whose labels hold `labels`. */
export async function metric(opsUrl: string, name: string, labels = ""): Promise<number> {
  const { text } = await page(`${opsUrl}/metrics`);
  let sum = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name} `) && !line.startsWith(`${name}{`)) continue;
    if (line.includes(labels)) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

/** A socket whose bytes the test writes and reads itself. */
export class Wire {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  /** Bytes read so far, also when they are not kept. */
  bytes = 0;
  /** The other side has closed, or broken off. */
  closed = false;
  /** Keep what is read? Off for answers that are too long to be kept. */
  keep = true;
  tail = "";

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.on("data", (chunk) => {
      this.bytes += chunk.length;
      this.tail = (this.tail + chunk.toString("latin1")).slice(-256);
      if (this.keep) this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on("error", () => {});
    this.socket.once("close", () => {
      this.closed = true;
    });
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  /** The last answer's status; 0 = none yet. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1] ?? 0);
  }

  write(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** Waits until the answer holds the text. */
  async saw(text: string, timeoutMs = 15_000): Promise<void> {
    await until(() => this.text.includes(text), timeoutMs).catch(() => {
      throw new Error(`no ${JSON.stringify(text)} in ${JSON.stringify(this.text.slice(0, 2_000))}`);
    });
  }

  async ended(timeoutMs = 15_000): Promise<void> {
    await until(() => this.closed, timeoutMs).catch(() => {
      throw new Error(`still open after ${timeoutMs} ms, having said ${JSON.stringify(this.text.slice(0, 500))}`);
    });
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** A request as text, its length included unless `headers` frames it otherwise. */
export function rawRequest(
  body: string | Buffer,
  headers: readonly string[] = [],
  path = "/v1/chat/completions",
): string {
  const framed = headers.some((line) => /^(content-length|transfer-encoding):/i.test(line));
  const head = [
    `POST ${path} HTTP/1.1`,
    "host: gateway.test",
    "content-type: application/json",
    ...(headers.some((line) => /^authorization:/i.test(line)) ? [] : [`authorization: Bearer ${KEY}`]),
    ...(framed ? [] : [`content-length: ${Buffer.byteLength(body)}`]),
    ...headers,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body.toString("latin1")}`;
}

/** The body of a chunked answer, read by the letter: one byte out of place is an error. */
export function dechunked(text: string): string {
  let at = text.indexOf("\r\n\r\n") + 4;
  let body = "";
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/i.exec(text.slice(at, at + 20));
    if (size === null) throw new Error(`no chunk begins with ${JSON.stringify(text.slice(at, at + 60))}`);
    const length = Number.parseInt(size[1] ?? "", 16);
    at += size[0].length + length;
    body += text.slice(at - length, at);
    if (text.slice(at, at + 2) !== "\r\n")
      throw new Error(`a chunk ends with ${JSON.stringify(text.slice(at, at + 60))}`);
    at += 2;
    if (length === 0) return body;
  }
}

export interface HandUpstream {
  readonly url: string;
  /** Requests whose connection the gateway closed before the answer's end. */
  readonly aborted: number;
  readonly requests: number;
  close(): Promise<void>;
}

/** An upstream whose answers the test writes itself; the body has been read when `handle` is called. */
export async function startHandUpstream(
  handle: (response: ServerResponse, body: Buffer, request: IncomingMessage) => void,
): Promise<HandUpstream> {
  let aborted = 0;
  let requests = 0;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    response.once("close", () => {
      if (!response.writableFinished) aborted += 1;
    });
    request.on("error", () => {});
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      requests += 1;
      handle(response, Buffer.concat(parts), request);
    });
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get aborted() {
      return aborted;
    },
    get requests() {
      return requests;
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** One GET on a connection of its own; rejects when the port refuses. */
export function probe(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent: false, headers: { connection: "close" } }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    });
    request.once("error", reject);
    request.end();
  });
}

/** A loopback port on which nobody listens, and that nobody is given who asks the system for a free one. */
export function deadPort(): Promise<number> {
  return ownPort();
}
