// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resources is in play here.
/** Resources in NATS: one change is in force on every node, a wrong one on none, and a node starts without NATS too. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { ask, chat, page } from "./wire.js";

const ADMIN = "admin-key-of-the-test";
const SECRET = "sk-upstream-openai";

let upstream: FakeUpstream;
let nats: NatsServer;
const gateways = new Set<RunningGateway>();

interface Manner {
  readonly resources?: Record<string, unknown> | null;
  readonly dataDirectory?: string;
  readonly mode?: "nats" | "file";
  readonly environment?: Record<string, string>;
}

async function startNode(name: string, manner: Manner = {}): Promise<RunningGateway> {
  const { resources = oneProvider(upstream.url), dataDirectory, mode = "nats", environment = {} } = manner;
  const gateway = await startGateway({
    config: {
      acceptors: 2,
      node_name: name,
      log: { access: false },
      ops: { listen: "127.0.0.1:0", admin_key_hashes: [sha256(ADMIN)] },
      cluster: { config: mode, nats: { servers: [nats.url] } },
      ...(dataDirectory === undefined ? {} : { data_dir: dataDirectory }),
    },
    environment,
    resources,
  });
  gateways.add(gateway);
  return gateway;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
  readonly json: any;
}

interface AdminCall {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

async function admin(node: RunningGateway, method: string, path: string, call: AdminCall = {}): Promise<Answer> {
  const answer = await fetch(`${node.opsUrl}/admin/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN}`, connection: "close", ...call.headers },
    ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
  });
  return { status: answer.status, headers: answer.headers, json: await answer.json() };
}

// biome-ignore lint/suspicious/noExplicitAny: a page is looked into field by field.
async function status(node: RunningGateway): Promise<any> {
  return (await page(`${node.opsUrl}/status/config`)).json;
}

async function seeded(...nodes: RunningGateway[]): Promise<void> {
  for (const node of nodes) await until(async () => (await status(node)).source === "nats", 20_000);
}

/** Every acceptor answers alike: connections are spread over them. */
async function allAnswer(node: RunningGateway, wanted: number, key = KEY, model = "gpt-test"): Promise<void> {
  await until(async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => ask(node.url, chat({}, { model }), { key, headers: { connection: "close" } })),
    );
    return answers.every((answer) => answer.status === wanted);
  }, 15_000);
}

function callerKey(name: string): Record<string, unknown> {
  return { display_name: name, key_hash: sha256(name), allowed_models: ["*"] };
}

function bucketText(): Promise<string> {
  return nats.messages("KV_WEIR_CONFIG").then((all) => all.map(({ data }) => Buffer.from(data).toString()).join("\n"));
}

function putByHand(key: string, text: string): Promise<number> {
  return nats.with(async (_manager, client) => {
    const bucket = await client.jetstream().views.kv("WEIR_CONFIG", { bindOnly: true });
    return bucket.put(key, text);
  });
}

describe.skipIf(NATS_PROGRAM === null)(`resources in NATS${NATS_REASON}`, () => {
  beforeAll(async () => {
    upstream = await startFakeUpstream();
  });
  afterAll(() => upstream?.close());
  beforeEach(async () => {
    nats = await NatsServer.create();
  });
  afterEach(async () => {
    for (const gateway of gateways) await gateway.dispose();
    gateways.clear();
    await nats.dispose();
  });

  it("come from the file once, and from then on a change on one node is in force on both", async () => {
    const [first, second] = await Promise.all([startNode("first"), startNode("second")]);
    await seeded(first, second);
    const { json } = await admin(first, "GET", "models");
    expect(json).toMatchObject({ source: "nats", revision: expect.any(Number) });
    expect(json.items.map(({ name }: { name: string }) => name)).toEqual([
      "claude-*",
      "gpt-*",
      "gpt-alias",
      "text-embedding-*",
    ]);
    const put = await admin(first, "PUT", "api_keys/new%20key%2F1", {
      body: { key_hash: sha256("fresh"), allowed_models: ["*"] },
    });
    expect(put.status).toBe(201);
    expect(put.json).toMatchObject({ name: "new key/1", value: { display_name: "new key/1" } });
    expect(put.headers.get("etag")).toBe(`"${put.json.revision}"`);
    await allAnswer(first, 200, "fresh");
    await allAnswer(second, 200, "fresh");
    expect(await status(second)).toMatchObject({ revision: String(put.json.revision), api_keys: 2, refused: null });
    expect((await admin(second, "DELETE", "api_keys/new%20key%2F1")).status).toBe(200);
    await allAnswer(first, 401, "fresh");
    await allAnswer(second, 401, "fresh");
    expect((await admin(first, "GET", "api_keys/new%20key%2F1")).status).toBe(404);
    // The file is not read any more, and that is said.
    first.writeResources({ ...oneProvider(upstream.url), api_keys: [callerKey("from file")] });
    first.child.kill("SIGHUP");
    await until(() => first.stdout().includes("the file is not read"));
    await allAnswer(first, 200);
  });

  it("are refused with every reason where they are wrong, and the last good ones serve", async () => {
    const [first, second] = await Promise.all([startNode("first"), startNode("second")]);
    await seeded(first, second);
    const before = await status(first);
    const wrong = await admin(first, "PUT", "models/other", {
      body: { provider: "openai", model_name: "x", provider_key: "nowhere", retries: 99 },
    });
    expect(wrong.status).toBe(400);
    const paths = wrong.json.error.errors.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(expect.arrayContaining(['models "other".provider_key', 'models "other".retries']));
    expect((await status(first)).revision).toBe(before.revision);
    const inUse = await admin(second, "DELETE", "provider_keys/openai-main");
    expect(inUse.status).toBe(409);
    expect(JSON.stringify(inUse.json)).toContain('models \\"gpt-alias\\".provider_key');
    await putByHand(
      "models.by-hand",
      JSON.stringify({ display_name: "by-hand", provider: "openai", surprise: SECRET }),
    );
    await putByHand("models.no-json", "{");
    for (const node of [first, second]) {
      const refused = await until(async () => {
        const told = (await status(node)).refused;
        return told?.errors.length >= 4 ? told : null;
      });
      const text = refused.errors.join("\n");
      for (const part of ['models "by-hand".surprise', 'models "no-json": is not JSON']) expect(text).toContain(part);
      await allAnswer(node, 200);
    }
    // One error after the other can be mended, and whoever does so is told that it is not over.
    const mended = await admin(first, "DELETE", "models/by-hand");
    expect(mended.status).toBe(200);
    expect(mended.json.not_in_force).toEqual([{ path: 'models "no-json"', message: "is not JSON" }]);
    expect((await admin(second, "DELETE", "models/no-json")).json.not_in_force).toBeUndefined();
    for (const node of [first, second]) await until(async () => (await status(node)).refused === null);
  });

  it("are changed only as they were expected, and secrets are kept without being shown", async () => {
    const node = await startNode("first");
    await seeded(node);
    const shown = await admin(node, "GET", "provider_keys/openai-main");
    expect(shown.json.value.api_key).toBe("[redacted]");
    const tag = shown.headers.get("etag") ?? "";
    const body = { ...shown.json.value, telemetry_tags: { team: "blue" } };
    const put = await admin(node, "PUT", "provider_keys/openai-main", { body, headers: { "if-match": tag } });
    expect(put.status).toBe(200);
    expect(put.json.value).toMatchObject({ api_key: "[redacted]", telemetry_tags: { team: "blue" } });
    await allAnswer(node, 200);
    expect(upstream.requests().at(-1)?.rawHeaders).toContain(`Bearer ${SECRET}`);
    for (const [method, headers] of [
      ["PUT", { "if-match": tag }],
      ["DELETE", { "if-match": tag }],
      ["PUT", { "if-none-match": "*" }],
    ] as const) {
      const call = method === "PUT" ? { body, headers } : { headers };
      expect((await admin(node, method, "provider_keys/openai-main", call)).status).toBe(412);
    }
    expect((await admin(node, "PUT", "provider_keys/other", { body })).status).toBe(400);
    const alluded = await admin(node, "PUT", "provider_keys/other", {
      body: { provider: "openai", api_key: "[redacted]" },
    });
    expect(alluded.json.error.errors[0].path).toBe("api_key");
    const reference = { provider: "openai", api_key: "${PATH}" };
    expect((await admin(node, "PUT", "provider_keys/other", { body: reference })).json.value.api_key).toBe("${PATH}");
    expect((await admin(node, "PUT", "models/x", { body: [] })).status).toBe(400);
    expect((await admin(node, "GET", "nothing/x")).status).toBe(404);
    expect((await admin(node, "POST", "models")).status).toBe(405);
    expect((await fetch(`${node.opsUrl}/admin/v1/models`)).status).toBe(401);
  });

  it("a key that is made works on both nodes, is told once, and changes are on record", async () => {
    const [first, second] = await Promise.all([startNode("first"), startNode("second")]);
    await seeded(first, second);
    const body = { display_name: "made", allowed_models: ["*"] };
    const made = await admin(first, "POST", "api_keys", { body });
    expect(made.status).toBe(201);
    const { key } = made.json;
    expect(key).toMatch(/^sk-weir-[A-Za-z0-9_-]{43}$/);
    expect((await admin(second, "POST", "api_keys", { body })).status).toBe(409);
    await allAnswer(first, 200, key);
    await allAnswer(second, 200, key);
    await admin(second, "DELETE", "api_keys/made");
    const items = await until(async () => {
      const found = (await admin(first, "GET", "audit?limit=10")).json.items;
      return found.length >= 3 ? found : null;
    });
    expect(items.map(({ action }: { action: string }) => action).slice(0, 2)).toEqual(["delete", "create_key"]);
    expect(items[1]).toMatchObject({
      v: 1,
      collection: "api_keys",
      name: "made",
      node: "first",
      admin: sha256(ADMIN).slice(0, 12),
      address: expect.stringMatching(/127\.0\.0\.1/),
      changed: ["display_name", "allowed_models", "key_hash"],
    });
    expect(items.at(-1)).toMatchObject({ action: "seed", name: "*" });
    const written = `${await bucketText()}${JSON.stringify(items)}${first.stdout()}${first.stderr()}${second.stdout()}`;
    expect(written).not.toContain(key);
    expect(JSON.stringify(items)).not.toContain(SECRET);
    expect(first.stdout() + second.stdout()).not.toContain(SECRET);
  });

  it("a node starts from its snapshot while NATS is away, and goes on when it is back", async () => {
    const node = await startNode("first");
    await seeded(node);
    const put = await admin(node, "PUT", "api_keys/late", { body: callerKey("late") });
    const path = join(node.dataDirectory, "resources-snapshot.json");
    await until(() => existsSync(path) && JSON.parse(readFileSync(path, "utf8")).revision === put.json.revision);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await nats.kill();
    expect((await admin(node, "GET", "api_keys/late")).status).toBe(200);
    const refused = await admin(node, "PUT", "api_keys/later", { body: callerKey("later") });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    await node.end();
    const again = await startNode("first", { dataDirectory: node.dataDirectory });
    await allAnswer(again, 200, "late");
    expect(await status(again)).toMatchObject({ source: "snapshot file", revision: String(put.json.revision) });
    expect((await admin(again, "GET", "api_keys")).json).toMatchObject({ source: "snapshot file" });
    await until(() => again.stdout().includes("NATS is away"));
    await nats.start();
    await seeded(again);
    expect((await admin(again, "PUT", "api_keys/later", { body: callerKey("later") })).status).toBe(201);
    await allAnswer(again, 200, "later");
  });

  it("a bucket that is deleted is filled again with what was in force, and nobody notices", async () => {
    const node = await startNode("first");
    await seeded(node);
    await admin(node, "PUT", "api_keys/late", { body: callerKey("late") });
    await nats.with((manager) => manager.streams.delete("KV_WEIR_CONFIG"));
    await until(async () => (await bucketText()).includes('"display_name":"late"'), 20_000);
    await until(async () => (await admin(node, "PUT", "api_keys/later", { body: callerKey("later") })).status === 201);
    await allAnswer(node, 200, "late");
    await allAnswer(node, 200, "later");
  });

  it("without a file the embedded default is not put into NATS; the first change is all there is", async () => {
    const node = await startNode("first", { resources: null, environment: { WEIR_KEY: "sk-default" } });
    await until(async () => (await admin(node, "PUT", "api_keys/only", { body: callerKey("only") })).status === 201);
    await seeded(node);
    expect(await status(node)).toMatchObject({ provider_keys: 0, models: 0, api_keys: 1 });
    await allAnswer(node, 404, "only");
  });

  it("stay in the file where cluster.config says so: then they are only shown", async () => {
    const node = await startNode("first", { mode: "file" });
    const listed = await admin(node, "GET", "provider_keys");
    expect(listed.json).toMatchObject({ source: "file", items: [{ name: "anthropic-main" }, { name: "openai-main" }] });
    expect(JSON.stringify(listed.json)).not.toContain(SECRET);
    const refused = await admin(node, "DELETE", "api_keys/tester");
    expect(refused.status).toBe(409);
    expect(refused.json.error.message).toContain("file");
    node.writeResources({ ...oneProvider(upstream.url), api_keys: [callerKey("other")] });
    node.child.kill("SIGHUP");
    await allAnswer(node, 200, "other");
    expect((await admin(node, "GET", "api_keys/other")).status).toBe(200);
  });
});
