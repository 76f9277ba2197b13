/** Nodes of a fleet with one cache, and the ways to look at it. */
import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import type { FakeUpstream } from "../fake-upstream/fake-upstream.js";
import { ADMIN_KEY, cacheOf, OTHER_KEY } from "./cache-gateway.js";
import { oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NatsServer } from "./nats.js";
import { ask, page } from "./wire.js";

export const STREAM = "KV_WEIR_CACHE";
/** The first that fits counts, by the file's order and by their names' alike. */
const POLICIES = [
  { name: "a-short", applies_to: "model:gpt-short", backend: "cluster", ttl_seconds: 5 },
  { name: "b-own", applies_to: "model:gpt-own", backend: "memory" },
  { name: "c-together", applies_to: "model:gpt-together", backend: "cluster", collapse: true },
  { name: "d-everybody", applies_to: "model:gpt-all", backend: "cluster", scope: "env" },
  { name: "e-shared", backend: "cluster" },
];

/** The way to NATS, which can be cut, and can fall silent without a word. */
export class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  port = 0;

  constructor(target: number) {
    this.#server = createServer((near) => {
      if (this.#cut) {
        near.destroy();
        return;
      }
      const far = connect(target, "127.0.0.1");
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far);
      far.pipe(near);
    });
  }

  listen(): Promise<void> {
    return new Promise((done) => {
      this.#server.listen(0, "127.0.0.1", () => {
        this.port = (this.#server.address() as { port: number }).port;
        done();
      });
    });
  }

  silence(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

/** What docs/operations.md lets a node do. */
function documentedRights(): string {
  const document = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  return /```text\n(permissions[^`]*)```/.exec(document)?.[1] ?? "";
}

/** A server that allows a node no more than what the documents say. */
export function startNats(): Promise<NatsServer> {
  const users = `{user: node, password: secret, ${documentedRights()}}, {user: admin, password: admin}`;
  const config = `authorization { users: [${users}] }\n`;
  return NatsServer.create({ config, login: { user: "admin", pass: "admin" } });
}

/** `waitMs`: long where a busy machine must not look like a miss. */
export async function startNode(
  name: string,
  { upstream, url, waitMs = 5_000 }: { upstream: FakeUpstream; url: string; waitMs?: number },
): Promise<RunningGateway> {
  const plain = oneProvider(upstream.url);
  const other = { display_name: "other", key_hash: sha256(OTHER_KEY), allowed_models: ["*"] };
  const models = ["gpt-short", "gpt-own", "gpt-together", "gpt-all"].map((model) => ({
    display_name: model,
    provider: "openai",
    model_name: model,
    provider_key: "openai-main",
  }));
  const cache = { max_bytes: 8 * 1024 * 1024, wait_ms: waitMs };
  const gateway = await startGateway({
    config: {
      acceptors: 2,
      node_name: name,
      ops: { listen: "127.0.0.1:0", admin_key_hashes: [sha256(ADMIN_KEY)] },
      cluster: { nats: { servers: [url], user: "node", password: "secret" }, cache },
    },
    resources: {
      ...plain,
      models: [...models, ...(plain.models as object[])],
      api_keys: [...(plain.api_keys as object[]), other],
      cache_policies: POLICIES,
    },
  });
  await open(gateway);
  return gateway;
}

export async function cacheStatus({ opsUrl }: RunningGateway): Promise<NonNullable<ClusterStatus["cache"]>> {
  const { cache } = (await page(`${opsUrl}/status/cluster`)).json as ClusterStatus;
  if (cache === null) throw new Error("the node says nothing of the cache");
  return cache;
}

/** Waits until the node can use the bucket. */
export function open(gateway: RunningGateway): Promise<unknown> {
  return until(async () => (await cacheStatus(gateway)).open, 20_000);
}

/** Asks, and waits until the answer is there for other nodes. */
export async function askAndShare(gateway: RunningGateway, body: unknown, key?: string) {
  const { stored } = await cacheStatus(gateway);
  const answer = await ask(gateway.url, body, key === undefined ? {} : { key });
  expect([answer.status, cacheOf(answer)]).toEqual([200, "miss"]);
  await until(async () => (await cacheStatus(gateway)).stored > stored, 10_000);
  return answer;
}

export function purge({ opsUrl }: RunningGateway, body: unknown) {
  return ask(opsUrl, body, { path: "/admin/v1/cache/purge", key: ADMIN_KEY });
}

/** Answers of a policy in the bucket. */
export function inBucket(nats: NatsServer, policy = "*"): Promise<number> {
  return nats.with(async (manager) => {
    const { state } = await manager.streams.info(STREAM, { subjects_filter: `$KV.WEIR_CACHE.e.${policy}.>` });
    return Object.keys(state.subjects ?? {}).length;
  });
}
