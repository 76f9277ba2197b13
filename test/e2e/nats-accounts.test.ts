/** The users of deploy/nats: what a node needs, what a reader of usage may do, and what it may not. */
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type ConnectionOptions, connect, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { Client, ENDPOINTS, requestFor } from "./traffic.js";

/** As an include wants it: from the folder of the server's configuration, which is one below the temporary ones. */
const ACCOUNTS = relative(
  join(tmpdir(), "server"),
  fileURLToPath(new URL("../../deploy/nats/accounts.conf", import.meta.url)),
);
const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const REQUESTS = 6;
const ANSWER_MS = 1_000;

/** Which the accounts read from the environment of the server. */
const PASSWORDS = {
  NATS_NODE_PASSWORD: "node-secret",
  NATS_READER_PASSWORD: "reader-secret",
  NATS_ADMIN_PASSWORD: "admin-secret",
  NATS_SYSTEM_PASSWORD: "system-secret",
};

let upstream: FakeUpstream;
let nats: NatsServer;
let gateway: RunningGateway;
const clients: NatsConnection[] = [];

async function logIn(user: string, more: ConnectionOptions = {}): Promise<NatsConnection> {
  const client = await connect({ servers: nats.url, user, pass: `${user}-secret`, reconnect: false, ...more });
  clients.push(client);
  return client;
}

/** Does the server let this user ask? Its refusal, or "" when it does. */
async function refusal(client: NatsConnection, subject: string, body = ""): Promise<string> {
  try {
    await client.request(subject, Buffer.from(body), { timeout: ANSWER_MS, noMux: true, reply: replyOf(client) });
    return "";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

let replies = 0;
function replyOf(client: NatsConnection): string {
  replies += 1;
  return `_INBOX.${client.info?.client_id ?? 0}.${replies}`;
}

/** What the server says about a subscription: its refusal, or "" when there is none. */
async function subscribing(client: NatsConnection, subject: string): Promise<string> {
  let problem = "";
  const subscription = client.subscribe(subject, {
    callback: (error) => {
      if (error !== null) problem = error.message;
    },
  });
  // Answers come in order: what the server thinks of the subscription has come when this has.
  await client.flush();
  await new Promise((done) => setImmediate(done));
  subscription.unsubscribe();
  return problem;
}

describe.skipIf(NATS_PROGRAM === null)(`the accounts of deploy/nats${NATS_REASON}`, () => {
  beforeAll(async () => {
    Object.assign(process.env, PASSWORDS);
    upstream = await startFakeUpstream();
    nats = await NatsServer.create({
      config: `include ${JSON.stringify(ACCOUNTS)}\n`,
      login: { user: "admin", pass: PASSWORDS.NATS_ADMIN_PASSWORD },
    });
    const login = { user: "node", password: PASSWORDS.NATS_NODE_PASSWORD };
    gateway = await startGateway({
      config: { acceptors: 1, log: { access: false }, cluster: { nats: { servers: [nats.url], ...login } } },
      resources: oneProvider(upstream.url),
    });
    const client = new Client(gateway.url);
    for (let index = 0; index < REQUESTS; index += 1) {
      expect((await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, {}))).status).toBe(200);
    }
    client.close();
    await until(async () => (await nats.count("WEIR_USAGE")) === REQUESTS);
  });

  afterAll(async () => {
    for (const client of clients) await client.close();
    await gateway?.dispose();
    await nats?.dispose();
    await upstream?.close();
    for (const name of Object.keys(PASSWORDS)) delete process.env[name];
  });

  it("a node works with its rights: nothing it did was refused", () => {
    expect(gateway.stdout()).not.toMatch(/permission|refuse/i);
  });

  it("a reader reads the stream with a durable consumer of its own, and hears of what comes", async () => {
    const reader = await logIn("reader");
    const manager = await reader.jetstreamManager();
    await manager.consumers.add("WEIR_USAGE", { durable_name: "billing", ack_policy: "explicit" as never });
    const consumer = await reader.jetstream().consumers.get("WEIR_USAGE", "billing");
    const seen: UsageEvent[] = [];
    for await (const message of await consumer.fetch({ max_messages: REQUESTS, expires: 5_000 })) {
      seen.push(message.json<UsageEvent>());
      expect(await message.ackAck()).toBe(true);
    }
    expect(new Set(seen.map(({ id }) => id)).size).toBe(REQUESTS);
    expect((await manager.consumers.info("WEIR_USAGE", "billing")).num_ack_pending).toBe(0);
    expect(await subscribing(reader, "weir.usage.>")).toBe("");
  });

  it("a reader reads the sums", async () => {
    const reader = await logIn("reader");
    const read = async () => {
      const bucket = await reader.jetstream().views.kv("WEIR_ROLLUPS", { bindOnly: true });
      return (await bucket.get("position"))?.json<{ sequence: number }>().sequence ?? 0;
    };
    await until(async () => (await read().catch(() => 0)) === REQUESTS, 20_000);
    const bucket = await reader.jetstream().views.kv("WEIR_ROLLUPS", { bindOnly: true });
    const keys: string[] = [];
    for await (const key of await bucket.keys()) keys.push(key);
    expect(keys).toEqual(expect.arrayContaining(["position", expect.stringMatching(/^\d{4}-\d\d-\d\d\.tester\./)]));
  });

  it.each([
    ["sum", "--json", "--by", "model"],
    ["tail", "--json", "--from-start"],
  ])("a reader asks with weir usage %s", async (what, ...args) => {
    const child = spawn(process.execPath, [MAIN, "usage", what, "--nats", "--servers", nats.url, ...args], {
      env: {
        PATH: process.env.PATH ?? "",
        WEIR_CLUSTER__NATS__USER: "reader",
        WEIR_CLUSTER__NATS__PASSWORD: PASSWORDS.NATS_READER_PASSWORD,
      },
    });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        out += text;
      });
    }
    const ended = new Promise<number | null>((done) => child.once("close", (code) => done(code)));
    const lines = () => out.split("\n").slice(0, -1);
    if (what === "tail") {
      await until(async () => lines().length === REQUESTS);
      child.kill("SIGTERM");
    }
    expect([await ended, out.replace(/"v":1.*/g, "")]).toEqual([0, expect.not.stringMatching(/permission/i)]);
    if (what === "sum") expect(lines().map((line) => JSON.parse(line).requests)).toEqual([REQUESTS]);
  });

  it.each(["weir._INBOX.>", "weir.members", "weir.quota.>", "weir.health", "$KV.WEIR_CONFIG.>", ">", "$SYS.>"])(
    "a reader may not listen on %s",
    async (subject) => {
      expect(await subscribing(await logIn("reader"), subject)).toMatch(/permissions violation/i);
    },
  );

  it.each([
    ["put an event into the stream", "weir.usage.tester.gpt"],
    ["speak as a node", "weir.members"],
    ["grant itself a limit", "weir.quota.ledger"],
    ["purge caches", "weir.cache.purge"],
    ["change a resource", "$KV.WEIR_CONFIG.api_keys.tester"],
    ["read a resource", "$JS.API.DIRECT.GET.KV_WEIR_CONFIG.$KV.WEIR_CONFIG.api_keys.tester"],
    ["read a resource by its sequence", "$JS.API.STREAM.MSG.GET.KV_WEIR_CONFIG"],
    ["follow the resources", "$JS.API.CONSUMER.CREATE.KV_WEIR_CONFIG"],
    ["read the audit", "$JS.API.CONSUMER.CREATE.WEIR_AUDIT"],
    ["read cached answers", "$JS.API.DIRECT.GET.KV_WEIR_CACHE.$KV.WEIR_CACHE.any"],
    ["delete the stream", "$JS.API.STREAM.DELETE.WEIR_USAGE"],
    ["empty the stream", "$JS.API.STREAM.PURGE.WEIR_USAGE"],
    ["change the stream", "$JS.API.STREAM.UPDATE.WEIR_USAGE"],
    ["make a stream", "$JS.API.STREAM.CREATE.OTHER"],
    ["end another's consumer", "$JS.API.CONSUMER.DELETE.WEIR_USAGE.billing"],
    ["change the sums", "$KV.WEIR_ROLLUPS.position"],
  ])("a reader may not %s", async (_what, subject) => {
    expect(await refusal(await logIn("reader"), subject)).toBe("PERMISSIONS_VIOLATION");
  });

  it("a reader is asked for its password", async () => {
    await expect(logIn("reader", { pass: "wrong" })).rejects.toThrow(/authorization/i);
  });

  it("the admin sees it all, and the system's user nothing of the fleet's", async () => {
    const admin = await logIn("admin");
    const names = await (await admin.jetstreamManager()).streams.names().next();
    expect(names).toEqual(expect.arrayContaining(["WEIR_USAGE", "KV_WEIR_ROLLUPS"]));
    const system = await logIn("system");
    expect(await refusal(system, "$JS.API.STREAM.INFO.WEIR_USAGE")).not.toBe("");
  });
});
