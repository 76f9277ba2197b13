/** The proxy listener with TLS: the same answers, streams and aborts as without. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway, undisturbed } from "./gateway.js";
import { chat, rawRequest, Wire } from "./wire.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "weir-tls-"));
const files = { cert_file: join(directory, "chain.pem"), key_file: join(directory, "key.pem") };
let fake: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  const made = spawnSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"].concat(
      ["-subj", "/CN=gateway.test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:gateway.test"],
      ["-keyout", files.key_file, "-out", files.cert_file],
    ),
    { encoding: "utf8" },
  );
  expect(made.status, made.stderr).toBe(0);
  fake = await startFakeUpstream();
  gateway = await startGateway({
    config: { listen: { address: "127.0.0.1:0", tls: files }, acceptors: 2, limits: { body_bytes: 2_000_000 } },
    resources: oneProvider(fake.url),
  });
});

afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(() => fake.reset());

/** Sends a chat request over TLS, the certificate checked; resolves with the head. */
function send(body: unknown): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
    const ca = readFileSync(files.cert_file);
    const options = { method: "POST", agent: false, headers, ca } as const;
    const request = httpsRequest(`${gateway.url}/v1/chat/completions`, options);
    request.once("response", resolve).once("error", reject);
    request.end(JSON.stringify(body));
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of answer.setEncoding("utf8")) text += part;
  return text;
}

describe("a TLS listener", () => {
  it("says https, and serves whole answers and streams", async () => {
    expect(gateway.url).toMatch(/^https:/);
    const whole = await send(chat());
    expect(whole.statusCode).toBe(200);
    expect(JSON.parse(await textOf(whole)).choices).toHaveLength(1);
    expect(await textOf(await send(chat({ words: 50 }, { stream: true })))).toContain("[DONE]");
    const large = await send({ ...chat(), pad: "x".repeat(1_000_000) });
    expect(large.statusCode).toBe(200);
    await textOf(large);
    expect((await send({ ...chat(), pad: "x".repeat(2_000_000) })).statusCode).toBe(413);
  });

  it("delivers a stream event by event", async () => {
    const times = await undisturbed(
      async () => {
        const answer = await send(chat({ words: 8, gap_ms: 60 }, { stream: true }));
        const times: number[] = [];
        for await (const _ of answer) times.push(performance.now());
        return times;
      },
      (times) => times.length > 5,
    );
    expect(times.length).toBeGreaterThan(5);
    expect((times.at(-1) as number) - (times[0] as number)).toBeGreaterThan(300);
  });

  it("delivers a large stream whole to a slow reader", async () => {
    const answer = await send(chat({ words: 20_000 }, { stream: true }));
    answer.pause();
    await fake.until((stats) => stats.requests === 1);
    let bytes = 0;
    let tail = "";
    answer.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      tail = (tail + chunk.toString("latin1")).slice(-64);
      answer.pause();
      setImmediate(() => answer.resume());
    });
    answer.resume();
    await new Promise((done) => answer.once("end", done));
    expect(tail).toContain("[DONE]");
    expect(bytes).toBeGreaterThan(3_000_000);
  });

  it("notices at once that a client has left", async () => {
    const answer = await send(chat({ words: 500, gap_ms: 20 }, { stream: true }));
    answer.on("error", () => {});
    await new Promise((done) => answer.once("data", done));
    answer.destroy();
    // The stream would have gone on for ten seconds.
    await fake.until((stats) => stats.aborted === 1, 5_000);
    await gateway.until(async () => (await gateway.events()).some(({ status }) => status === 499));
  });

  it("ends a connection that does not speak TLS", async () => {
    const plain = new Wire(gateway.url);
    plain.write(rawRequest(JSON.stringify(chat())));
    await plain.ended(15_000);
    expect(plain.status).toBe(0);
    expect(fake.requests()).toHaveLength(0);
    expect((await send(chat())).statusCode).toBe(200);
  }, 20_000);
});

describe("a certificate that cannot be used", () => {
  it.each([
    ["is not there", join(directory, "none.pem")],
    ["is none", join(directory, "weir.yaml")],
  ])("that %s ends the start with an error that names it", (_what, certificate) => {
    const config = join(directory, "weir.yaml");
    const listen = { address: "127.0.0.1:0", tls: { ...files, cert_file: certificate } };
    writeFileSync(config, stringify({ listen, ops: { listen: "127.0.0.1:0" }, data_dir: join(directory, "data") }));
    const env = { PATH: process.env.PATH ?? "" };
    const args = [MAIN, "serve", "--config", config];
    const result = spawnSync(process.execPath, args, { env, cwd: directory, encoding: "utf8", timeout: 10_000 });
    expect([result.status, result.signal]).toEqual([1, null]);
    expect(result.stderr + result.stdout).toMatch(/cert_file|\.pem|weir\.yaml/);
    expect(result.stderr).not.toContain("Assertion");
  });
});
