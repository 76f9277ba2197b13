/** Three nats-servers that are one cluster, on loopback, with streams on disk; each can be killed and started again. */
import { NatsServer } from "../../test/e2e/nats.js";
import { until } from "../../test/e2e/gateway.js";
import { atExit } from "./ending.js";
import { ownPort } from "./ports.js";

const SERVERS = [0, 1, 2] as const;
const READY_MS = 30_000;

/** What one client of a server has sent and been sent so far. */
export interface ClientTraffic {
  readonly name: string;
  readonly messages: number;
}

interface Monitored {
  readonly server: NatsServer;
  readonly monitor: number;
}

export class NatsCluster {
  readonly #servers: readonly Monitored[];
  readonly #unregister: () => void;

  private constructor(servers: readonly Monitored[]) {
    this.#servers = servers;
    this.#unregister = atExit(() => {
      for (const { server } of servers) void server.kill();
    });
  }

  /** Resolves when streams can be made. */
  static async create(): Promise<NatsCluster> {
    const routes = await Promise.all(SERVERS.map(ownPort));
    const monitors = await Promise.all(SERVERS.map(ownPort));
    const list = routes.map((port) => `nats-route://127.0.0.1:${port}`).join(", ");
    const servers: Monitored[] = [];
    for (const index of SERVERS) {
      const config = [
        `server_name: rig-${index}`,
        `http: "127.0.0.1:${monitors[index]}"`,
        `cluster { name: rig, listen: "127.0.0.1:${routes[index]}", routes: [${list}] }`,
      ];
      const server = await NatsServer.create({ started: false, port: await ownPort(), config: config.join("\n") });
      servers.push({ server, monitor: monitors[index] as number });
    }
    const cluster = new NatsCluster(servers);
    await cluster.startAll().catch(async (error: unknown) => {
      await cluster.dispose();
      throw error;
    });
    return cluster;
  }

  get count(): number {
    return this.#servers.length;
  }

  get urls(): string[] {
    return this.#servers.map(({ server }) => server.url);
  }

  server(index: number): NatsServer {
    return (this.#servers[index] as Monitored).server;
  }

  async kill(index: number): Promise<void> {
    await this.server(index).kill();
  }

  async start(index: number): Promise<void> {
    await this.server(index).start();
  }

  async killAll(): Promise<void> {
    await Promise.all(this.#servers.map(({ server }) => server.kill()));
  }

  /** Resolves when the cluster has a leader for its streams. */
  async startAll(): Promise<void> {
    await Promise.all(this.#servers.map(({ server }) => server.start()));
    await this.ready();
  }

  async ready(): Promise<void> {
    await until(
      () =>
        this.server(0)
          .with((manager) => manager.getAccountInfo())
          .catch(() => null),
      READY_MS,
    );
  }

  /** Of all clients of all servers that are up. */
  async traffic(): Promise<ClientTraffic[]> {
    const pages = await Promise.all(
      this.#servers.map(async ({ monitor }) => {
        const page = await fetch(`http://127.0.0.1:${monitor}/connz`).catch(() => null);
        return page === null ? [] : ((await page.json()) as { connections: Connz[] }).connections;
      }),
    );
    return pages.flat().map(({ name = "", in_msgs, out_msgs }) => ({ name, messages: in_msgs + out_msgs }));
  }

  /** Kills all and removes their files. */
  async dispose(): Promise<void> {
    this.#unregister();
    await Promise.all(this.#servers.map(({ server }) => server.dispose()));
  }
}

interface Connz {
  readonly name?: string;
  readonly in_msgs: number;
  readonly out_msgs: number;
}
