/** Configuration: swapped atomically on a signal or a change, refused as a whole when one entry is wrong. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { ask, chat, metric, page } from "./wire.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
let fake: FakeUpstream;
let gateway: RunningGateway | null = null;

beforeAll(async () => {
  fake = await startFakeUpstream();
});

afterAll(() => fake?.close());
beforeEach(() => fake.reset());
afterEach(async () => {
  await gateway?.dispose();
  gateway = null;
});

async function start(acceptors = 2): Promise<RunningGateway> {
  gateway = await startGateway({ config: { acceptors }, resources: oneProvider(fake.url) });
  return gateway;
}

// biome-ignore lint/suspicious/noExplicitAny: a page is looked into field by field.
async function status(running: RunningGateway): Promise<any> {
  return (await page(`${running.opsUrl}/status/config`)).json;
}

/** `oneProvider` with another key beside `KEY`. */
function withKey(name: string): Record<string, unknown> {
  const resources = oneProvider(fake.url);
  (resources.api_keys as unknown[]).push({ display_name: name, key_hash: sha256(name), allowed_models: ["*"] });
  return resources;
}

describe("new resources", () => {
  it("are in force after SIGHUP", async () => {
    const running = await start();
    const before = await status(running);
    expect(before).toMatchObject({ provider_keys: 2, models: 4, api_keys: 1, refused: null });
    expect((await ask(running.url, chat(), { key: "fresh" })).status).toBe(401);
    running.writeResources(withKey("fresh"));
    running.child.kill("SIGHUP");
    await running.until(async () => (await status(running)).revision !== before.revision);
    // Every acceptor has them: what is asked on many connections is answered alike.
    await running.until(async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask(running.url, chat(), { key: "fresh" })));
      return answers.every((answer) => answer.status === 200);
    });
    expect((await status(running)).api_keys).toBe(2);
    expect(await metric(running.opsUrl, "weir_config_reloads_total", 'result="applied"')).toBeGreaterThanOrEqual(1);
  });

  it("are in force after the file changed, written over or renamed into place", async () => {
    const running = await start();
    running.writeResources(withKey("written"));
    await running.until(async () => (await ask(running.url, chat(), { key: "written" })).status === 200);
    const beside = join(running.directory, "next.yaml");
    writeFileSync(beside, stringify(withKey("renamed")));
    renameSync(beside, running.resourcesPath);
    await running.until(async () => (await ask(running.url, chat(), { key: "renamed" })).status === 200);
    await running.until(async () => (await ask(running.url, chat(), { key: "written" })).status === 401);
  });

  it("do not touch requests under way: they end with what they began with", async () => {
    const running = await start();
    const stream = ask(running.url, chat({ words: 60, gap_ms: 40 }, { stream: true }));
    const whole = ask(running.url, chat({ held: true }));
    await fake.until((stats) => stats.in_flight === 2);
    const other = oneProvider("http://127.0.0.1:9", { key_hash: sha256("another") });
    running.writeResources(other);
    running.child.kill("SIGHUP");
    await running.until(async () => (await ask(running.url, chat())).status === 401);
    expect((await ask(running.url, chat(), { key: "another" })).status).toBe(502);
    fake.release();
    expect((await whole).status).toBe(200);
    const answer = await stream;
    expect(answer.status).toBe(200);
    expect(answer.text).toContain("[DONE]");
    const ids = [answer, await whole].map(({ headers }) => headers.get("x-weir-request-id"));
    const events = await running.until(async () => {
      const found = (await running.events()).filter(({ request_id }) => ids.includes(request_id));
      return found.length === 2 ? found : null;
    });
    for (const event of events) expect(event).toMatchObject({ api_key: "tester", complete: true });
  });

  it("swap atomically under load: no request sees half of them", async () => {
    const running = await start();
    const both = (name: string) => {
      const resources = oneProvider(fake.url, { allowed_models: [`only-${name}`] });
      (resources.models as unknown[]).push({
        display_name: `only-${name}`,
        provider: "openai",
        model_name: `upstream-${name}`,
        provider_key: "openai-main",
      });
      return resources;
    };
    let going = true;
    const seen = new Set<string>();
    const load = Array.from({ length: 8 }, async (_, i) => {
      while (going) {
        const name = i % 2 === 0 ? "a" : "b";
        const answer = await ask(running.url, chat({}, { model: `only-${name}` }));
        seen.add(`${answer.status} ${answer.json.error?.code ?? ""}`);
      }
    });
    for (let round = 0; round < 12; round += 1) {
      const name = round % 2 === 0 ? "a" : "b";
      const { revision } = await status(running);
      running.writeResources(both(name));
      running.child.kill("SIGHUP");
      await running.until(async () => (await status(running)).revision !== revision);
      await running.until(async () => (await ask(running.url, chat({}, { model: `only-${name}` }))).status === 200);
    }
    going = false;
    await Promise.all(load);
    // The model and the right to use it come and go together: never "known, but not allowed".
    expect([...seen].sort()).toEqual(["200 ", "404 model_not_found"]);
  });
});

describe("a bad file", () => {
  it("is refused as a whole, with all its errors, and the last good one serves on", async () => {
    const running = await start();
    const before = await status(running);
    const bad = withKey("bad");
    (bad.models as { provider_key: string }[])[0] = {
      ...(bad.models as object[])[0],
      provider_key: "nowhere",
    } as never;
    (bad.api_keys as object[]).push({ display_name: "broken", key_hash: "xyz" });
    bad.surprise = true;
    running.writeResources(bad);
    running.child.kill("SIGHUP");
    const refused = await running.until(async () => (await status(running)).refused);
    const errors = refused.errors.join("\n");
    for (const part of ["resources.yaml", "models[0].provider_key", "api_keys[2].key_hash", "surprise"]) {
      expect(errors).toContain(part);
    }
    expect(Date.parse(refused.at)).toBeGreaterThan(0);
    expect((await status(running)).revision).toBe(before.revision);
    expect((await ask(running.url, chat())).status).toBe(200);
    expect((await ask(running.url, chat(), { key: "bad" })).status).toBe(401);
    await running.until(
      () => running.stderr().includes("nowhere") || running.stdout().includes("models[0].provider_key"),
    );
    expect(await metric(running.opsUrl, "weir_config_reloads_total", 'result="refused"')).toBeGreaterThanOrEqual(1);
    running.writeResources(withKey("good"));
    running.child.kill("SIGHUP");
    await running.until(async () => (await status(running)).refused === null);
    expect((await ask(running.url, chat(), { key: "good" })).status).toBe(200);
  });

  it.each([
    ["that is no YAML", "models: [}"],
    ["that is empty", ""],
    ["that is binary", "\u0000\u0001\ufffd"],
    ["of another version", stringify({ ...oneProvider("http://127.0.0.1:9"), _format_version: "99" })],
  ])("%s is refused", async (_what, text) => {
    const running = await start(1);
    running.writeResources(text);
    running.child.kill("SIGHUP");
    await running.until(async () => (await status(running)).refused);
    expect((await ask(running.url, chat())).status).toBe(200);
  });

  it("that is gone changes nothing, and comes back", async () => {
    const running = await start(1);
    unlinkSync(running.resourcesPath);
    running.child.kill("SIGHUP");
    const refused = await running.until(async () => (await status(running)).refused);
    expect(refused.errors.join("\n")).toContain("resources.yaml");
    expect((await ask(running.url, chat())).status).toBe(200);
    running.writeResources(withKey("back"));
    await running.until(async () => (await ask(running.url, chat(), { key: "back" })).status === 200);
    expect((await status(running)).refused).toBeNull();
  });
});

describe("the command line", () => {
  const directory = mkdtempSync(join(tmpdir(), "weir-validate-"));
  const config = join(directory, "weir.yaml");
  const resources = join(directory, "resources.yaml");

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function run(args: readonly string[], environment: Record<string, string> = {}) {
    const env = { PATH: process.env.PATH ?? "", ...environment };
    return spawnSync(process.execPath, [MAIN, ...args], { env, cwd: directory, encoding: "utf8", timeout: 20_000 });
  }

  it("validates good files with exit code 0", () => {
    writeFileSync(config, stringify({ limits: { in_flight: 7 } }));
    writeFileSync(resources, stringify(oneProvider("http://127.0.0.1:9")));
    const result = run(["validate", "--config", config, "--resources", resources]);
    expect([result.status, result.stderr]).toEqual([0, ""]);
  });

  it("names every error of both files, and serve refuses them too", () => {
    writeFileSync(config, stringify({ limits: { in_flight: 0 }, surprise: 1, listen: "nowhere" }));
    writeFileSync(resources, stringify({ ...oneProvider("ftp://x"), api_keys: [{ display_name: "k" }] }));
    for (const command of ["validate", "serve"]) {
      const result = run([command, "--config", config, "--resources", resources]);
      expect(result.status).toBe(1);
      for (const part of ["limits.in_flight", "surprise", "listen", "provider_keys[0].api_base", "api_keys[0]"]) {
        expect(result.stderr).toContain(part);
      }
    }
  });

  it("refuses a WEIR_ variable that names no field, and one with a bad value", () => {
    const result = run(["validate"], { WEIR_LIMITS__IN_FLIHGT: "5", WEIR_LIMITS__BODY_BYTES: "many" });
    expect(result.status).toBe(1);
    expect(result.stderr).toContain("WEIR_LIMITS__IN_FLIHGT");
    expect(result.stderr).toContain("WEIR_LIMITS__BODY_BYTES");
  });

  it("says no to a file that is not there", () => {
    const result = run(["serve", "--config", join(directory, "none.yaml")]);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain("none.yaml");
  });
});

describe("the environment", () => {
  it("goes before weir.yaml", async () => {
    gateway = await startGateway({
      config: { limits: { body_bytes: 1_048_576 }, identity: { header_prefix: "x-file-" }, trusted_proxies: [] },
      resources: oneProvider(fake.url),
      environment: {
        WEIR_LIMITS__BODY_BYTES: "2048",
        WEIR_IDENTITY__HEADER_PREFIX: "x-env-",
        WEIR_TRUSTED_PROXIES: "127.0.0.0/8, ::1",
        WEIR_NODE_NAME: "from-environment",
      },
    });
    const running = gateway;
    const answer = await ask(running.url, chat(), { headers: { "x-forwarded-for": "192.0.2.9" } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-env-request-id")).toBeTruthy();
    expect(answer.headers.get("x-file-request-id")).toBeNull();
    expect((await ask(running.url, { ...chat(), pad: "x".repeat(3_000) })).status).toBe(413);
    const event = await running.until(async () => (await running.events())[0]);
    expect(event).toMatchObject({ node: "from-environment", client_address: "192.0.2.9" });
  });
});
