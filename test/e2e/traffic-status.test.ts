/** The ops listener tells how every model is doing. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ModelStatus } from "../../src/routing/status.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";

let upstream: FakeUpstream;
let gateway: RunningGateway;

async function models(): Promise<readonly ModelStatus[]> {
  const page = await call(`${gateway.opsUrl}/status/models`, { headers: {} });
  expect(page.status).toBe(200);
  return (page.json() as unknown as { models: readonly ModelStatus[] }).models;
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ config: { acceptors: 2 }, resources: oneProvider(upstream.url) });
});

afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

describe("/status/models", () => {
  it("lists the models in the order of the file, of which nothing is known yet", async () => {
    const rows = await models();
    expect(rows.map(({ name, kind, provider, state }) => [name, kind, provider, state])).toEqual([
      ["gpt-alias", "direct", "openai", "unknown"],
      ["gpt-*", "direct", "openai", "unknown"],
      ["text-embedding-*", "direct", "openai", "unknown"],
      ["claude-*", "direct", "anthropic", "unknown"],
    ]);
    expect(rows[0]).toMatchObject({ cooldown_until: null, last_status: null, in_flight: 0, checks: null, targets: [] });
  });

  it("follows a reload", async () => {
    const resources = oneProvider(upstream.url) as { models: object[] };
    const [first] = resources.models;
    gateway.writeResources({ ...resources, models: [first] });
    gateway.child.kill("SIGHUP");
    await gateway.until(async () => (await models()).length === 1);
    expect((await models()).map(({ name }) => name)).toEqual(["gpt-alias"]);
  });
});
