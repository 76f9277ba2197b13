/** Cache policies with `backend: cluster`: what one node has answered, another gives again; purges reach all. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { ADMIN_KEY, cacheOf, fresh, OTHER_KEY, question } from "./cache-gateway.js";
import { eventOf } from "./calls.js";
import {
  askAndShare,
  cacheStatus,
  inBucket,
  open,
  purge,
  STREAM,
  startNats,
  startNode,
  Wire,
} from "./cluster-cache-nodes.js";
import { type RunningGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, type NatsServer } from "./nats.js";
import { ask, page } from "./wire.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
let upstream: FakeUpstream;
let nats: NatsServer;
let first: RunningGateway;
let second: RunningGateway;

function sum(text: string, metric: string): number {
  const lines = text.split("\n").filter((line) => line.startsWith(metric));
  return lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(() => upstream?.close());
beforeEach(() => upstream.reset());

describe.skipIf(NATS_PROGRAM === null)(`two nodes with one cache${NATS_REASON}`, () => {
  beforeAll(async () => {
    nats = await startNats();
    first = await startNode("first", { upstream, url: nats.url });
    second = await startNode("second", { upstream, url: nats.url });
  });
  afterAll(async () => {
    for (const gateway of [first, second]) await gateway?.dispose();
    await nats?.dispose();
  });

  test("what is asked at one is a hit at the other, which then has it itself", async () => {
    const body = question();
    const answer = await askAndShare(first, body);
    const { hits } = await cacheStatus(second);
    for (let index = 0; index < 5; index += 1) {
      const again = await ask(second.url, body);
      expect([again.status, again.text, cacheOf(again)]).toEqual([200, answer.text, "hit"]);
      expect(again.headers.get("x-weir-served-by")).toBe("openai");
    }
    expect((await cacheStatus(second)).hits).toBe(hits + 1);
    expect(upstream.requests()).toHaveLength(1);
    const metrics = (await page(`${second.opsUrl}/metrics`)).text;
    expect(sum(metrics, 'weir_cache_requests_total{outcome="cluster_hit"')).toBe(hits + 1);
    expect(sum(metrics, 'weir_cluster_cache_reads_total{outcome="hit"')).toBe(hits + 1);
  });

  test("a hit from another node leaves the event of a hit", async () => {
    const body = question();
    const made = await eventOf(first, (await askAndShare(first, body)).headers.get("x-weir-request-id"));
    const hit = await eventOf(second, (await ask(second.url, body)).headers.get("x-weir-request-id"));
    expect(hit).toMatchObject({ cache: "hit", attempt: 0, input_tokens: 0, saved_input_tokens: made.input_tokens });
  });

  test("whole answers are told as streams, and streams as whole answers", async () => {
    const whole = fresh();
    const text = (await askAndShare(first, question(whole))).json.choices[0].message.content;
    const streamed = await ask(second.url, question(whole, { stream: true }));
    expect(cacheOf(streamed)).toBe("hit");
    expect(streamed.headers.get("content-type")).toContain("text/event-stream");
    expect(streamed.text).toContain("data: [DONE]");
    const stream = fresh();
    await askAndShare(second, question(stream, { stream: true }));
    const again = await ask(first.url, question(stream));
    expect([cacheOf(again), again.json.object]).toEqual(["hit", "chat.completion"]);
    expect(typeof text).toBe("string");
    const live = await ask(first.url, question(stream, { stream: true }));
    expect([cacheOf(live), live.text.includes("[DONE]")]).toEqual(["hit", true]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test("keys have answers of their own, unless the policy says otherwise", async () => {
    const body = question();
    await askAndShare(first, body);
    expect(cacheOf(await ask(second.url, body, { key: OTHER_KEY }))).toBe("miss");
    const all = question(fresh(), { model: "gpt-all" });
    await askAndShare(first, all);
    expect(cacheOf(await ask(second.url, all, { key: OTHER_KEY }))).toBe("hit");
  });

  test("a policy with backend memory has nothing to do with other nodes", async () => {
    const body = question(fresh(), { model: "gpt-own" });
    const before = [await cacheStatus(first), await cacheStatus(second)].map(({ hits, misses }) => [hits, misses]);
    expect(cacheOf(await ask(first.url, body))).toBe("miss");
    expect(cacheOf(await ask(second.url, body))).toBe("miss");
    const after = [await cacheStatus(first), await cacheStatus(second)].map(({ hits, misses }) => [hits, misses]);
    expect(after).toEqual(before);
  });

  test("callers' own wishes hold: no-store is not shared, no-cache is not given what is", async () => {
    const body = question();
    const { stored } = await cacheStatus(first);
    await ask(first.url, body, { headers: { "cache-control": "no-store" } });
    await askAndShare(first, question());
    expect((await cacheStatus(first)).stored).toBe(stored + 1);
    await askAndShare(first, body);
    expect(cacheOf(await ask(second.url, body, { headers: { "cache-control": "no-cache" } }))).toBe("miss");
  });

  test("an answer has the rest of its life at the other node, and no more", async () => {
    const body = question(fresh(), { model: "gpt-short" });
    await askAndShare(first, body);
    const written = Date.now();
    expect(cacheOf(await ask(second.url, body))).toBe("hit");
    await until(() => Date.now() - written > 5_100, 20_000);
    expect(cacheOf(await ask(second.url, body))).toBe("miss");
  });

  test("a long answer is shared, one beyond the bound is not, and all are answered", async () => {
    const long = question(fresh(), {}, { bytes: 700_000 });
    const answer = await askAndShare(first, long);
    const again = await ask(second.url, long);
    expect([cacheOf(again), again.text === answer.text]).toEqual(["hit", true]);
    const { too_long } = await cacheStatus(first);
    const longer = question(fresh(), {}, { bytes: 1_000_000 });
    expect(cacheOf(await ask(first.url, longer))).toBe("miss");
    expect(cacheOf(await ask(first.url, longer))).toBe("hit");
    await until(async () => (await cacheStatus(first)).too_long === too_long + 1);
    expect(cacheOf(await ask(second.url, longer))).toBe("miss");
  });

  test("the bucket stays within its bytes: the oldest go", async () => {
    const oldest = question(fresh(), {}, { bytes: 800_000 });
    await askAndShare(first, oldest);
    for (let index = 0; index < 10; index += 1) await askAndShare(first, question(fresh(), {}, { bytes: 800_000 }));
    const state = await nats.with(async (manager) => (await manager.streams.info(STREAM)).state);
    expect(state.bytes).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(cacheOf(await ask(second.url, oldest))).toBe("miss");
  });

  test("equal misses at once ask the other node once, and nobody upstream", async () => {
    const body = question(fresh(), { model: "gpt-together" });
    await askAndShare(first, body);
    const { hits } = await cacheStatus(second);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(second.url, body)));
    expect(new Set(answers.map(cacheOf))).toEqual(new Set(["hit"]));
    expect((await cacheStatus(second)).hits).toBe(hits + 1);
    expect(upstream.requests()).toHaveLength(1);
  });

  test("a purge at one empties the other, and the bucket, of what it names", async () => {
    const everything = await purge(first, {});
    expect(everything.status).toBe(200);
    await until(async () => (await inBucket(nats)) === 0);
    const [mine, others, whole] = [question(), question(), question(fresh(), { model: "gpt-all" })];
    await askAndShare(first, mine);
    await askAndShare(first, others, OTHER_KEY);
    await askAndShare(first, whole, OTHER_KEY);
    expect(cacheOf(await ask(second.url, mine))).toBe("hit");
    expect(await inBucket(nats)).toBe(3);
    const { purges } = await cacheStatus(second);
    // Whose answer it was counts, also where all keys may have it.
    expect((await purge(first, { api_key: "other" })).json).toEqual({ purged: 2 });
    await until(async () => (await inBucket(nats)) === 1);
    await until(async () => (await cacheStatus(second)).purges === purges + 1);
    expect(cacheOf(await ask(second.url, mine))).toBe("hit");
    expect(cacheOf(await ask(second.url, whole))).toBe("miss");
    await purge(second, { policy: "e-shared", model: "gpt-test" });
    await until(async () => (await cacheStatus(first)).purges > 0);
    await until(
      async () => cacheOf(await ask(first.url, mine, { headers: { "cache-control": "no-store" } })) === "miss",
    );
    expect(cacheOf(await ask(second.url, mine, { headers: { "cache-control": "no-store" } }))).toBe("miss");
  });

  test("the command purges the fleet, too", async () => {
    const body = question();
    await askAndShare(first, body);
    expect(cacheOf(await ask(second.url, body))).toBe("hit");
    const child = spawn(process.execPath, [MAIN, "cache", "purge", "--policy", "e-shared", "--url", first.opsUrl], {
      env: { PATH: process.env.PATH ?? "", WEIR_ADMIN_KEY: ADMIN_KEY },
      stdio: "ignore",
    });
    expect(await new Promise((done) => child.once("close", done))).toBe(0);
    await until(async () => (await inBucket(nats, "e-shared")) === 0);
    await until(
      async () => cacheOf(await ask(second.url, body, { headers: { "cache-control": "no-store" } })) === "miss",
    );
  });

  test("the rights that the documents name are enough", () => {
    for (const gateway of [first, second]) expect(gateway.stdout()).not.toMatch(/permission|refuse|cannot be used/i);
  });
});

describe.skipIf(NATS_PROGRAM === null)(`while NATS is away${NATS_REASON}`, () => {
  let wire: Wire;

  beforeEach(async () => {
    nats = await startNats();
    wire = new Wire(nats.port);
    await wire.listen();
    first = await startNode("first", { upstream, url: nats.url });
    second = await startNode("second", { upstream, url: `nats://127.0.0.1:${wire.port}`, waitMs: 50 });
  });
  afterEach(async () => {
    for (const gateway of [first, second]) await gateway?.dispose();
    wire.close();
    await nats?.dispose();
  });

  /** Asks what nobody has asked, then the same again; answers how long half of what was new took, milliseconds. */
  async function serves(gateway: RunningGateway): Promise<number> {
    const times: number[] = [];
    for (let index = 0; index < 20; index += 1) {
      const body = question();
      for (const expected of ["miss", "hit"]) {
        const began = performance.now();
        const answer = await ask(gateway.url, body);
        if (expected === "miss") times.push(performance.now() - began);
        expect([answer.status, cacheOf(answer)]).toEqual([200, expected]);
      }
    }
    return times.sort((left, right) => left - right)[10] as number;
  }

  test("each node serves from its own memory, and nobody waits; afterwards they share again", async () => {
    await nats.kill();
    expect(await serves(first)).toBeLessThan(500);
    expect((await cacheStatus(first)).open).toBe(false);
    await nats.start();
    for (const gateway of [first, second]) await open(gateway);
    const body = question();
    await askAndShare(second, body);
    expect(cacheOf(await ask(first.url, body))).toBe("hit");
  });

  test("a NATS that has fallen silent is waited for no longer than the bound", async () => {
    wire.silence();
    // The bound on a look is 50 ms; what is above it is the machine's.
    expect(await serves(second)).toBeLessThan(500);
    await until(async () => !(await cacheStatus(second)).open, 20_000);
    const { refused } = await cacheStatus(second);
    await serves(second);
    expect((await cacheStatus(second)).refused).toBe(refused + 20);
  });

  test("a purge at either side holds when the other comes back", async () => {
    const [one, other] = [question(fresh(), { model: "gpt-all" }), question()];
    for (const body of [one, other]) {
      await askAndShare(second, body);
      expect(cacheOf(await ask(first.url, body))).toBe("hit");
    }
    wire.cut();
    await until(async () => !(await cacheStatus(second)).open, 20_000);
    await purge(first, { policy: "d-everybody" });
    await purge(second, { policy: "e-shared" });
    expect(cacheOf(await ask(second.url, one))).toBe("hit");
    expect(cacheOf(await ask(first.url, other))).toBe("hit");
    wire.mend();
    await open(second);
    const looks = { headers: { "cache-control": "no-store" } };
    await until(async () => cacheOf(await ask(second.url, one, looks)) === "miss", 10_000);
    await until(async () => cacheOf(await ask(first.url, other, looks)) === "miss", 10_000);
  });
});
