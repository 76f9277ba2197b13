/** HAProxy before the nodes: by turns, whoever is ready; nothing is tried again but a connection that failed. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../test/e2e/gateway.js";
import { atExit } from "./ending.js";
import { ownPort } from "./ports.js";

const PLACES = ["haproxy", "/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];
const START_MS = 10_000;
/** How often a node is asked whether it is ready; two answers in a row that it is not take it out. */
export const CHECK_MS = 200;

/** null = there is none. */
export const HAPROXY_PROGRAM: string | null =
  PLACES.find((place) => (place.startsWith("/") ? existsSync(place) : spawnSync(place, ["-v"]).status === 0)) ?? null;

export interface BalancedNode {
  readonly name: string;
  readonly port: number;
}

export class Balancer {
  readonly url: string;
  readonly #statusUrl: string;
  readonly #child: ChildProcess;
  readonly #unregister: () => void;

  private constructor(port: number, statusPort: number, child: ChildProcess) {
    this.url = `http://127.0.0.1:${port}`;
    this.#statusUrl = `http://127.0.0.1:${statusPort}/;csv`;
    this.#child = child;
    this.#unregister = atExit(() => void child.kill("SIGKILL"));
  }

  static async start(folder: string, nodes: readonly BalancedNode[]): Promise<Balancer> {
    const port = await ownPort();
    const statusPort = await ownPort();
    const file = join(folder, "haproxy.cfg");
    writeFileSync(file, configuration(port, statusPort, nodes));
    const child = spawn(HAPROXY_PROGRAM ?? "haproxy", ["-db", "-f", file], { stdio: "ignore" });
    const balancer = new Balancer(port, statusPort, child);
    await until(() => {
      if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`);
      return balancer.up().then(
        () => true,
        () => false,
      );
    }, START_MS);
    return balancer;
  }

  /** Names of the nodes that it sends requests to. */
  async up(): Promise<string[]> {
    const [head = "", ...rows] = (await (await fetch(this.#statusUrl)).text()).split("\n");
    const names = head.replace(/^# /, "").split(",");
    const [backend, name, status] = ["pxname", "svname", "status"].map((column) => names.indexOf(column));
    const cells = rows.map((row) => row.split(","));
    return cells
      .filter((row) => row[backend ?? -1] === "nodes" && row[name ?? -1] !== "BACKEND")
      .filter((row) => row[status ?? -1]?.startsWith("UP"))
      .map((row) => row[name ?? -1] ?? "");
  }

  /** Ends it by its own pid. */
  async dispose(): Promise<void> {
    this.#unregister();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((done) => this.#child.once("exit", () => done()));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

function configuration(port: number, statusPort: number, nodes: readonly BalancedNode[]): string {
  return `global
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 120s
  timeout server 120s
  timeout check 2s
  retries 3
  option redispatch 1
  retry-on conn-failure
frontend proxy
  bind 127.0.0.1:${port}
  default_backend nodes
frontend status
  bind 127.0.0.1:${statusPort}
  stats enable
  stats uri /
backend nodes
  balance roundrobin
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr host weir
  http-check expect status 200
  default-server check inter ${CHECK_MS}ms fall 2 rise 1
${nodes.map((node) => `  server ${node.name} 127.0.0.1:${node.port}`).join("\n")}
`;
}
