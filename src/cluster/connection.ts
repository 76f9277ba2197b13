/**
 * The one connection to NATS, and the only importer of its client. It is kept up for as long as the node lives:
 * attempts go on for ever, with jitter, and nobody waits for them. What others rely on:
 *
 * - `live` is there while there is a connection; its `lost` signal aborts the moment that goes.
 * - `publish` says false instead of keeping what cannot be sent; nothing waits in memory.
 * - `subscribe` holds over every loss of the connection, also over a change of servers.
 * - `stop` ends within `STOP_MS`, whatever NATS does.
 */
import { readFileSync } from "node:fs";
import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  nkeyAuthenticator,
} from "nats";
import { type ClusterLog, reasonOf } from "./log.js";
import { delay, within } from "./time.js";

export {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  ErrorCode,
  headers,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
} from "nats";
export type { JetStreamClient, JetStreamManager, JsMsg, KV, KvEntry, StreamConfig, StreamInfo } from "nats";

const DIAL_MS = 3_000;
const RETRY_MS = 250;
const RETRY_JITTER_MS = 250;
const LONGEST_RETRY_MS = 5_000;
const PING_MS = 5_000;
const STOP_MS = 2_000;
const REQUEST_MS = 5_000;

/** Where NATS is and who we are there: `cluster.nats` of weir.yaml. */
export interface NatsSettings {
  readonly servers: readonly string[];
  readonly creds_file: string | null;
  readonly nkey_file: string | null;
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
  readonly tls: {
    readonly ca_file: string | null;
    readonly cert_file: string | null;
    readonly key_file: string | null;
  } | null;
}

export type ConnectionState = "connecting" | "connected" | "disconnected" | "closed";

/** A connection while it holds. */
export interface Live {
  readonly js: JetStreamClient;
  readonly manager: JetStreamManager;
  /** Aborts when the connection goes; a new one is another `Live`. */
  readonly lost: AbortSignal;
}

export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Answers a request; false: nobody asked, or there is no connection. */
  respond(data: Uint8Array): boolean;
}

interface Subscriber {
  readonly subject: string;
  readonly queue: string | null;
  readonly handle: (message: Incoming) => void;
  unsubscribe: (() => void) | null;
}

export interface ConnectionSettings {
  readonly nats: NatsSettings;
  /** How the server's own lists call this client. */
  readonly name: string;
  /** What subjects for answers begin with. */
  readonly inbox: string;
  readonly log: ClusterLog;
}

export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #subscribers = new Set<Subscriber>();
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  readonly #stopping = new AbortController();
  #state: ConnectionState = "connecting";
  #client: NatsConnection | null = null;
  #live: (Live & { readonly lose: AbortController }) | null = null;
  #reconnects = 0;
  #problem = "";
  #loop: Promise<void> = Promise.resolve();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** `host:port` of the server in use. */
  get server(): string | null {
    return this.#live === null ? null : (this.#client?.getServer() ?? null);
  }

  /** Connections that came after the first one. */
  get reconnects(): number {
    return this.#reconnects;
  }

  /** Why there is no connection, as far as it is known; "" while there is one. */
  get problem(): string {
    return this.#problem;
  }

  get live(): Live | null {
    return this.#live;
  }

  /** Begins to connect, and returns at once. */
  start(): void {
    this.#loop = this.#keepUp();
  }

  /** Hears of every change of the state; returns how to stop hearing. */
  onState(listener: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The connection as soon as there is one; null when the signal aborts first or the connection is stopped. */
  async whenLive(signal: AbortSignal): Promise<Live | null> {
    while (this.#live === null) {
      if (signal.aborted || this.#state === "closed") return null;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          leave();
          signal.removeEventListener("abort", done);
          resolve();
        };
        const leave = this.onState(done);
        signal.addEventListener("abort", done);
      });
    }
    return this.#live;
  }

  /** Sends a message that nobody keeps; false: there is no connection, and it is not sent. */
  publish(subject: string, data: Uint8Array): boolean {
    if (this.#live === null) return false;
    try {
      this.#client?.publish(subject, data);
      return true;
    } catch {
      return false;
    }
  }

  /** Asks, and waits for one answer. Rejects when there is no connection, no answerer, or no answer in time. */
  async request(subject: string, data: Uint8Array, timeoutMs = REQUEST_MS): Promise<Uint8Array> {
    if (this.#client === null || this.#live === null) throw new Error("there is no connection to NATS");
    return (await this.#client.request(subject, data, { timeout: timeoutMs })).data;
  }

  /** Hears of messages for as long as the node lives; of a queue's members one hears each. Returns how to stop. */
  subscribe(subject: string, handle: (message: Incoming) => void, queue: string | null = null): () => void {
    const subscriber: Subscriber = { subject, queue, handle, unsubscribe: null };
    this.#subscribers.add(subscriber);
    if (this.#client !== null) this.#attach(this.#client, subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
      subscriber.unsubscribe?.();
    };
  }

  /** Sends what has been published, and closes. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const client = this.#client;
    if (client !== null) await within(STOP_MS, this.#live === null ? client.close() : client.drain());
    if (client !== null && !client.isClosed()) await within(STOP_MS, client.close());
    this.#lose("closed");
    await within(STOP_MS, this.#loop);
  }

  /** The client connects again by itself; where it gives up all the same, a new one begins. */
  async #keepUp(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      try {
        const client = await connect(optionsOf(this.#settings));
        failures = 0;
        await this.#hold(client);
      } catch (error) {
        failures += 1;
        this.#failed(error, failures === 1);
      }
      const pause = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(failures, 10));
      await delay(pause + Math.random() * RETRY_JITTER_MS, this.#stopping.signal);
    }
  }

  /** From the first greeting to the client's end. */
  async #hold(client: NatsConnection): Promise<void> {
    if (this.#stopping.signal.aborted) {
      await client.close();
      return;
    }
    this.#client = client;
    const manager = await client.jetstreamManager({ checkAPI: false });
    void this.#watch(client, manager);
    this.#gain(client, manager);
    for (const subscriber of this.#subscribers) this.#attach(client, subscriber);
    const error = await client.closed();
    this.#client = null;
    for (const subscriber of this.#subscribers) subscriber.unsubscribe = null;
    this.#lose("disconnected");
    if (error instanceof Error) throw error;
  }

  async #watch(client: NatsConnection, manager: JetStreamManager): Promise<void> {
    let refused = "";
    for await (const { type, data, permissionContext } of client.status()) {
      if (type === Events.Disconnect) this.#lose("disconnected");
      else if (type === Events.Reconnect) this.#gain(client, manager);
      // The server is about to leave: go before it goes, like everybody at another moment.
      else if (type === Events.LDM) setTimeout(() => void client.reconnect(), Math.random() * 1_000).unref();
      else if (type === Events.Error) {
        const reason = `${data} ${permissionContext?.operation ?? ""} ${permissionContext?.subject ?? ""}`.trimEnd();
        if (reason !== refused) this.#settings.log.warn({ reason }, "NATS refuses something");
        refused = reason;
      }
    }
  }

  #gain(client: NatsConnection, manager: JetStreamManager): void {
    if (this.#live !== null || this.#stopping.signal.aborted) return;
    const lose = new AbortController();
    this.#live = { js: client.jetstream(), manager, lost: lose.signal, lose };
    if (this.#state === "disconnected") this.#reconnects += 1;
    this.#problem = "";
    this.#settings.log.info({ server: client.getServer() }, "connected to NATS");
    this.#change("connected");
  }

  #lose(state: "disconnected" | "closed"): void {
    const live = this.#live;
    this.#live = null;
    live?.lose.abort();
    if (live !== null && state === "disconnected" && !this.#stopping.signal.aborted) {
      this.#problem = "the connection was lost";
      this.#settings.log.warn({}, "the connection to NATS is lost; trying on");
    }
    if (this.#state === "connecting" && state === "disconnected") return;
    if (this.#state !== "closed") this.#change(state);
  }

  #failed(error: unknown, first: boolean): void {
    this.#problem = reasonOf(error);
    if (first) this.#settings.log.warn({ reason: this.#problem }, "NATS cannot be reached; trying on");
  }

  #change(state: ConnectionState): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  #attach(client: NatsConnection, subscriber: Subscriber): void {
    const { subject, queue, handle } = subscriber;
    const subscription = client.subscribe(subject, {
      ...(queue === null ? {} : { queue }),
      callback: (error, message) => {
        if (error !== null) {
          this.#settings.log.warn({ subject, reason: reasonOf(error) }, "cannot listen on NATS");
          return;
        }
        const respond = (data: Uint8Array): boolean => this.#live !== null && message.respond(data);
        handle({ subject: message.subject, data: message.data, respond });
      },
    });
    subscriber.unsubscribe = () => subscription.unsubscribe();
  }
}

/** Files are read at every attempt, so that renewed credentials are taken up without a restart. */
function optionsOf({ nats, name, inbox }: ConnectionSettings): ConnectionOptions {
  const { creds_file, nkey_file, user, password, token } = nats;
  const authenticator: Authenticator[] = [];
  if (creds_file !== null) authenticator.push((nonce) => credsAuthenticator(readFileSync(creds_file))(nonce));
  if (nkey_file !== null) {
    authenticator.push((nonce) => nkeyAuthenticator(Buffer.from(readFileSync(nkey_file, "utf8").trim()))(nonce));
  }
  return {
    servers: [...nats.servers],
    name,
    inboxPrefix: inbox,
    timeout: DIAL_MS,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RETRY_MS,
    reconnectJitter: RETRY_JITTER_MS,
    reconnectJitterTLS: RETRY_JITTER_MS,
    ignoreAuthErrorAbort: true,
    pingInterval: PING_MS,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(authenticator.length === 0 ? {} : { authenticator }),
    ...(user === null ? {} : { user, pass: password ?? "" }),
    ...(token === null ? {} : { token }),
    ...tlsOptions(nats),
  };
}

/** A server named with `tls://` must speak it; one that demands it is given it in any case. */
function tlsOptions({ servers, tls }: NatsSettings): Pick<ConnectionOptions, "tls"> {
  if (tls === null) return servers.some((server) => server.startsWith("tls://")) ? { tls: {} } : {};
  const { ca_file: caFile, cert_file: certFile, key_file: keyFile } = tls;
  return {
    tls: {
      ...(caFile === null ? {} : { caFile }),
      ...(certFile === null ? {} : { certFile }),
      ...(keyFile === null ? {} : { keyFile }),
    },
  };
}
