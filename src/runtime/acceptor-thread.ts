/** The entry of an acceptor's thread: builds the acceptor, connects its mailbox, survives its errors. */
import { parentPort, workerData } from "node:worker_threads";
import { Acceptor } from "../acceptor/actor.js";
import { NodeLoad } from "../acceptor/load.js";
import { buildNode, swapResources } from "../acceptor/setup.js";
import type { PriceRow } from "../config/prices.js";
import { FleetCache } from "../cache/fleet.js";
import { type CacheMemory, CacheStore } from "../cache/store.js";
import type { Resources } from "../config/resources.js";
import type { WeirConfig } from "../config/schema.js";
import { LogGate, LogOutput } from "../observability/log-sink.js";
import { createLogger } from "../observability/logger.js";
import { Metrics } from "../observability/metrics.js";
import type { Node } from "../pipeline/node.js";
import { Probes } from "../pipeline/probe.js";
import type { BlockMap } from "../quota/blocks.js";
import { type QuotaMemory, QuotaTable } from "../quota/table.js";
import { Waiting } from "../quota/waiting.js";
import { Router, type RoutingMemory } from "../routing/router.js";
import type { SlotMap } from "../routing/slots.js";
import { JournalWriter } from "../usage/journal.js";
import { writeUsage } from "../usage/meter.js";
import { journalDirectory } from "../usage/segments.js";
import { Outbox, type Port, receive } from "./actor.js";
import { ComputePool } from "./compute-pool.js";
import { watchJournal } from "./journal-watch.js";
import { type AcceptorMessage, errorData, faultData, type SupervisorMessage } from "./messages.js";
import { unpack } from "./wire.js";

/** What the supervisor starts a thread with. Shared memory cannot be packed, so it stands beside. */
export interface ThreadSetup {
  readonly name: string;
  readonly row: number;
  readonly packed: Uint8Array;
  readonly quota: QuotaMemory;
  readonly cache: CacheMemory;
  /** Of kept conversations; null = none are kept. */
  readonly turns: CacheMemory | null;
  readonly load: SharedArrayBuffer;
  readonly routing: RoutingMemory;
  /** Whose turn it is to write to standard output. */
  readonly logGate: SharedArrayBuffer;
  readonly inbox: SharedArrayBuffer;
  readonly outbox: SharedArrayBuffer;
}

export interface PackedSetup {
  readonly config: WeirConfig;
  readonly resources: Resources;
  readonly blocks: BlockMap;
  readonly slots: SlotMap;
  readonly prices: readonly PriceRow[];
  /** Part of the journal's file names; no other writer has it. */
  readonly writer: string;
}

/** Messages an acceptor may leave unread at the supervisor. */
const OUTBOX_CAPACITY = 4_096;
const LOG_BATCH_MS = 50;
/** A crashed acceptor keeps its port open until a replacement listens, but no longer than this. */
const HANDOVER_MS = 30_000;
const DRAIN_CHECK_MS = 20;

const setup = workerData as ThreadSetup;
const { config, resources, blocks, slots, prices, writer } = unpack<PackedSetup>(setup.packed);
if (parentPort === null) throw new Error("an acceptor runs on a worker thread");
const port: Port = parentPort;
const outbox = new Outbox<SupervisorMessage>("supervisor", port, setup.outbox, OUTBOX_CAPACITY);

// Each thread writes its own lines: passing them through another cost 10 µs a request (measured).
const turn = { gate: new LogGate(setup.logGate), thread: setup.row + 2 };
const logOutput = new LogOutput(1, { delayMs: LOG_BATCH_MS, turn });
const logger = createLogger({ level: config.log.level, write: (line) => logOutput.sink.write(line) });
const metrics = new Metrics({ thread: setup.name });
const quota = new QuotaTable(setup.quota, setup.row);
const waiting = quota.grants === null ? null : new Waiting(quota.grants, () => outbox.send({ kind: "quota-wanted" }));
const load = new NodeLoad(setup.load, setup.row, config.limits.body_memory_bytes);
const cache = new CacheStore(setup.cache, setup.row);
const { nats, cache: fleet } = config.cluster;
const fleetCache = nats === null ? null : new FleetCache((message) => outbox.send(message), fleet.wait_ms);
const turns = setup.turns === null ? null : new CacheStore(setup.turns, setup.row);
quota.clearRow();
cache.marks.clearRow();
turns?.marks.clearRow();
load.clearRow();
const router = new Router(setup.routing, setup.row, config.identity.header_prefix);
router.health.clearRow();
router.adopt(slots);
const { journal: journalConfig } = config.usage;
const journal = new JournalWriter({
  write: writeUsage,
  directory: journalDirectory(config.data_dir),
  writer,
  segmentBytes: journalConfig.segment_bytes,
  maxBytes: journalConfig.max_bytes,
});
watchJournal(journal, logger);
const { threads, queue, idle_ms } = config.pool;
const pool = new ComputePool({ threads, queue, idleMs: idle_ms });
const node: Node = buildNode({
  config,
  resources,
  blocks,
  prices,
  quota,
  waiting,
  cache,
  fleetCache,
  turns,
  load,
  router,
  journal,
  estimator: pool,
  translator: pool,
  screener: pool,
  metrics,
  log: logOutput.sink,
  reportFault: (error) => logger.error({ fault: faultData(error), thread: setup.name }, "a request failed inside"),
});
const acceptor = new Acceptor(node, load);
const probes = new Probes(node);

watch();
process.on("uncaughtException", crash);
process.on("unhandledRejection", crash);
receive<AcceptorMessage>(port, setup.inbox, handle);
acceptor.listen((listening) => {
  if (listening === null) outbox.send({ kind: "listen-failed", address: config.listen.address });
  else outbox.send({ kind: "listening", port: listening });
});

function handle(message: AcceptorMessage): void {
  switch (message.kind) {
    case "resources":
      swapResources(node, message);
      return;
    case "drain":
      drain(message.noticeMs, message.maxMs);
      return;
    case "leave":
      void leave(0);
      return;
    case "collect":
      outbox.send({ kind: "collected", ticket: message.ticket, metrics: metrics.collect() });
      return;
    case "probe":
      void probes.probe(message).then((status) => outbox.send({ kind: "probed", ticket: message.ticket, status }));
      return;
    case "cache-told":
      fleetCache?.told(message.ticket, message.found);
      return;
    case "granted":
      waiting?.wake();
      return;
    case "throw":
      setImmediate(() => {
        throw new Error("thrown on purpose by the debug hook");
      });
      return;
    default:
      message satisfies never;
  }
}

/** Metrics that are counted elsewhere are copied when somebody looks. */
function watch(): void {
  metrics.watchEventLoop();
  const cells = {
    inFlight: metrics.cell("weir_requests_in_flight"),
    connections: metrics.cell("weir_connections"),
    lines: metrics.cell("weir_journal_lines_total"),
    bytes: metrics.cell("weir_journal_bytes_total"),
    lost: metrics.cell("weir_journal_lost_total"),
    failures: metrics.cell("weir_journal_failures_total"),
    pending: metrics.cell("weir_journal_pending"),
    dropped: metrics.cell("weir_log_dropped_total"),
    letters: metrics.cell("weir_dead_letters_total", "supervisor"),
  };
  watchPool();
  metrics.onCollect(() => {
    cells.inFlight.value = acceptor.inFlight;
    cells.connections.value = load.ownConnections;
    const { stats } = journal;
    cells.lines.value = stats.lines;
    cells.bytes.value = stats.bytes;
    cells.lost.value = stats.lost;
    cells.failures.value = stats.failed;
    cells.pending.value = stats.pending;
    cells.dropped.value = logOutput.sink.dropped;
    cells.letters.value = outbox.deadLetters;
  });
}

function watchPool(): void {
  const cells = {
    done: metrics.cell("weir_pool_jobs_total", "done"),
    failed: metrics.cell("weir_pool_jobs_total", "failed"),
    full: metrics.cell("weir_pool_jobs_total", "full"),
    queue: metrics.cell("weir_pool_queue"),
    threads: metrics.cell("weir_pool_threads"),
  };
  metrics.onCollect(() => {
    const { stats } = pool;
    cells.done.value = stats.done;
    cells.failed.value = stats.failed;
    cells.full.value = stats.full;
    cells.queue.value = stats.queued;
    cells.threads.value = stats.threads;
  });
}

/** An exception nobody caught: say so, serve on until a replacement listens, then go. */
function crash(error: unknown): void {
  logger.fatal({ err: error, thread: setup.name }, "acceptor crashed");
  logOutput.flushSync();
  outbox.send({ kind: "crashed", error: errorData(error) });
  setTimeout(() => void leave(0), acceptor.listening ? HANDOVER_MS : 0);
}

function drain(noticeMs: number, maxMs: number): void {
  acceptor.beginDrain();
  probes.stop();
  const stopAt = performance.now() + noticeMs;
  const cutAt = stopAt + maxMs;
  const timer = setInterval(() => {
    const now = performance.now();
    if (now >= stopAt) acceptor.stopListening();
    if (now < stopAt || (acceptor.inFlight > 0 && now < cutAt)) return;
    clearInterval(timer);
    void leave(acceptor.inFlight);
  }, DRAIN_CHECK_MS);
}

/** Ends this thread; its app must be closed first, or the process aborts. */
async function leave(cut: number): Promise<void> {
  probes.stop();
  acceptor.close();
  // What is cut settles with estimates from the pool; give those their bounded time.
  const patience = performance.now() + config.usage.estimate_wait_ms + 100;
  const unsettled = () => acceptor.inFlight + probes.underWay > 0;
  while (unsettled() && performance.now() < patience) await new Promise((done) => setTimeout(done, 10));
  node.ledger.flush();
  journal.close();
  logOutput.flushSync();
  outbox.send({ kind: "collected", ticket: 0, metrics: metrics.collect() });
  outbox.send({ kind: "drained", cut });
  outbox.flush();
  await Promise.all([pool.destroy(), node.sender.destroy()]);
  metrics.stop();
  // Messages already posted are delivered before the thread is gone.
  process.exit(0);
}
