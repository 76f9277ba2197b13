/** One gateway of the rig: always on the same ports and the same data_dir, however often it is killed and started. */
import { join } from "node:path";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { type RunningGateway, sha256, startGateway } from "../../test/e2e/gateway.js";
import { ownPort } from "./ports.js";

export const ADMIN_KEY = "sk-rig-admin";

export interface NodeOptions {
  readonly name: string;
  readonly folder: string;
  readonly natsUrls: readonly string[];
  readonly replicas: number;
  readonly resources: Record<string, unknown>;
  /** More of weir.yaml. */
  readonly config?: Record<string, unknown>;
}

export class FleetNode {
  readonly name: string;
  readonly port: number;
  readonly opsUrl: string;
  readonly dataDirectory: string;
  readonly #options: NodeOptions;
  readonly #opsPort: number;
  #gateway: RunningGateway | null = null;

  private constructor(options: NodeOptions, port: number, opsPort: number) {
    this.#options = options;
    this.name = options.name;
    this.port = port;
    this.#opsPort = opsPort;
    this.opsUrl = `http://127.0.0.1:${opsPort}`;
    this.dataDirectory = join(options.folder, options.name);
  }

  static async create(options: NodeOptions): Promise<FleetNode> {
    return new FleetNode(options, await ownPort(), await ownPort());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get isRunning(): boolean {
    return this.#gateway !== null;
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    const { name, natsUrls, replicas, resources, config } = this.#options;
    this.#gateway = await startGateway({
      config: {
        acceptors: 1,
        listen: `127.0.0.1:${this.port}`,
        ops: { listen: `127.0.0.1:${this.#opsPort}`, admin_key_hashes: [sha256(ADMIN_KEY)] },
        data_dir: this.dataDirectory,
        node_name: name,
        trusted_proxies: ["127.0.0.1/32"],
        log: { access: false },
        cluster: { name: "rig", replicas, nats: { servers: natsUrls } },
        ...config,
      },
      environment: { TZ: "UTC" },
      resources,
    });
  }

  /** Sends a signal; resolves with the exit code (null = by the signal) when the process is gone. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const gateway = this.#gateway;
    if (gateway === null) return null;
    const { code } = await gateway.end(signal);
    this.#gateway = null;
    await gateway.dispose();
    return code;
  }

  /** What it has logged since it was started. */
  get log(): string {
    return this.#gateway === null ? "" : this.#gateway.stderr() + this.#gateway.stdout();
  }

  async status(): Promise<ClusterStatus> {
    return this.page<ClusterStatus>("/status/cluster");
  }

  /** A page of the ops listener. */
  async page<T>(path: string): Promise<T> {
    return (await (await fetch(this.opsUrl + path)).json()) as T;
  }

  async dispose(): Promise<void> {
    await this.#gateway?.dispose();
    this.#gateway = null;
  }

  killNow(): void {
    this.#gateway?.child.kill("SIGKILL");
  }
}
