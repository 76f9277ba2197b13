/**
 * The supervisor on the main thread: starts the acceptors, replaces the ones that crash, hands them new
 * resources, gathers their metrics and logs, and drains them in the end.
 */
import { Worker } from "node:worker_threads";
import { allocateLoadMemory, NodeLoad } from "../acceptor/load.js";
import { allocateCacheMemory, type CacheMemory, CacheStore } from "../cache/store.js";
import type { PriceRow } from "../config/prices.js";
import type { Resources } from "../config/resources.js";
import type { WeirConfig } from "../config/schema.js";
import { LogGate } from "../observability/log-sink.js";
import type { Logger } from "../observability/logger.js";
import type { Metrics, MetricObjects } from "../observability/metrics.js";
import { SharedRouting } from "../routing/shared.js";
import type { SlotMap } from "../routing/slots.js";
import type { ModelStatus } from "../routing/status.js";
import type { PackedSetup, ThreadSetup } from "./acceptor-thread.js";
import { allocateMailbox, Outbox, receive } from "./actor.js";
import { CacheDesk } from "./cache-desk.js";
import { allocateTurns, watchCache } from "./cache-watch.js";
import { Counters } from "./counters.js";
import type { AcceptorMessage, ErrorData, SupervisorMessage } from "./messages.js";
import { ModelChecks } from "./model-checks.js";
import { freePort } from "./port-probe.js";
import { restartDelay } from "./restart.js";
import { ThreadMetrics } from "./thread-metrics.js";
import { pack } from "./wire.js";

const MAILBOX_CAPACITY = 1_024;
/** How long a thread may take to read new resources, and when it is offered them again where it has no room. */
const READ_MS = 2_000;
const OFFER_MS = 20;
/** A thread that is leaving gives its row free within seconds. */
const ROW_WAIT_MS = 200;

interface AcceptorThread {
  readonly name: string;
  readonly row: number;
  readonly worker: Worker;
  /** Its part of the journal's file names. */
  readonly writer: string;
  readonly outbox: Outbox<AcceptorMessage>;
  state: "starting" | "listening" | "crashed" | "draining" | "gone";
  /** The crashed thread that this one takes over from. */
  replaces: AcceptorThread | null;
}

export interface SupervisorOptions {
  readonly config: WeirConfig;
  readonly resources: Resources;
  /** Rows of the user's own price file. */
  readonly prices: readonly PriceRow[];
  readonly logger: Logger;
  /** Shared with every thread that writes to standard output. */
  readonly logGate: SharedArrayBuffer;
  readonly metrics: Metrics;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly counters: Counters;
  readonly #cacheMemory: CacheMemory;
  readonly #turnMemory: CacheMemory | null;
  /** The cache, from the main thread. */
  readonly cache: CacheStore;
  readonly cacheDesk = new CacheDesk();
  readonly #load: SharedArrayBuffer;
  /** What the threads know of the models, from the main thread. */
  readonly routing: SharedRouting;
  readonly #checks: ModelChecks;
  readonly #rows: number;
  readonly #threads = new Set<AcceptorThread>();
  readonly #threadMetrics = new ThreadMetrics();
  readonly #crashTimes: number[] = [];
  #resources: Resources;
  #slots: SlotMap;
  #prices: readonly PriceRow[];
  #started = 0;
  /** The port in use; differs from the configured one when that is 0. */
  #port: number;
  #draining = false;
  #onEmpty: (() => void) | null = null;
  #onFirstListening: ((port: number | null) => void) | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    // Twice the acceptors: a crashed one and its replacement live side by side for a moment.
    this.#rows = options.config.acceptors * 2 + 2;
    const { cluster } = options.config;
    this.counters = new Counters({ cluster, rows: this.#rows, wake: () => this.#tellGranted() });
    this.#cacheMemory = allocateCacheMemory(options.config.cache.memory_bytes);
    this.cache = new CacheStore(this.#cacheMemory, this.#rows);
    watchCache(this.cache, options.metrics);
    this.#turnMemory = allocateTurns(options.config.responses.state.memory_bytes, this.#rows, options.metrics);
    this.#load = allocateLoadMemory(this.#rows);
    this.routing = new SharedRouting(this.#rows);
    this.#checks = new ModelChecks(this.routing, (message) => this.#sendToOne(message));
    this.#port = options.config.listen.port;
    this.#resources = options.resources;
    this.#prices = options.prices;
    this.counters.adopt(options.resources);
    this.#slots = this.routing.assign(options.resources);
    options.metrics.onCollect(() => this.#countMailboxes());
  }

  /** Starts the acceptors; resolves with the port once all listen, or null when the address cannot be had. */
  async start(): Promise<number | null> {
    if (this.#port === 0) this.#port = await freePort(this.#options.config.listen.host);
    let port: number | null = null;
    for (let index = 0; index < this.#options.config.acceptors; index += 1) {
      port = await new Promise<number | null>((done) => {
        this.#onFirstListening = done;
        this.#spawn(null);
      });
      if (port === null) return null;
    }
    this.#checks.adopt();
    return port;
  }

  /** Hands new resources to every acceptor. Throws when they have more limits than a node can count. */
  replaceResources(resources: Resources): void {
    this.counters.adopt(resources);
    this.#slots = this.routing.assign(resources);
    this.#resources = resources;
    this.#checks.adopt();
    for (const thread of this.#threads) this.#offer(thread);
  }

  /** Resolves when whatever a client sends from now on meets the resources that were handed over last. */
  async settled(): Promise<void> {
    const listening = [...this.#threads].filter(({ state }) => state === "listening");
    await Promise.all(listening.map(({ outbox }) => outbox.read(READ_MS)));
  }

  /** Hands other prices to every acceptor. */
  replacePrices(prices: readonly PriceRow[]): void {
    this.#prices = prices;
    for (const thread of this.#threads) this.#offer(thread);
  }

  /** No thread may go on with old ones because its mailbox was full for a moment. */
  #offer(thread: AcceptorThread): void {
    if (thread.outbox.send(this.#inForce()) || !this.#threads.has(thread)) return;
    setTimeout(() => this.#offer(thread), OFFER_MS).unref();
  }

  #inForce(): AcceptorMessage {
    const resources = this.#resources;
    return { kind: "resources", resources, blocks: this.counters.blocks, slots: this.#slots, prices: this.#prices };
  }

  /** Listening acceptors. */
  get listening(): number {
    let count = 0;
    for (const thread of this.#threads) if (thread.state === "listening") count += 1;
    return count;
  }

  /** Does any cache policy share its answers with other nodes? */
  get sharesAnswers(): boolean {
    return this.#resources.traffic.cachePolicies.some(({ enabled, backend }) => enabled && backend === "cluster");
  }

  /** Journal writers that are alive. */
  get writers(): ReadonlySet<string> {
    return new Set([...this.#threads].map((thread) => thread.writer));
  }

  /** What the node carries now. */
  get load(): { readonly in_flight: number; readonly connections: number } {
    const { inFlight, connections } = new NodeLoad(this.#load, 0, 0);
    return { in_flight: inFlight, connections };
  }

  /** How every model is doing now. */
  get models(): readonly ModelStatus[] {
    return this.routing.status(Date.now());
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** The metrics of every acceptor, living or gone. */
  async collect(): Promise<MetricObjects[]> {
    return this.#threadMetrics.collect([...this.#threads].map(({ outbox }) => outbox));
  }

  /** Lets in-flight requests finish, then ends the acceptors. Resolves when all are gone. */
  async drain(): Promise<void> {
    this.#draining = true;
    const { notice_ms, max_ms } = this.#options.config.drain;
    await this.#endAll({ kind: "drain", noticeMs: notice_ms, maxMs: max_ms });
  }

  /** Ends the acceptors now, cutting what is in flight. */
  async stop(): Promise<void> {
    this.#draining = true;
    await this.#endAll({ kind: "leave" });
  }

  /** Debug hook: throws inside one listening acceptor. */
  throwInAcceptor(): void {
    this.#sendToOne({ kind: "throw" });
  }

  /** To an acceptor that listens; false when none does, or its mailbox is full. */
  #sendToOne(message: AcceptorMessage): boolean {
    for (const thread of this.#threads) if (thread.state === "listening") return thread.outbox.send(message);
    return false;
  }

  #endAll(message: AcceptorMessage): Promise<void> {
    this.#checks.stop();
    for (const thread of this.#threads) {
      thread.state = "draining";
      thread.outbox.send(message);
    }
    if (this.#threads.size === 0) return Promise.resolve();
    return new Promise((done) => {
      const before = this.#onEmpty;
      this.#onEmpty = () => {
        before?.();
        done();
      };
    });
  }

  /** Only where requests wait for it. */
  #tellGranted(): void {
    const { grants } = this.counters;
    for (const { row, outbox } of this.#threads) if (grants?.waits(row) === true) outbox.send({ kind: "granted" });
  }

  #spawn(replaces: AcceptorThread | null): void {
    const { config } = this.#options;
    const name = `acceptor-${++this.#started}`;
    const row = this.#freeRow();
    const writer = `${Date.now().toString(36)}-${process.pid}-${this.#started}`;
    const inbox = allocateMailbox();
    const outboxMemory = allocateMailbox();
    const packed: PackedSetup = {
      config: { ...config, listen: { ...config.listen, port: this.#port } },
      resources: this.#resources,
      blocks: this.counters.blocks,
      slots: this.#slots,
      prices: this.#prices,
      writer,
    };
    const setup: ThreadSetup = {
      name,
      row,
      packed: pack(packed),
      quota: this.counters.memory,
      cache: this.#cacheMemory,
      turns: this.#turnMemory,
      load: this.#load,
      routing: this.routing.memory,
      logGate: this.#options.logGate,
      inbox,
      outbox: outboxMemory,
    };
    const worker = new Worker(new URL("./acceptor-thread.js", import.meta.url), { name, workerData: setup });
    const outbox = new Outbox<AcceptorMessage>(name, worker, inbox, MAILBOX_CAPACITY);
    const thread: AcceptorThread = { name, row, worker, writer, outbox, state: "starting", replaces };
    this.#threads.add(thread);
    receive<SupervisorMessage>(worker, outboxMemory, (message) => this.#handle(thread, message));
    worker.on("error", (error) => this.#options.logger.error({ err: error, thread: name }, "acceptor thread failed"));
    worker.on("exit", () => this.#gone(thread));
  }

  /** A row of shared counters that no living thread has; -1 = all are taken. */
  #freeRow(): number {
    const taken = new Set([...this.#threads].map((thread) => thread.row));
    for (let row = 0; row < this.#rows; row += 1) if (!taken.has(row)) return row;
    return -1;
  }

  #handle(thread: AcceptorThread, message: SupervisorMessage): void {
    switch (message.kind) {
      case "listening":
        this.#listening(thread, message.port);
        return;
      case "listen-failed":
        this.#options.logger.fatal({ address: message.address }, "cannot listen: the address is taken or not ours");
        thread.state = "draining";
        thread.outbox.send({ kind: "leave" });
        this.#reportPort(null);
        return;
      case "crashed":
        this.#crashed(thread, message.error);
        return;
      case "drained":
        if (message.cut > 0) this.#options.logger.warn({ thread: thread.name, cut: message.cut }, "requests were cut");
        return;
      case "collected":
        this.#threadMetrics.collected(message.ticket, message.metrics as MetricObjects);
        return;
      case "probed":
        this.#checks.answered(message.ticket, message.status);
        return;
      case "quota-wanted":
        this.counters.grants?.hearBell();
        return;
      case "cache-ask":
      case "cache-kept":
        this.cacheDesk.hear(message, (reply) => thread.outbox.send(reply));
        return;
      default:
        message satisfies never;
    }
  }

  #listening(thread: AcceptorThread, port: number): void {
    thread.state = "listening";
    this.#port = port;
    thread.replaces?.outbox.send({ kind: "leave" });
    thread.replaces = null;
    // What changed while the thread was starting did not reach it.
    this.#offer(thread);
    this.#reportPort(port);
  }

  #reportPort(port: number | null): void {
    const report = this.#onFirstListening;
    this.#onFirstListening = null;
    report?.(port);
  }

  #crashed(thread: AcceptorThread, error: ErrorData): void {
    if (thread.state === "crashed" || thread.state === "draining") return;
    thread.state = "crashed";
    this.#options.logger.error(
      { thread: thread.name, error: error.name, reason: error.message },
      "replacing a crashed acceptor",
    );
    this.#replace(thread);
  }

  #replace(thread: AcceptorThread): void {
    if (this.#draining) return;
    this.#options.metrics.cell("weir_acceptor_restarts_total").add(1);
    this.#spawnLater(thread, restartDelay(this.#crashTimes, performance.now()));
  }

  #spawnLater(replaces: AcceptorThread, delay: number): void {
    setTimeout(() => {
      if (this.#draining) return;
      if (this.#freeRow() < 0) this.#spawnLater(replaces, ROW_WAIT_MS);
      else this.#spawn(this.#threads.has(replaces) ? replaces : null);
    }, delay);
  }

  #gone(thread: AcceptorThread): void {
    const before = thread.state;
    thread.state = "gone";
    thread.outbox.close();
    new LogGate(this.#options.logGate).release(thread.row + 2);
    // Whatever it did not get to give back: places of keys and models, its part of the node's load, the lock.
    this.counters.bury(thread.row);
    new CacheStore(this.#cacheMemory, thread.row).bury();
    if (this.#turnMemory !== null) new CacheStore(this.#turnMemory, thread.row).bury();
    new NodeLoad(this.#load, thread.row, 0).clearRow();
    this.routing.bury(thread.row);
    this.#checks.abandon();
    this.#threads.delete(thread);
    // One that dies before the first has listened would die again: that is no crash but a start that fails.
    if (before === "starting" && this.#onFirstListening !== null) this.#reportPort(null);
    else if (before === "listening" || before === "starting") this.#replace(thread);
    if (this.#threads.size === 0) this.#onEmpty?.();
  }

  #countMailboxes(): void {
    for (const { outbox } of this.#threads) {
      this.#options.metrics.cell("weir_mailbox_depth", outbox.name).value = outbox.depth;
      this.#options.metrics.cell("weir_dead_letters_total", outbox.name).value = outbox.deadLetters;
    }
  }
}
