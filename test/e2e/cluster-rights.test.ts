/** What a node's user in NATS must be allowed: what docs/operations.md says, and no more is needed. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { Client, ENDPOINTS, requestFor } from "./traffic.js";

let upstream: FakeUpstream;
let nats: NatsServer;
let directory: string;
const gateways = new Set<RunningGateway>();

/** As the page shows them. */
function documentedRights(): string {
  const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  return /```text\n(permissions[^`]*)```/.exec(page)?.[1] ?? "";
}

async function startNode(password: string): Promise<RunningGateway> {
  const login = { user: "node", password };
  const gateway = await startGateway({
    config: {
      acceptors: 1,
      data_dir: directory,
      log: { access: false },
      cluster: { nats: { servers: [nats.url], ...login } },
    },
    resources: oneProvider(upstream.url),
  });
  gateways.add(gateway);
  return gateway;
}

async function ask({ url }: RunningGateway, count: number): Promise<void> {
  const client = new Client(url);
  const body = requestFor(ENDPOINTS.chat, { fake: { words: 5 } });
  for (let index = 0; index < count; index += 1) {
    expect((await client.post(ENDPOINTS.chat.path, body)).status).toBe(200);
  }
  client.close();
}

async function problemOf({ opsUrl }: RunningGateway): Promise<string> {
  const status = JSON.parse((await call(`${opsUrl}/status/cluster`, { headers: {} })).text) as ClusterStatus;
  return status.nats?.problem ?? "";
}

/** Up to where usage has been added up. */
function position(): Promise<number> {
  return nats.with(async (_manager, client) => {
    const bucket = await client.jetstream().views.kv("WEIR_ROLLUPS", { bindOnly: true });
    return (await bucket.get("position"))?.json<{ sequence: number }>().sequence ?? 0;
  });
}

describe.skipIf(NATS_PROGRAM === null)(`rights in NATS${NATS_REASON}`, () => {
  beforeAll(async () => {
    expect(documentedRights()).not.toBe("");
    const users = `{user: node, password: secret, ${documentedRights()}}, {user: admin, password: admin}`;
    directory = mkdtempSync(join(tmpdir(), "weir-rights-"));
    upstream = await startFakeUpstream();
    nats = await NatsServer.create({
      config: `authorization { users: [${users}] }\n`,
      login: { user: "admin", pass: "admin" },
    });
  });
  afterEach(async () => {
    for (const gateway of gateways) await gateway.dispose();
    gateways.clear();
  });
  afterAll(async () => {
    await nats?.dispose();
    await upstream?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it("a node that is not let in says so, serves all the same, and ends well", async () => {
    const stranger = await startNode("wrong");
    await until(async () => /authorization/i.test(await problemOf(stranger)));
    await ask(stranger, 1);
    expect(await stranger.end()).toEqual({ code: 0, signal: null });
  });

  it("the documented rights are enough, also to go on where an earlier start ended", async () => {
    const first = await startNode("secret");
    await ask(first, 9);
    await until(async () => (await nats.count("WEIR_USAGE")) === 10);
    expect(await first.end()).toEqual({ code: 0, signal: null });
    const second = await startNode("secret");
    await ask(second, 5);
    await until(async () => (await nats.count("WEIR_USAGE")) === 15);
    await until(async () => (await position().catch(() => 0)) === 15);
    for (const gateway of [first, second]) expect(gateway.stdout()).not.toMatch(/permission|refuse/i);
  });
});
