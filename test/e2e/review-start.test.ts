/** What the gateway makes of a world that is not as it should be: directories, files, addresses, readers. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, startGateway, until } from "./gateway.js";
import { ask, chat, deadPort, metric } from "./wire.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "weir-start-"));
let fake: FakeUpstream;
let gateway: RunningGateway | null = null;

beforeAll(async () => {
  fake = await startFakeUpstream();
});

afterAll(async () => {
  await fake?.close();
  rmSync(directory, { recursive: true, force: true });
});

afterEach(async () => {
  await gateway?.dispose();
  gateway = null;
});

function weir(command: "serve" | "validate", config: Record<string, unknown>) {
  const path = join(directory, "weir.yaml");
  writeFileSync(path, stringify(config));
  return spawnSync(process.execPath, [MAIN, command, "--config", path], {
    encoding: "utf8",
    env: { PATH: process.env.PATH ?? "" },
    cwd: directory,
    timeout: 20_000,
  });
}

describe("a data_dir that cannot be written", () => {
  it("is told at the start, and nothing is served", () => {
    writeFileSync(join(directory, "file"), "");
    const listen = { listen: "127.0.0.1:0", ops: { listen: "127.0.0.1:0" } };
    const { status, stdout, stderr } = weir("serve", { ...listen, data_dir: join(directory, "file", "below") });
    expect(status).toBe(1);
    expect(stderr).toContain("cannot start");
    expect(stderr).not.toContain("serving on");
    expect(stdout).toContain("usage journal");
    expect(stdout).toContain("ENOTDIR");
  });
});

describe("a journal that is taken away while it is written", () => {
  it("is begun anew, and what comes after that is on file", async () => {
    const running = await startGateway({ resources: oneProvider(fake.url) });
    gateway = running;
    expect((await ask(running.url, chat())).status).toBe(200);
    rmSync(join(running.dataDirectory, "journal"), { recursive: true });
    await until(async () => {
      expect((await ask(running.url, chat())).status).toBe(200);
      return (await running.events().catch(() => [])).length > 0;
    });
  });

  it("is told in the log, waits in memory, and is whole when it can be written again", async () => {
    const running = await startGateway({ resources: oneProvider(fake.url) });
    gateway = running;
    const away = join(running.directory, "away");
    renameSync(running.dataDirectory, away);
    rmSync(join(away, "journal"), { recursive: true });
    writeFileSync(running.dataDirectory, "in the way");
    await until(() => running.stdout().includes("the usage journal cannot be written"));
    for (let count = 0; count < 3; count += 1) expect((await ask(running.url, chat())).status).toBe(200);
    expect(await metric(running.opsUrl, "weir_journal_pending")).toBe(3);
    rmSync(running.dataDirectory);
    await until(() => running.stdout().includes("the usage journal is written again"));
    expect(await running.events()).toHaveLength(3);
    expect(running.stdout().match(/the usage journal cannot be written/g)).toHaveLength(1);
  });
});

describe("a resource file that is written piece by piece", () => {
  it("is not taken before it is whole, even where half of it would be valid", async () => {
    const resources = oneProvider(fake.url);
    const running = await startGateway({ resources });
    gateway = running;
    const whole = stringify({ ...resources, models: [...(resources.models as unknown[])] });
    const cut = whole.indexOf("api_keys:");
    const tail = whole.slice(cut);
    const pieces = [whole.slice(0, cut), "# on its way\n", "# still\n", "# and still\n", "# nearly\n", tail];
    let written = "";
    const refused: number[] = [];
    for (const piece of pieces) {
      written += piece;
      running.writeResources(written);
      const next = performance.now() + 300;
      while (performance.now() < next) {
        const { status } = await ask(running.url, chat());
        if (status !== 200) refused.push(status);
      }
    }
    await until(async () => (await metric(running.opsUrl, "weir_config_reloads_total", "applied")) === 1);
    expect(refused).toEqual([]);
    expect(await metric(running.opsUrl, "weir_config_reloads_total", "refused")).toBe(0);
    expect((await ask(running.url, chat())).status).toBe(200);
  });
});

describe("weir.yaml", () => {
  it("may not put both listeners on one port: each would get some of the other's connections", async () => {
    const port = await deadPort();
    for (const [listen, ops] of [
      [`127.0.0.1:${port}`, `127.0.0.1:${port}`],
      [`0.0.0.0:${port}`, `127.0.0.1:${port}`],
    ]) {
      const config = { listen, ops: { listen: ops }, data_dir: join(directory, "data") };
      const { status, stderr } = weir("validate", config);
      expect(status).toBe(1);
      expect(stderr).toContain("ops.listen: must not be the address of listen");
      expect(weir("serve", config).status).toBe(1);
    }
    expect(weir("validate", { listen: "127.0.0.1:0", ops: { listen: "127.0.0.1:0" } }).status).toBe(0);
  });

  it("is not valid when the TLS files that it names cannot be used", () => {
    const missing = { cert_file: join(directory, "no.pem"), key_file: join(directory, "no.key") };
    const absent = weir("validate", { listen: { address: "127.0.0.1:0", tls: missing } });
    expect([absent.status, absent.stdout]).toEqual([1, ""]);
    expect(absent.stderr).toContain("listen.tls: ENOENT");
    const garbage = join(directory, "garbage.pem");
    writeFileSync(garbage, "-----BEGIN PRIVATE KEY-----\nsecret-material\n-----END PRIVATE KEY-----\n");
    const broken = weir("validate", {
      listen: { address: "127.0.0.1:0", tls: { cert_file: garbage, key_file: garbage } },
    });
    expect(broken.status).toBe(1);
    expect(broken.stderr).toContain("listen.tls:");
    expect(broken.stderr).not.toContain("secret-material");
  });
});

describe("usage tail", () => {
  it("ends quietly when its reader has seen enough", async () => {
    const running = await startGateway({ resources: oneProvider(fake.url) });
    gateway = running;
    const args = [MAIN, "usage", "tail", "--from-start", "--data-dir", running.dataDirectory];
    const tail = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    tail.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const ended = new Promise<number | null>((done) => tail.once("exit", done));
    try {
      const first = new Promise((done) => tail.stdout.once("data", done));
      await ask(running.url, chat());
      await first;
      tail.stdout.destroy();
      await until(async () => {
        await ask(running.url, chat());
        return tail.exitCode !== null;
      });
      expect([await ended, stderr]).toEqual([0, ""]);
    } finally {
      tail.kill("SIGKILL");
    }
  });
});
