/** A real nats-server for scenarios: on a free loopback port, with streams on disk, killed and started at will. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, headers as natsHeaders, type JetStreamManager, type NatsConnection } from "nats";
import { ownPort } from "../../bench/fleet/ports.js";
import { until } from "./gateway.js";

const START_MS = 20_000;
/** After which a connection that says nothing is none of a NATS server. */
const GREETING_MS = 2_000;
/** Characters that are kept of what it says on stderr: a crash is told with the state of everything that ran. */
const LAST_WORDS = 262_144;
/** Characters that are shown of them. */
const SHOWN_WORDS = 4_096;
const script = new URL("../../deploy/nats-server.mjs", import.meta.url).href;
const { findNatsServer } = (await import(script)) as { findNatsServer(): string | null };

/** The program: on the PATH, where Debian puts it, or fetched by `npm test`; null = there is none. */
export const NATS_PROGRAM: string | null = findNatsServer();

/** Stands in the name of what is skipped. */
export const NATS_REASON =
  NATS_PROGRAM === null ? " (skipped: there is no nats-server; install Debian's package nats-server)" : "";

export interface Message {
  readonly sequence: number;
  readonly subject: string;
  readonly id: string;
  readonly data: Uint8Array;
}

export interface NatsOptions {
  readonly started?: boolean;
  /** Any free one, by default. */
  readonly port?: number;
  /** More of the server's configuration. */
  readonly config?: string;
  /** Whom `with` logs in as. */
  readonly login?: { readonly user: string; readonly pass: string };
}

export class NatsServer {
  readonly port: number;
  readonly #directory: string;
  readonly #options: NatsOptions;
  #child: ChildProcess | null = null;

  private constructor(port: number, options: NatsOptions) {
    this.port = port;
    this.#options = options;
    this.#directory = mkdtempSync(join(tmpdir(), "weir-nats-"));
    writeFileSync(join(this.#directory, "nats.conf"), options.config ?? "");
  }

  /** Started, unless told otherwise. */
  static async create(options: NatsOptions = {}): Promise<NatsServer> {
    const server = new NatsServer(options.port ?? (await ownPort()), options);
    if (options.started !== false) await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts it on what it has on disk; resolves when it takes connections. */
  async start(): Promise<void> {
    const place = ["-a", "127.0.0.1", "-p", String(this.port)];
    const args = ["-js", "-c", join(this.#directory, "nats.conf"), "-sd", this.#directory, ...place];
    const child = spawn(NATS_PROGRAM ?? "nats-server", args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-LAST_WORDS);
    });
    let accepted = false;
    child.once("exit", (code, signal) => {
      if (!accepted || this.#child !== child) return;
      // As its service manager would: what is tried here is the gateway, which lives on without it.
      console.error(`nats-server ended by itself with ${code ?? signal}, and is started again: ${lastWords(words)}`);
      this.start().catch((error: unknown) => console.error("nats-server does not start again:", error));
    });
    await until(() => {
      if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}: ${lastWords(words)}`);
      return accepts(this.port);
    }, START_MS);
    accepted = true;
  }

  /** Ends it by its own pid; resolves when it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill(signal);
    await ended;
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** With a client of its own, as somebody outside would. */
  async with<T>(action: (manager: JetStreamManager, client: NatsConnection) => Promise<T>): Promise<T> {
    const client = await connect({ servers: this.url, timeout: 2_000, ...this.#options.login });
    try {
      return await action(await client.jetstreamManager(), client);
    } finally {
      await client.close();
    }
  }

  /** Everything in the stream now; [] when there is none. */
  messages(stream: string): Promise<Message[]> {
    return this.with(async (manager, client) => {
      const info = await manager.streams.info(stream).catch(() => null);
      const found: Message[] = [];
      if (info === null || info.state.messages === 0) return found;
      const consumer = await client.jetstream().consumers.get(stream);
      while (found.length < info.state.messages) {
        for await (const message of await consumer.fetch({ max_messages: 1_000, expires: 1_000 })) {
          const id = (message.headers ?? natsHeaders()).get("Nats-Msg-Id");
          found.push({ sequence: message.seq, subject: message.subject, id, data: message.data });
          if (message.info.pending === 0) break;
        }
      }
      return found;
    });
  }

  /** How many messages are in the stream now; 0 when there is none. */
  count(stream: string): Promise<number> {
    return this.with(async (manager) => (await manager.streams.info(stream).catch(() => null))?.state.messages ?? 0);
  }
}

/** Why it ended: from the crash on where it tells of one, else the last that it said. */
function lastWords(words: string): string {
  const crash = words.search(/^(panic|fatal error|unexpected fault|SIG[A-Z]+):/m);
  return crash < 0 ? words.slice(-SHOWN_WORDS) : words.slice(crash, crash + SHOWN_WORDS);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = dial(port, "127.0.0.1");
    const tell = (accepted: boolean): void => {
      socket.destroy();
      done(accepted);
    };
    socket.setTimeout(GREETING_MS, () => tell(false));
    socket.once("error", () => tell(false));
    socket.once("data", () => tell(true));
  });
}
