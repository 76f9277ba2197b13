/** An upstream that writes exact bytes, and the rig of the tests that talk to it. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createSecureServer, type TlsOptions, TLSSocket } from "node:tls";
import {
  type UpstreamCall,
  type UpstreamOptions,
  type UpstreamRequest,
  Upstreams,
} from "../../../../src/providers/upstream.js";
import { expectOrder, type Reactions, Recorded, until } from "./recorded.js";

export interface ReceivedRequest {
  /** Without the empty line. */
  readonly head: string;
  readonly body: Buffer;
}

/** One connection, seen from the upstream. */
export class Peer {
  readonly socket: Socket;
  readonly requests: ReceivedRequest[] = [];
  /** All bytes that have come. */
  received = 0;
  /** The client says no more. */
  ended = false;
  closed = false;
  /** The client has gone on with a session of TLS. */
  readonly resumed: boolean;
  /** The name that the client has asked for in TLS. */
  readonly named: string | false;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #head: string | null = null;
  #bodyBytes = 0;
  readonly #onRequest: (peer: Peer, request: ReceivedRequest) => void;

  constructor(socket: Socket, onRequest: (peer: Peer, request: ReceivedRequest) => void) {
    this.socket = socket;
    this.#onRequest = onRequest;
    const secure = socket instanceof TLSSocket ? socket : null;
    this.resumed = secure?.isSessionReused() ?? false;
    this.named = (secure as { servername?: string | false } | null)?.servername ?? false;
    socket.on("error", () => {});
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("close", () => {
      this.closed = true;
    });
  }

  /** Reads requests; without it, nothing is read at all. */
  read(): this {
    this.socket.on("data", (bytes: Buffer) => {
      this.received += bytes.length;
      this.#pending.push(bytes);
      this.#pendingBytes += bytes.length;
      while (this.#next()) {}
    });
    return this;
  }

  write(text: string | Buffer): void {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  /** Breaks the connection off, so that the client reads an error. */
  reset(): void {
    // There is no other way to the socket below TLS.
    const { _parent: below } = this.socket as Socket & { _parent?: Socket };
    (below ?? this.socket).resetAndDestroy();
  }

  end(text = ""): void {
    this.socket.end(Buffer.from(text, "latin1"));
  }

  #next(): boolean {
    if (this.#head === null) {
      const all = this.#whole();
      const end = all.indexOf("\r\n\r\n");
      if (end < 0) return false;
      this.#head = all.toString("latin1", 0, end);
      this.#bodyBytes = Number(/\r\ncontent-length: (\d+)/.exec(this.#head)?.[1] ?? 0);
      this.#keep(all.subarray(end + 4));
    }
    if (this.#pendingBytes < this.#bodyBytes) return false;
    const all = this.#whole();
    const request = { head: this.#head, body: all.subarray(0, this.#bodyBytes) };
    this.#keep(all.subarray(this.#bodyBytes));
    this.#head = null;
    this.requests.push(request);
    this.#onRequest(this, request);
    return this.#pendingBytes > 0;
  }

  #whole(): Buffer {
    const all = Buffer.concat(this.#pending);
    this.#keep(all);
    return all;
  }

  #keep(rest: Buffer): void {
    this.#pending = [rest];
    this.#pendingBytes = rest.length;
  }
}

export interface RawOptions {
  /** A whole request has come. */
  readonly request?: (peer: Peer, request: ReceivedRequest) => void;
  /** A connection has come; the default reads requests. */
  readonly peer?: (peer: Peer) => void;
  readonly tls?: TlsOptions;
  readonly allowHalfOpen?: boolean;
}

export class RawUpstream {
  readonly peers: Peer[] = [];
  readonly server: Server;
  readonly secure: boolean;

  constructor(options: RawOptions) {
    const { request = () => {}, peer = (came: Peer) => came.read(), tls, allowHalfOpen = false } = options;
    const onSocket = (socket: Socket) => {
      const came = new Peer(socket, request);
      this.peers.push(came);
      peer(came);
    };
    this.secure = tls !== undefined;
    this.server =
      tls === undefined
        ? createServer({ allowHalfOpen, noDelay: true }, onSocket)
        : createSecureServer({ noDelay: true, ...tls }, onSocket);
    // A client that does not trust the certificate breaks the handshake off.
    this.server.on("tlsClientError", () => {});
  }

  async listen(): Promise<this> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done));
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `${this.secure ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  get open(): number {
    return this.peers.filter(({ closed }) => !closed).length;
  }

  close(): void {
    for (const { socket } of this.peers) socket.destroy();
    this.server.close();
  }
}

/** One client, its upstreams and everybody that was told anything; ends all of it. */
export class Rig {
  readonly upstreams: Upstreams;
  readonly faults: unknown[] = [];
  readonly all: Recorded[] = [];
  readonly #raws: RawUpstream[] = [];

  constructor(options: Partial<UpstreamOptions> = {}) {
    this.upstreams = new Upstreams({
      connectMs: 5_000,
      connectionsPerOrigin: 8,
      reportFault: (error) => this.faults.push(error),
      ...options,
    });
  }

  async upstream(options: RawOptions | ((peer: Peer, request: ReceivedRequest) => void)): Promise<RawUpstream> {
    const raw = new RawUpstream(typeof options === "function" ? { request: options } : options);
    this.#raws.push(raw);
    return raw.listen();
  }

  /** Sends; what is not said is a POST of "{}" without limits of time. */
  send(to: { readonly origin: string }, request: Partial<UpstreamRequest> = {}, reactions: Reactions = {}): Sent {
    const recorded = new Recorded(reactions);
    this.all.push(recorded);
    const whole = { path: "/", headers: [], body: Buffer.from("{}"), firstByteMs: 0, idleMs: 0, tls: null };
    const call = this.upstreams.send({ ...whole, origin: to.origin, ...request }, recorded, performance.now());
    expectOrder([recorded]);
    return new Sent(recorded, call);
  }

  /** Sends and waits for the end. */
  async ask(to: { readonly origin: string }, request: Partial<UpstreamRequest> = {}): Promise<Recorded> {
    return this.send(to, request).recorded.whenOver();
  }

  async close(): Promise<void> {
    await this.upstreams.destroy();
    for (const raw of this.#raws) raw.close();
    await until(() => this.#raws.every(({ open }) => open === 0), "all sockets are closed");
    expectOrder(this.all);
  }
}

export class Sent {
  readonly recorded: Recorded;
  readonly call: UpstreamCall;

  constructor(recorded: Recorded, call: UpstreamCall) {
    this.recorded = recorded;
    this.call = call;
  }

  /** Gives it up; from here on, whatever is told is a mistake. */
  abort(): void {
    this.call.abort();
    this.recorded.left = true;
  }
}

/** An answer with its length. */
export function answer(body: string, fields = ""): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${fields}\r\n${body}`;
}

/** A body of which every byte says where it stood. */
export function patterned(bytes: number): Buffer {
  const out = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at += 1) out[at] = (at * 31 + (at >>> 8) * 17 + (at >>> 16)) & 0xff;
  return out;
}
