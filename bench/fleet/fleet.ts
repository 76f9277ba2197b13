/** The whole fleet on loopback: NATS servers, nodes, balancer and upstream. It ends all of it by the pids it knows. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256, until } from "../../test/e2e/gateway.js";
import { firstLine } from "../load/children.js";
import { atExit } from "./ending.js";
import { Balancer, HAPROXY_PROGRAM } from "./balancer.js";
import { NatsCluster } from "./nats-cluster.js";
import { FleetNode } from "./node.js";
import type { Arrival, Given } from "./wanted.js";

export const CALLER_KEY = "sk-rig-caller";
/** Under the limits that `FleetOptions.limit` says. */
export const LIMITED_KEY = "sk-rig-limited";
export const MODEL = "fleet";

const NODES = ["one", "two", "three"] as const;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const READY_MS = 30_000;

export interface FleetOptions {
  /** Through HAProxy, else to the nodes by turns. */
  readonly balanced: boolean;
  /** `rate_limit` of the limited key. */
  readonly limit?: Record<string, number>;
  /** More of every node's weir.yaml. */
  readonly config?: Record<string, unknown>;
  /** How many of the three nodes are started; all by default. */
  readonly started?: number;
  /** More entries of the resource file, by collection. */
  readonly resources?: Record<string, readonly unknown[]>;
}

export class Fleet {
  readonly nats: NatsCluster;
  readonly nodes: readonly FleetNode[];
  readonly #folder: string;
  readonly #upstream: Upstream;
  readonly #unregister: () => void;
  #balancer: Balancer | null = null;

  private constructor(nats: NatsCluster, nodes: readonly FleetNode[], folder: string, upstream: Upstream) {
    this.nats = nats;
    this.nodes = nodes;
    this.#folder = folder;
    this.#upstream = upstream;
    this.#unregister = atExit(() => {
      for (const node of nodes) node.killNow();
    });
  }

  /** Resolves when the started nodes serve, know each other and the balancer sends to them. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const upstream = await startUpstream();
    const nats = await NatsCluster.create().catch((error: unknown) => {
      upstream.end();
      throw error;
    });
    const folder = mkdtempSync(join(tmpdir(), "weir-rig-"));
    const shared = { folder, natsUrls: nats.urls, replicas: nats.count, resources: resources(upstream.url, options) };
    const config = options.config ?? {};
    const nodes = await Promise.all(NODES.map((name) => FleetNode.create({ ...shared, name, config })));
    const fleet = new Fleet(nats, nodes, folder, upstream);
    try {
      await fleet.#begin(options);
    } catch (error) {
      await fleet.dispose();
      throw error;
    }
    return fleet;
  }

  async #begin({ balanced, started = NODES.length }: FleetOptions): Promise<void> {
    // All of them have to be there, or gone, before anything is thrown: who is just starting could not be ended.
    const starts = await Promise.allSettled(this.nodes.slice(0, started).map((node) => node.start()));
    for (const start of starts) if (start.status === "rejected") throw start.reason;
    if (balanced) {
      if (HAPROXY_PROGRAM === null) throw new Error("there is no haproxy; install Debian's package haproxy");
      this.#balancer = await Balancer.start(this.#folder, this.nodes);
    }
    await this.settled();
  }

  /** Where requests go to. */
  get urls(): string[] {
    return this.#balancer === null ? this.nodes.map(({ url }) => url) : [this.#balancer.url];
  }

  get upstreamUrl(): string {
    return this.#upstream.url;
  }

  get running(): FleetNode[] {
    return this.nodes.filter(({ isRunning }) => isRunning);
  }

  /** Resolves when all running nodes know each other and are connected, and the balancer has them. */
  async settled(): Promise<void> {
    const names = this.running.map(({ name }) => name).sort();
    for (const node of this.running) {
      await until(async () => {
        const { members, nats } = await node.status();
        const known = members.map((member) => member.node).sort();
        return nats?.state === "connected" && known.join() === names.join();
      }, READY_MS);
    }
    await until(async () => this.#balancer === null || (await this.#balancer.up()).length >= names.length, READY_MS);
  }

  /** Resolves when every running node has all of its journal in the stream. */
  async drained(timeoutMs = 60_000): Promise<void> {
    for (const node of this.running) {
      await until(async () => {
        const { usage, nats } = await node.status();
        const rest = (usage?.backlog_bytes ?? 1) + (usage?.in_flight ?? 1);
        return nats?.state === "connected" && rest === 0;
      }, timeoutMs);
    }
  }

  /** What the upstream gave, by the rig's names for its requests. */
  async given(): Promise<Map<string, Given>> {
    return new Map((await (await fetch(`${this.#upstream.url}/control/given`)).json()) as [string, Given][]);
  }

  /** When calls of a model came to the upstream. */
  async arrivals(model: string): Promise<Arrival[]> {
    return (await (await fetch(`${this.#upstream.url}/control/arrivals?model=${model}`)).json()) as Arrival[];
  }

  /** Ends everything and removes its files. */
  async dispose(): Promise<void> {
    this.#unregister();
    await this.#balancer?.dispose();
    await Promise.all(this.nodes.map((node) => node.dispose()));
    await this.nats.dispose();
    this.#upstream.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Upstream {
  readonly url: string;
  end(): void;
}

async function startUpstream(): Promise<Upstream> {
  const args = ["--import", import.meta.resolve("tsx"), fileURLToPath(new URL("upstream.ts", import.meta.url))];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const kill = (): void => void child.kill("SIGKILL");
  const unregister = atExit(kill);
  const { port } = JSON.parse(await firstLine(child)) as { port: number };
  const end = (): void => {
    unregister();
    kill();
  };
  return { url: `http://127.0.0.1:${port}`, end };
}

/** The entry that scenarios change: key and header must always come together. */
export function echoKey(upstream: string, revision: number): Record<string, unknown> {
  return {
    display_name: "echo",
    provider: "openai",
    api_base: `${upstream}/v1`,
    api_key: `sk-revision-${revision}`,
    request: { default_headers: { "x-fleet-revision": String(revision) } },
  };
}

/** One model whose first target fails now and then, a plain one, one that echoes, and one for the limited key. */
function resources(upstream: string, { limit = {}, resources: more = {} }: FleetOptions): Record<string, unknown> {
  const provider = { provider: "openai", provider_key: "main", cooldown: { enabled: false } };
  const direct = (name: string) => ({ ...provider, display_name: name, model_name: name });
  const failover = { routing: { targets: [{ model: "fleet-shaky" }, { model: "fleet-steady" }] } };
  return {
    _format_version: "1",
    provider_keys: [
      { display_name: "main", provider: "openai", api_base: `${upstream}/v1`, api_key: "sk-upstream" },
      echoKey(upstream, 0),
      ...(more.provider_keys ?? []),
    ],
    models: [
      direct("fleet-shaky"),
      direct("fleet-steady"),
      direct("fleet-limited"),
      { ...direct("fleet-echo"), provider_key: "echo" },
      { display_name: MODEL, ...failover },
      ...(more.models ?? []),
    ],
    api_keys: [
      { display_name: "caller", key_hash: sha256(CALLER_KEY), allowed_models: ["*"] },
      { display_name: "limited", key_hash: sha256(LIMITED_KEY), allowed_models: ["*"], rate_limit: limit },
      ...(more.api_keys ?? []),
    ],
  };
}
