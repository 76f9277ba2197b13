/**
 * The cluster actor: what this node is for the other nodes. It lives on the main thread, owns the connection to NATS,
 * and is loaded only where NATS is configured. The rest of the node holds it by this contract:
 *
 * - `start` returns at once, and nothing waits for NATS for long: not the start, not a request, not the end.
 * - `connection` carries messages; `membership` says who is there; each domain that talks to other nodes takes these
 *   two and its names from `names`, and is started and stopped here.
 * - `drain` is told when the node takes no new work, `stop` when its last acceptor is gone.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Grants } from "../quota/grants.js";
import type { SharedRouting } from "../routing/shared.js";
import { journalDirectory, type Segment } from "../usage/segments.js";
import { FleetConfig, type FleetConfigStatus } from "./config.js";
import type { ConfigHouse } from "./config-sync.js";
import { CacheShare, type CacheShareOptions, type CacheShareStatus } from "./cache-share.js";
import { BudgetShare, type BudgetShareOptions, type BudgetShareStatus } from "./budget-share.js";
import { Connection, type NatsSettings } from "./connection.js";
import { HealthShare, type HealthShareStatus } from "./health-share.js";
import type { ClusterLog } from "./log.js";
import { type Load, type Member, Membership, type Self } from "./membership.js";
import { nodeId } from "./node-id.js";
import { type QuotaStatus, QuotaSync } from "./quota-sync.js";
import { type FleetNames, fleetNames } from "./subjects.js";
import { delay } from "./time.js";
import { UsageRollup } from "./usage-rollup.js";
import type { UsageStreamSettings } from "./usage-setup.js";
import { UsageStream, type UsageStreamCounts } from "./usage-stream.js";

/** How long the end waits for events that are not in the stream yet; they are on file in any case. */
const FINISH_MS = 2_000;
const LOOK_MS = 10;

export interface ClusterOptions {
  /** `cluster.name`. */
  readonly name: string;
  readonly nats: NatsSettings;
  readonly node: string;
  readonly version: string;
  /** `data_dir`. */
  readonly dataDirectory: string;
  readonly usage: UsageStreamSettings & { readonly encoding: "json" | "msgpack" };
  readonly cache: Pick<CacheShareOptions, "settings" | "store" | "wanted">;
  /** What this node has spent of its budgets, and where they are counted. */
  readonly budgets: Pick<BudgetShareOptions, "onPartition" | "account" | "table" | "warn">;
  /** The memory that the node's limits are admitted from. */
  readonly grants: Grants;
  readonly load: () => Load;
  /** null: the node has its resources from elsewhere. */
  readonly config: ConfigHouse | null;
  /** What the node's threads know of the models. */
  readonly routing: SharedRouting;
  /** Writers of the journal that are alive. */
  readonly writers: () => ReadonlySet<string>;
  readonly log: ClusterLog;
}

/** What `/status/cluster` says. */
export interface ClusterStatus {
  readonly name: string;
  readonly self: string;
  readonly nats: {
    readonly state: string;
    readonly server: string | null;
    readonly reconnects: number;
    readonly problem: string;
  } | null;
  /** Those last known, while NATS is away. */
  readonly members: readonly Member[];
  /** null: the resources do not come from NATS. */
  readonly config: FleetConfigStatus | null;
  /** What the nodes tell each other of their models. */
  readonly health: HealthShareStatus | null;
  readonly quota: QuotaStatus | null;
  readonly budgets: BudgetShareStatus | null;
  readonly usage:
    | (Readonly<UsageStreamCounts> & {
        readonly stream: string;
        readonly backlog_bytes: number;
        readonly in_flight: number;
        readonly problem: string;
      })
    | null;
  readonly cache: CacheShareStatus | null;
}

export class ClusterActor {
  readonly names: FleetNames;
  readonly connection: Connection;
  readonly membership: Membership;
  readonly usage: UsageStream;
  readonly cache: CacheShare;
  readonly health: HealthShare;
  readonly quota: QuotaSync;
  readonly budgets: BudgetShare;
  readonly config: FleetConfig | null;
  readonly #options: ClusterOptions;
  readonly #self: Self;
  readonly #rollup: UsageRollup;

  constructor(options: ClusterOptions) {
    const { name, nats, node, version, dataDirectory, usage, load, writers, log } = options;
    this.#options = options;
    this.names = fleetNames(name);
    this.#self = newSelf(node, version);
    this.connection = new Connection({ nats, name: `${name} ${node}`, inbox: this.names.inbox, log });
    const { connection, names } = this;
    this.membership = new Membership({
      connection,
      subject: names.members,
      self: this.#self,
      load,
      onChange: (member, came) => log.info({ ...member }, came ? "a node has joined" : "a node has gone"),
    });
    const { membership } = this;
    const { instance } = this.#self;
    this.health = new HealthShare({ connection, membership, names, instance, routing: options.routing });
    this.quota = new QuotaSync({ connection, membership, names, self: instance, grants: options.grants });
    this.usage = new UsageStream({
      connection,
      names,
      settings: usage,
      encoding: usage.encoding,
      directory: journalDirectory(dataDirectory),
      path: join(dataDirectory, "usage-stream.json"),
      live: writers,
      log,
    });
    const { replicas } = usage;
    const identity = { node: nodeId(dataDirectory, log), instance };
    this.budgets = new BudgetShare({ connection, membership, names, replicas, ...identity, ...options.budgets, log });
    const { config: house } = options;
    this.config =
      house === null ? null : new FleetConfig({ connection, names, replicas, fleet: name, node, house, log });
    this.cache = new CacheShare({ connection, names, ...options.cache, log });
    this.#rollup = new UsageRollup({ connection, membership: this.membership, names, settings: usage, log });
  }

  /** Begins with everything, and returns at once. */
  start(): void {
    this.connection.start();
    this.membership.start();
    this.config?.start();
    this.health.start();
    this.quota.start();
    this.budgets.start();
    this.usage.start();
    this.cache.start();
    this.#rollup.start();
  }

  /**
   * Resolves when this node knows what the others know and is in force there, or NATS proves to be out of reach; after
   * `milliseconds` in any case.
   */
  async settled(milliseconds: number): Promise<void> {
    const tooLate = AbortSignal.timeout(milliseconds);
    while (!this.#isSettled && this.connection.problem === "" && !tooLate.aborted) await delay(LOOK_MS, tooLate);
  }

  get #isSettled(): boolean {
    const resources = this.config === null || this.config.sync.obstacle === "";
    return resources && this.quota.status.granting && this.budgets.status.following;
  }

  /** The node takes no new work any more. */
  drain(): void {
    this.membership.drain();
  }

  /** Sends what is left, says farewell and closes; to be called when the last acceptor is gone. Never rejects. */
  async stop(): Promise<void> {
    this.#rollup.stop();
    this.cache.stop();
    this.health.stop();
    await this.config?.stop();
    await Promise.all([this.budgets.stop(), this.usage.stop(FINISH_MS)]);
    this.quota.stop();
    this.membership.stop();
    await this.connection.stop();
  }

  /** Must this file of the journal stay? */
  wants(segment: string): boolean {
    return this.usage.wants(segment);
  }

  /** The file of the journal goes, though it is wanted. */
  giveUp(segment: Segment): void {
    this.usage.giveUp(segment);
  }

  get status(): ClusterStatus {
    const { connection, usage, names } = this;
    const { state, server, reconnects, problem } = connection;
    return {
      name: this.#options.name,
      self: this.#self.instance,
      nats: { state, server, reconnects, problem },
      members: this.membership.members,
      config: this.config?.status ?? null,
      health: this.health.status,
      quota: this.quota.status,
      budgets: this.budgets.status,
      usage: {
        stream: names.usageStream,
        backlog_bytes: usage.backlogBytes,
        in_flight: usage.inFlight,
        ...usage.counts,
        problem: usage.problem,
      },
      cache: this.cache.status,
    };
  }
}

/** Who this process is; instances that started earlier sort first, roughly. */
function newSelf(node: string, version: string): Self {
  const startedAt = new Date();
  const instance = `${startedAt.getTime().toString(36)}-${randomUUID()}`;
  return { node, instance, version, started_at: startedAt.toISOString() };
}
