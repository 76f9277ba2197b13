/** Nodes of a fleet with budgets, on one clock and one bucket, without a server. Time passes when it is told to. */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BudgetShare } from "../../../src/cluster/budget-share.js";
import { type Live, NatsError } from "../../../src/cluster/connection.js";
import { nodeId } from "../../../src/cluster/node-id.js";
import { fleetNames } from "../../../src/cluster/subjects.js";
import type { Budget, OnPartition } from "../../../src/config/traffic.js";
import { isFailure } from "../../../src/errors.js";
import { Places } from "../../../src/quota/blocks.js";
import { BudgetSet } from "../../../src/quota/budget.js";
import { admitRequest, balanceOf, settleLease } from "../../../src/quota/lease.js";
import type { Crossing } from "../../../src/quota/money.js";
import { firstShares } from "../../../src/quota/money-share.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { BudgetKeeper } from "../../../src/usage/budget-keeper.js";
import { segmentName } from "../../../src/usage/segments.js";
import { line, NOON } from "../usage/journal-line.js";

const MICROS = 1e6;
const ROUND_MS = 250;
const STEP_MS = 50;

export function budget(change: Partial<Budget> = {}): Budget {
  return {
    id: "b",
    name: "b",
    scope: "key",
    scopeRef: null,
    limitUsd: 10,
    period: "day",
    timezone: "UTC",
    action: "block",
    warnAt: [],
    ...change,
  };
}

interface Stored {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
  readonly created: Date;
  readonly operation: "PUT";
}

/** What is in NATS. */
export class FakeBucket {
  made = "then";
  readonly entries = new Map<string, Stored>();
  readonly watchers = new Set<(entry: Stored) => void>();
  /** Steps until a watcher hears of what was put. */
  delay = 0;
  readonly #underway: { readonly entry: Stored; readonly hear: (entry: Stored) => void; steps: number }[] = [];
  puts = 0;
  #revision = 0;

  put(key: string, value: Uint8Array, previous: number | undefined, created = new Date(NOON)): number {
    if (previous !== undefined && (this.entries.get(key)?.revision ?? 0) !== previous) throw wrongSequence();
    this.#revision += 1;
    this.puts += 1;
    const entry = { key, value, revision: this.#revision, created, operation: "PUT" } as const;
    this.entries.set(key, entry);
    for (const hear of [...this.watchers]) this.#underway.push({ entry, hear, steps: this.delay });
    if (this.delay === 0) this.deliver();
    return this.#revision;
  }

  /** A step has gone by. */
  deliver(): void {
    for (const flight of this.#underway) flight.steps -= 1;
    while ((this.#underway[0]?.steps ?? 1) <= 0) {
      const arrived = this.#underway.shift();
      arrived?.hear(arrived.entry);
    }
  }

  beginAnew(): void {
    this.made = `${this.made} again`;
    this.entries.clear();
  }
}

function wrongSequence(): NatsError {
  const error = new NatsError("wrong last sequence", "400");
  error.api_error = { code: 400, err_code: 10_071, description: "wrong last sequence" };
  return error;
}

/** A node's connection to it. */
class FakeLink {
  readonly #bucket: FakeBucket;
  #live: Live | null = null;
  #lose = new AbortController();
  #wake: (() => void)[] = [];

  constructor(bucket: FakeBucket) {
    this.#bucket = bucket;
  }

  connect(): void {
    const lose = new AbortController();
    this.#lose = lose;
    const bucket = this.#bucket;
    const check = async (): Promise<void> => {
      await Promise.resolve();
      if (lose.signal.aborted) throw new Error("disconnected");
    };
    const kv = {
      put: async (key: string, value: Uint8Array, how: { previousSeq?: number } = {}) => {
        await check();
        return bucket.put(key, value, how.previousSeq);
      },
      create: async (key: string, value: Uint8Array) => {
        await check();
        return bucket.put(key, value, 0);
      },
      get: async (key: string) => {
        await check();
        return bucket.entries.get(key) ?? null;
      },
      watch: (how: { initializedFn(): void }) => Promise.resolve(watch(bucket, how.initializedFn)),
    };
    const info = () => Promise.resolve({ created: bucket.made });
    const live = {
      js: { views: { kv: () => Promise.resolve(kv) } },
      manager: { streams: { info } },
      lost: lose.signal,
    };
    this.#live = live as unknown as Live;
    for (const wake of this.#wake.splice(0)) wake();
  }

  disconnect(): void {
    this.#live = null;
    this.#lose.abort();
  }

  async whenLive(signal: AbortSignal): Promise<Live | null> {
    while (this.#live === null) {
      if (signal.aborted) return null;
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return this.#live;
  }
}

function watch(bucket: FakeBucket, whole: () => void) {
  const queue: (Stored | "whole")[] = [...bucket.entries.values(), "whole"];
  let wake = (): void => {};
  let over = false;
  const hear = (entry: Stored): void => {
    queue.push(entry);
    wake();
  };
  bucket.watchers.add(hear);
  const stop = (): void => {
    over = true;
    bucket.watchers.delete(hear);
    wake();
  };
  async function* entries() {
    while (!over) {
      const next = queue.shift();
      if (next === "whole") whole();
      else if (next !== undefined) yield next;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  return { stop, [Symbol.asyncIterator]: entries };
}

async function turn(): Promise<void> {
  for (let count = 0; count < 4; count += 1) await new Promise((done) => setImmediate(done));
}

export interface NodeOptions {
  readonly budgets?: readonly Budget[];
  readonly onPartition?: OnPartition;
  readonly connected?: boolean;
  /** `data_dir`. */
  readonly folder?: string;
}

export class Fleet {
  now = NOON;
  readonly bucket = new FakeBucket();
  readonly nodes: FleetNode[] = [];
  #step = 0;
  readonly #root = mkdtempSync(join(tmpdir(), "budget-fleet-"));
  #folders = 0;

  async add(options: NodeOptions = {}): Promise<FleetNode> {
    this.#folders += 1;
    const { folder = join(this.#root, String(this.#folders)) } = options;
    const node = new FleetNode(this, folder, options);
    await node.start();
    this.nodes.push(node);
    await turn();
    await node.share.round();
    await this.pass(0);
    return node;
  }

  /** Takes a node out as `kill -9` does: what it has not told is on its disk alone. */
  kill(node: FleetNode): void {
    node.link.disconnect();
    this.nodes.splice(this.nodes.indexOf(node), 1);
  }

  /** So many milliseconds go by; the nodes have their rounds one after the other. */
  async pass(milliseconds: number): Promise<void> {
    const steps = milliseconds / STEP_MS;
    for (let step = 0; step < steps; step += 1) {
      this.now += STEP_MS;
      this.#step += 1;
      this.bucket.deliver();
      await turn();
      for (const [index, node] of this.nodes.entries()) {
        if ((this.#step + index * 2) % (ROUND_MS / STEP_MS) === 0) await node.share.round();
        await node.share.spending.apply();
      }
      await turn();
    }
    // What was put is heard, and looked at.
    await turn();
    for (const node of this.nodes) await node.share.spending.apply();
  }

  /** Everybody knows everything, and that all know it. */
  settle(): Promise<void> {
    return this.pass(2_500);
  }

  async end(): Promise<void> {
    for (const node of this.nodes) await node.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

let started = 0;

export class FleetNode {
  readonly folder: string;
  readonly id: string;
  readonly link: FakeLink;
  readonly keeper: BudgetKeeper;
  readonly share: BudgetShare;
  readonly warned: Crossing[] = [];
  readonly logged: string[] = [];
  readonly #fleet: Fleet;
  readonly #main: QuotaTable;
  /** As an acceptor sees it. */
  readonly #table: QuotaTable;
  readonly #writer = `w${++started}`;
  readonly #isConnected: boolean;
  #budgets: readonly Budget[];

  constructor(fleet: Fleet, folder: string, options: NodeOptions) {
    const { budgets = [budget()], onPartition = "fair_share", connected = true } = options;
    this.#fleet = fleet;
    this.#isConnected = connected;
    this.folder = folder;
    this.#budgets = budgets;
    mkdirSync(join(folder, "journal"), { recursive: true });
    const memory = allocateQuotaMemory(16, 2, 256);
    this.#main = new QuotaTable(memory, 1);
    this.#table = new QuotaTable(memory, 0);
    this.#main.shareMoney(firstShares(onPartition));
    this.link = new FakeLink(fleet.bucket);
    const tell = (_fields: object, message: string) => void this.logged.push(message);
    const log = { info: tell, warn: tell, error: tell };
    const clock = () => fleet.now;
    this.keeper = new BudgetKeeper({
      directory: join(folder, "journal"),
      path: join(folder, "budgets.json"),
      table: this.#main,
      live: () => new Set([this.#writer]),
      log,
      clock,
    });
    this.id = nodeId(folder, log);
    const members = () => fleet.nodes.map((node) => ({ instance: node.#writer })) as never;
    this.share = new BudgetShare({
      connection: this.link,
      membership: {
        get members() {
          return members();
        },
        get isFirst() {
          return fleet.nodes[0]?.id === undefined || fleet.nodes[0].folder === folder;
        },
      },
      names: fleetNames("weir"),
      replicas: 1,
      node: this.id,
      instance: this.#writer,
      onPartition,
      account: this.keeper,
      table: this.#main,
      warn: (crossings) => this.warned.push(...crossings),
      log,
      clock,
    });
    this.keeper.fleet = this.share.spending;
  }

  async start(): Promise<void> {
    await this.keeper.start(this.#budgets, this.#places);
    if (this.#isConnected) this.link.connect();
    this.share.start();
  }

  adopt(...budgets: Budget[]): Promise<void> {
    this.#budgets = budgets;
    return this.keeper.adopt(budgets, this.#places);
  }

  /** A request that costs so many dollars. False: it was refused. */
  spend(dollars: number, owner = "ann"): boolean {
    const money = this.#set.counters.map((counters) => counters.layerOf(owner));
    const clock = () => this.#fleet.now;
    const demand = { layers: [], money, tokens: 0, micros: dollars * MICROS };
    const lease = admitRequest(this.#table, demand, clock);
    if (isFailure(lease)) return false;
    const at = this.#fleet.now;
    const event = line(dollars, { at, api_key: owner });
    const path = join(this.folder, "journal", segmentName(this.#writer, 1));
    appendFileSync(path, event);
    utimesSync(path, at / 1_000, at / 1_000);
    expect0(settleLease(this.#table, lease, { tokens: 0, micros: dollars * MICROS }));
    return true;
  }

  /** How often a request of a dollar, or of another price, is admitted, at most so often. */
  spendAll(most = 100, dollars = 1, owner = "ann"): number {
    let admitted = 0;
    while (admitted < most && this.spend(dollars, owner)) admitted += 1;
    return admitted;
  }

  /** Dollars in the counter that admissions look at. */
  spent(owner = "ann", id = "b"): number {
    const counters = this.#set.counters.find((each) => each.budget.id === id);
    if (counters === undefined) throw new Error(`no budget ${id}`);
    return balanceOf(this.#table, counters.layerOf(owner), () => this.#fleet.now).spentMicros / MICROS;
  }

  /** Dollars of the node's own account, as it is kept on file. */
  async account(): Promise<number[]> {
    await this.keeper.stop();
    const path = join(this.folder, "budgets.json");
    if (!existsSync(path)) return [];
    const { totals } = JSON.parse(readFileSync(path, "utf8")) as { totals: Record<string, [number, number]> };
    return Object.values(totals).map(([, nanos]) => nanos / 1e9);
  }

  async stop(): Promise<void> {
    await this.keeper.stop();
    await this.share.stop();
    this.link.disconnect();
  }

  get #set(): BudgetSet {
    return new BudgetSet(this.#budgets, this.#places);
  }

  get #places(): Places {
    return new Places(Object.fromEntries(this.#budgets.map(({ id }, block) => [`budget:${id}`, block])));
  }
}

/** Acceptors of a fleet warn of nothing themselves. */
function expect0(crossings: readonly Crossing[]): void {
  if (crossings.length > 0) throw new Error("an acceptor has told");
}
