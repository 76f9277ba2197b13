/** What one node learns of a target, the others know: cooldowns, load, and background checks, made once for all. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type RunningGateway, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { always, asked, chatOf, inTurn, routingResources, servedBy, statusOf } from "./routing.js";
import { page } from "./wire.js";

const PROMPT = "Are you there?";
const INTERVAL_S = 5;
const CHECKED = {
  background_model_check: { interval_seconds: INTERVAL_S, timeout_seconds: 2, stale_after_seconds: 60, prompt: PROMPT },
};
const CHECKED_NAMES = ["a", "b", "c", "d", "e", "f"];
const COOLDOWN = { cooldown: { default_seconds: 30 } };
/** Much longer than a node that is killed is missed. */
const PATIENCE_MS = 20_000;

let upstream: FakeUpstream;
let nats: NatsServer;
const gateways = new Set<RunningGateway>();

function resources(): Record<string, unknown> {
  return routingResources(
    [
      { name: "sick", targets: [{ name: "a", model: COOLDOWN }, "b"] },
      { name: "slow", targets: [{ name: "a", model: COOLDOWN }, "b"] },
      { name: "busy", targets: ["a", "b"], routing: { strategy: "least_busy" } },
      { name: "fast", targets: ["a", "b"], routing: { strategy: "least_latency" } },
      { name: "checked", targets: CHECKED_NAMES.map((name) => ({ name, model: CHECKED })) },
    ],
    { upstream: upstream.url },
  );
}

async function startNode(name: string): Promise<RunningGateway> {
  const gateway = await startGateway({
    config: { acceptors: 1, node_name: name, log: { access: false } },
    environment: { WEIR_CLUSTER__NATS__SERVERS: nats.url },
    resources: resources(),
  });
  gateways.add(gateway);
  return gateway;
}

async function memberNames(gateway: RunningGateway): Promise<string> {
  const { json } = await page(`${gateway.opsUrl}/status/cluster`);
  return (json as ClusterStatus).members
    .map(({ node }) => node)
    .sort()
    .join();
}

/** Models that a node itself has checked since then. */
async function checkedBy(gateway: RunningGateway, since: number): Promise<string[]> {
  const events = (await gateway.events()).filter(({ api_key, time }) => api_key === "" && Date.parse(time) >= since);
  return events.map(({ model_entry }) => model_entry);
}

describe.skipIf(NATS_PROGRAM === null)(`health in a fleet of two${NATS_REASON}`, () => {
  let first: RunningGateway;
  let second: RunningGateway;

  beforeAll(async () => {
    upstream = await startFakeUpstream();
    nats = await NatsServer.create();
    first = await startNode("first");
    second = await startNode("second");
    for (const each of [first, second])
      await until(async () => (await memberNames(each)) === "first,second", PATIENCE_MS);
  });

  afterAll(async () => {
    for (const gateway of gateways) await gateway.dispose();
    await nats?.dispose();
    await upstream?.close();
  });

  it("a target that fails at one node is left alone by the other", async () => {
    inTurn(upstream, "sick-a", { status: 503 });
    expect(servedBy(await chatOf(first, "sick"))).toBe("sick-b");
    const shown = await until(async () => {
      const row = await statusOf(second, "sick-a");
      return row.state === "cooling_down" ? row : null;
    }, PATIENCE_MS);
    expect(shown).toMatchObject({ cooldown_from: "first", last_status: 503, failures: 0 });
    expect(await statusOf(first, "sick-a")).toMatchObject({ cooldown_from: "self", failures: 1 });
    for (let index = 0; index < 5; index += 1) expect(servedBy(await chatOf(second, "sick"))).toBe("sick-b");
    expect(asked(upstream).filter((model) => model === "sick-a")).toHaveLength(1);
    // By its own name it is called all the same.
    expect((await chatOf(second, "sick-a")).status).toBe(200);
  });

  it("a newcomer knows of the cooldown, and of latencies that it has not measured", async () => {
    always(upstream, "fast-a", { delay_ms: 1_500 });
    for (let index = 0; index < 4; index += 1) await chatOf(first, "fast");
    const third = await startNode("third");
    await until(async () => (await statusOf(third, "sick-a")).cooldown_from === "first", PATIENCE_MS);
    await until(async () => (await statusOf(third, "fast-b")).latency_ms !== null, PATIENCE_MS);
    expect((await statusOf(third, "fast-a")).latency_ms).toBeGreaterThan(1_400);
    const before = asked(upstream).filter((model) => model === "fast-a").length;
    for (let index = 0; index < 3; index += 1) expect(servedBy(await chatOf(third, "fast"))).toBe("fast-b");
    expect(asked(upstream).filter((model) => model === "fast-a")).toHaveLength(before);
    await third.end();
    await until(async () => (await memberNames(first)) === "first,second", PATIENCE_MS);
  });

  it("each target is checked by one node, and both know the result", async () => {
    upstream.script({ match: { model: "checked-b", contains: PROMPT }, status: 500, times: -1 });
    const since = Date.now();
    await until(async () => {
      const models = [...(await checkedBy(first, since)), ...(await checkedBy(second, since))];
      return CHECKED_NAMES.every((name) => models.filter((model) => model === `checked-${name}`).length >= 2);
    }, 30_000);
    const [here, there] = [await checkedBy(first, since), await checkedBy(second, since)];
    expect(here.filter((model) => there.includes(model))).toEqual([]);
    for (const each of [first, second]) {
      const row = await until(async () => {
        const { checks } = await statusOf(each, "checked-b");
        return checks?.passed === false ? statusOf(each, "checked-b") : null;
      }, PATIENCE_MS);
      expect(row).toMatchObject({ state: "unhealthy", checks: { status: 500, stale: false } });
      expect((await statusOf(each, "checked-a")).checks).toMatchObject({ passed: true, status: 200 });
    }
  });

  it("least_busy sees the other's load; what a killed node had in flight is gone, its checks go on", async () => {
    always(upstream, "busy-a", { delay_ms: 60_000 });
    const held = [1, 2, 3].map(() => chatOf(first, "busy-a").catch(() => null));
    await until(async () => (await statusOf(second, "busy-a")).fleet_in_flight === 3, PATIENCE_MS);
    expect(await statusOf(second, "busy-a")).toMatchObject({ in_flight: 0, fleet_in_flight: 3 });
    expect(await statusOf(first, "busy-a")).toMatchObject({ in_flight: 3, fleet_in_flight: 3 });
    for (let index = 0; index < 3; index += 1) expect(servedBy(await chatOf(second, "busy"))).toBe("busy-b");
    const killed = Date.now();
    await first.end("SIGKILL");
    await Promise.all(held);
    await until(async () => (await statusOf(second, "busy-a")).fleet_in_flight === 0, PATIENCE_MS);
    await until(async () => {
      const models = await checkedBy(second, killed);
      return CHECKED_NAMES.every((name) => models.includes(`checked-${name}`));
    }, 30_000);
  });

  it("without NATS a node goes on alone", async () => {
    await nats.kill();
    inTurn(upstream, "slow-a", { status: 503 });
    expect(servedBy(await chatOf(second, "slow"))).toBe("slow-b");
    expect(await statusOf(second, "slow-a")).toMatchObject({ state: "cooling_down", cooldown_from: "self" });
    const since = Date.now();
    await until(async () => (await checkedBy(second, since)).length >= CHECKED_NAMES.length, PATIENCE_MS);
  });
});
