/** A running gateway: supervisor, ops listener, reload and housekeeping, from start to drain. */
import type { PurgeFilter } from "../cache/store.js";
import type { ClusterActor } from "../cluster/actor.js";
import { loadPrices, type PriceRow } from "../config/prices.js";
import { renderError } from "../config/result.js";
import { LogGate, LogOutput } from "../observability/log-sink.js";
import { createLogger, type Logger } from "../observability/logger.js";
import { Metrics, METRICS_CONTENT_TYPE, mergeMetrics } from "../observability/metrics.js";
import { OpsServer } from "../ops/server.js";
import type { BudgetKeeper } from "../usage/budget-keeper.js";
import { journalProblem } from "../usage/journal.js";
import { enforceBound } from "../usage/retention.js";
import { journalDirectory } from "../usage/segments.js";
import { entryFinder, keepBudgets } from "./budgets.js";
import { joinCluster, statusAlone } from "./cluster.js";
import { InForce } from "./in-force.js";
import { isFree } from "./port-probe.js";
import { Reloader } from "./reload.js";
import { configHouse, type Given, resourceStore, type Start, startingSet } from "./resource-source.js";
import { Supervisor } from "./supervisor.js";
import { tlsProblem } from "./tls-files.js";

const SETTLE_MS = 2_000;
const RETENTION_MS = 60_000;

export interface GatewayOptions extends Given {
  /** Rows of the user's own price file, `pricing.file`. */
  readonly prices: readonly PriceRow[];
}

export interface Addresses {
  readonly port: number;
  readonly opsPort: number;
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #logGate = LogGate.allocate();
  readonly #output = new LogOutput(1, { turn: { gate: new LogGate(this.#logGate), thread: 1 } });
  readonly #logger: Logger;
  readonly #metrics = new Metrics({ thread: "main" });
  readonly #supervisor: Supervisor;
  readonly #budgets: BudgetKeeper;
  readonly #start: Start;
  readonly #inForce: InForce;
  readonly #reloader: Reloader | null;
  readonly #ops: OpsServer;
  #retention: NodeJS.Timeout | null = null;
  /** null: this node is alone, or has not got that far. */
  #cluster: ClusterActor | null = null;

  constructor(options: GatewayOptions) {
    const { config, prices } = options;
    this.#options = options;
    this.#logger = createLogger({ level: config.log.level, write: (line) => this.#output.sink.write(line) });
    const shared = { logger: this.#logger, metrics: this.#metrics };
    this.#start = startingSet(options, this.#logger);
    const { resources } = this.#start.set;
    this.#supervisor = new Supervisor({ config, resources, prices, logGate: this.#logGate, ...shared });
    this.#budgets = keepBudgets(config, this.#supervisor, shared);
    this.#inForce = this.#makeInForce();
    this.#reloader = this.#makeReloader();
    this.#ops = new OpsServer({
      ready: () => !this.#supervisor.draining && this.#supervisor.listening > 0,
      metrics: async () => mergeMetrics([this.#metrics.collect(), ...(await this.#supervisor.collect())]),
      metricsContentType: METRICS_CONTENT_TYPE,
      configStatus: () => this.#inForce.status,
      modelStatus: () => ({ models: this.#supervisor.models }),
      clusterStatus: () => this.#cluster?.status ?? statusAlone(config),
      admin: {
        keyHashes: config.ops.admin_key_hashes,
        resources: resourceStore(
          options,
          () => this.#inForce,
          () => this.#cluster,
        ),
        purgeCache: (filter) => this.#purgeCache(filter),
      },
    });
    this.#metrics.watchEventLoop();
    this.#metrics.watchProcess();
    const dropped = this.#metrics.cell("weir_log_dropped_total");
    this.#metrics.onCollect(() => {
      dropped.value = this.#output.sink.dropped;
    });
  }

  get logger(): Logger {
    return this.#logger;
  }

  /** Did it start with the resources that it was given? */
  get servesGiven(): boolean {
    return !this.#start.fromSnapshot;
  }

  /** Listens; null when an address or the journal cannot be had (the log says which, and why). */
  async start(): Promise<Addresses | null> {
    const { config } = this.#options;
    const problem = tlsProblem(config.listen.tls);
    if (problem !== null) {
      this.#logger.fatal({ ...config.listen.tls, reason: problem }, "cannot listen: listen.tls cannot be used");
      return null;
    }
    const unwritable = journalProblem(journalDirectory(config.data_dir));
    if (unwritable !== null) {
      const told = { data_dir: config.data_dir, reason: unwritable };
      this.#logger.fatal(told, "cannot start: the usage journal cannot be written in data_dir");
      return null;
    }
    for (const listen of [config.listen, config.ops.listen]) {
      if (await isFree(listen.host, listen.port)) continue;
      this.#logger.fatal({ address: listen.address }, "cannot listen: the address is taken or not ours");
      return null;
    }
    const opsPort = await this.#ops.listen(config.ops.listen.host, config.ops.listen.port);
    if (opsPort === null) {
      this.#logger.fatal({ address: config.ops.listen.address }, "cannot listen: the address is taken or not ours");
      return null;
    }
    // Before the first request: what was spent counts.
    const { resources } = this.#start.set;
    await this.#budgets.start(resources.traffic.budgets, this.#supervisor.counters.places, entryFinder(resources));
    await this.#join();
    const port = await this.#supervisor.start();
    if (port === null) return null;
    this.#reloader?.watch();
    this.#enforceRetention();
    this.#retention = setInterval(() => this.#enforceRetention(), RETENTION_MS);
    return { port, opsPort };
  }

  /** SIGHUP. */
  reload(): void {
    const { file } = this.#options.config.pricing;
    if (this.#reloader === null && file === null)
      this.#logger.warn("nothing to reload: the gateway was started without a resource file");
    if (file !== null) this.#reloadPrices(file);
    this.#reloader?.reload("signal");
  }

  /** Lets requests finish, then ends. */
  async drain(): Promise<void> {
    this.#logger.info({ notice_ms: this.#options.config.drain.notice_ms }, "draining");
    this.#cluster?.drain();
    await this.#supervisor.drain();
    await this.#budgets.stop();
    await this.#end();
  }

  /** Ends at once; what is in flight is cut. */
  async stop(): Promise<void> {
    await this.#supervisor.stop();
    await this.#budgets.stop();
    await this.#end();
  }

  /** Debug hook. */
  throwInAcceptor(): void {
    this.#supervisor.throwInAcceptor();
  }

  async #end(): Promise<void> {
    await this.#cluster?.stop();
    this.#reloader?.stop();
    if (this.#retention !== null) clearInterval(this.#retention);
    this.#ops.close();
    this.#metrics.stop();
    this.#logger.info("stopped");
    this.#output.flushSync();
  }

  async #join(): Promise<void> {
    const tell = { logger: this.#logger, metrics: this.#metrics };
    const parts = { inForce: this.#inForce, reloader: this.#reloader, logger: this.#logger };
    const house = configHouse(this.#options, this.#start, parts);
    const shared = { house, budgets: this.#budgets };
    this.#cluster = await joinCluster(this.#options.config, this.#supervisor, tell, shared);
    // The first request should meet the fleet's keys and limits, where they can be had at once.
    await this.#cluster?.settled(SETTLE_MS);
  }

  #purgeCache(filter: PurgeFilter): number {
    const purged = this.#supervisor.cache.purge(filter);
    this.#cluster?.cache.purge(filter);
    this.#logger.info({ ...filter, purged }, "cache purged");
    return purged;
  }

  #enforceRetention(): void {
    const { data_dir, usage } = this.#options.config;
    try {
      const removed = enforceBound(journalDirectory(data_dir), usage.journal.max_bytes, {
        live: this.#supervisor.writers,
        wanted: (name) => this.#budgets.wants(name) || this.#cluster?.wants(name) === true,
        giveUp: (segment) => this.#cluster?.giveUp(segment),
      });
      if (removed.length > 0) this.#logger.warn({ removed }, "usage journal over its bound: oldest files removed");
    } catch (error) {
      this.#logger.error({ err: error }, "usage journal cannot be kept within its bound");
    }
  }

  /** A file with an error changes nothing. */
  #reloadPrices(file: string): void {
    const result = loadPrices(file);
    if (!result.ok) {
      this.#logger.error({ errors: result.errors.map(renderError) }, "price file refused; the last prices hold on");
      return;
    }
    this.#supervisor.replacePrices(result.value.rows);
    this.#logger.info({ file, rows: result.value.rows.length, dated: result.value.dated }, "prices reloaded");
  }

  #makeInForce(): InForce {
    return new InForce({
      initial: this.#start.set,
      logger: this.#logger,
      metrics: this.#metrics,
      settled: () => this.#supervisor.settled(),
      apply: ({ resources }) => {
        this.#supervisor.replaceResources(resources);
        void this.#budgets.adopt(resources.traffic.budgets, this.#supervisor.counters.places, entryFinder(resources));
      },
    });
  }

  #makeReloader(): Reloader | null {
    const { resourcesPath: path, context, resources } = this.#options;
    if (path === null) return null;
    const { revision } = resources.resources;
    return new Reloader({ path, context, inForce: this.#inForce, logger: this.#logger }, revision);
  }
}
