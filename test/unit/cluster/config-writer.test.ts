import { afterEach, describe, expect, it, vi } from "vitest";
import { changedPaths } from "../../../src/cluster/audit-changes.js";
import { ConfigNode, FILE, MODEL, PROVIDER_KEY } from "./config-node.js";
import { FakeNats } from "./fake-bucket.js";

const nodes = new Set<ConfigNode>();

async function newNode(nats: FakeNats, file: typeof FILE | null = FILE): Promise<ConfigNode> {
  const node = new ConfigNode(nats, file);
  nodes.add(node);
  node.link.connect();
  await vi.waitFor(() => expect(file === null ? node.config.sync.bucket.open : node.taken[0]).toBeTruthy(), {
    timeout: 10_000,
    interval: 5,
  });
  return node;
}

afterEach(async () => {
  for (const node of nodes) await node.dispose();
  nodes.clear();
});

const model = (name: string) => ({ ...MODEL, display_name: name });

describe("a change", () => {
  it("is in force when it is answered, and on record without its values", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    const outcome = await node.change("models", "x", model("x"));
    expect(outcome).toMatchObject({ kind: "written", created: true, revision: nats.last, errors: [] });
    expect(node.names).toContain("models/x");
    expect(await node.change("models", "x", { ...model("x"), retries: 2 })).toMatchObject({ created: false });
    expect(await node.change("models", "x", null)).toMatchObject({ kind: "written", value: null });
    expect(nats.value("models.x")).toBeUndefined();
    await vi.waitFor(() => expect(nats.records).toHaveLength(4), 10_000);
    expect(nats.records.slice(1)).toMatchObject([
      { action: "put", name: "x", changed: ["display_name", "provider", "model_name", "provider_key"] },
      { action: "put", changed: ["retries"], admin: "abc", address: "127.0.0.1" },
      { action: "delete" },
    ]);
  });

  it("to what is there already is none", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    const { last } = nats;
    const { display_name, ...rest } = MODEL;
    expect(await node.change("models", "gpt", { ...rest, display_name })).toMatchObject({ kind: "written" });
    expect(nats.last).toBe(last);
  });

  it("is refused where the whole would be wrong, and nothing is written", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    const { last } = nats;
    const wrong = await node.change("models", "x", { ...model("x"), provider_key: "nowhere" });
    expect(wrong).toMatchObject({ kind: "refused", deletes: false, errors: [{ path: 'models "x".provider_key' }] });
    const needed = await node.change("provider_keys", "main", null);
    expect(needed).toMatchObject({ kind: "refused", deletes: true, errors: [{ path: 'models "gpt".provider_key' }] });
    expect(nats.last).toBe(last);
  });

  it("of two nodes at once is checked again by the one that was slower", async () => {
    const nats = new FakeNats();
    const [one, other] = [await newNode(nats), await newNode(nats)];
    await one.change("provider_keys", "spare", { ...PROVIDER_KEY, display_name: "spare" });
    await vi.waitFor(() => expect(other.names).toContain("provider_keys/spare"), 10_000);
    // While one node hangs a model on the spare key, another takes the key away.
    nats.meanwhile = () => nats.store("provider_keys.spare", new Uint8Array(), "DEL");
    const outcome = await one.change("models", "x", { ...model("x"), provider_key: "spare" });
    expect(outcome).toMatchObject({ kind: "refused", errors: [{ path: 'models "x".provider_key' }] });
    nats.meanwhile = () => nats.put("models.y", model("y"));
    expect(await one.change("models", "x", model("x"))).toMatchObject({ kind: "written" });
    expect(one.names).toEqual(expect.arrayContaining(["models/x", "models/y"]));
  });

  it("is made one after the other: each sees the one before", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`);
    const outcomes = await Promise.all(names.map((name) => node.change("models", name, model(name))));
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["written"]));
    expect(node.names).toHaveLength(22);
    expect(node.refused).toEqual([]);
  });

  it("may mend one of several wrong entries, but add no other", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    nats.put("models.a", { ...model("a"), surprise: 1 });
    nats.put("models.b", { ...model("b"), surprise: 1 });
    await vi.waitFor(() => expect(node.refused).toHaveLength(1), 10_000);
    const worse = await node.change("models", "c", { ...model("c"), surprise: 1 });
    expect(worse).toMatchObject({ kind: "refused", errors: [{ path: 'models "c".surprise' }] });
    const half = await node.change("models", "a", model("a"));
    expect(half).toMatchObject({ kind: "written", errors: [{ path: 'models "b".surprise' }] });
    expect(node.names).not.toContain("models/a");
    expect(await node.change("models", "b", null)).toMatchObject({ kind: "written", errors: [] });
    expect(node.names).toContain("models/a");
  });

  it("has no place without NATS, nor with a NATS that refuses", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    nats.refusing = "no space";
    expect(await node.change("models", "x", model("x"))).toEqual({ kind: "away", reason: "no space" });
    nats.refusing = null;
    node.link.disconnect();
    expect(await node.change("models", "x", model("x"))).toMatchObject({ kind: "away" });
  });

  it("that NATS took without a word goes on record when it is seen", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    await vi.waitFor(() => expect(nats.records).toHaveLength(1), 10_000);
    nats.silence = "no answer in time";
    expect(await node.change("models", "x", model("x"))).toMatchObject({ kind: "away" });
    nats.silence = "no answer in time";
    expect(await node.change("models", "gpt", null)).toMatchObject({ kind: "away" });
    await vi.waitFor(() => expect(nats.records).toHaveLength(3), 10_000);
    expect(nats.records.slice(1)).toMatchObject([
      { action: "put", name: "x", revision: nats.last - 1, admin: "abc" },
      { action: "delete", name: "gpt", revision: nats.last },
    ]);
    nats.refusing = "no answer at all";
    expect(await node.change("models", "y", model("y"))).toMatchObject({ kind: "away" });
    nats.refusing = null;
    nats.put("models.z", model("z"));
    await vi.waitFor(() => expect(node.names).toContain("models/z"), 10_000);
    expect(nats.records).toHaveLength(3);
  });

  it("does not wait for those before it for ever", async () => {
    vi.useFakeTimers();
    try {
      const nats = new FakeNats();
      const node = new ConfigNode(nats, FILE);
      nodes.add(node);
      node.link.connect();
      await vi.advanceTimersByTimeAsync(100);
      nats.delayMs = 6_000;
      const changes = ["a", "b", "c", "d"].map((name) => node.change("models", name, model(name)));
      await vi.advanceTimersByTimeAsync(30_000);
      const outcomes = await Promise.all(changes);
      expect(outcomes.map(({ kind }) => kind)).toEqual(["written", "written", "away", "away"]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("of a fleet without resources is the first of them", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats, null);
    expect(await node.change("provider_keys", "main", PROVIDER_KEY)).toMatchObject({ kind: "written", revision: 1 });
    expect(nats.keys).toEqual(["provider_keys.main", "seeded"]);
    expect(node.names).toEqual(["provider_keys/main"]);
  });

  it("that cannot be put on record is in force, told once as an error, and put on record later", async () => {
    vi.useFakeTimers();
    try {
      const nats = new FakeNats();
      const node = new ConfigNode(nats, FILE);
      nodes.add(node);
      node.link.connect();
      await vi.advanceTimersByTimeAsync(100);
      nats.refusingRecords = "no space";
      const change = node.change("models", "x", model("x"));
      await vi.advanceTimersByTimeAsync(5_000);
      expect(await change).toMatchObject({ kind: "written" });
      expect(node.log.filter(({ message }) => message.includes("not on record"))).toHaveLength(1);
      expect(node.config.status.audit).toMatchObject({ waiting: 1, problem: "no space" });
      nats.refusingRecords = null;
      await vi.advanceTimersByTimeAsync(2_000);
      expect(nats.records.map(({ action }) => action)).toEqual(["seed", "put"]);
      expect(node.config.status.audit).toMatchObject({ waiting: 0, problem: "" });
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the audit", () => {
  it("has every record, whenever it comes while others are being sent", async () => {
    const nats = new FakeNats();
    const node = await newNode(nats);
    await vi.waitFor(() => expect(nats.records).toHaveLength(1), 10_000);
    const change = { collection: "models", action: "put", revision: 1, node: "here", admin: "", address: "" } as const;
    for (let turns = 0; turns < 30; turns += 1) {
      node.config.audit.record({ ...change, name: `first ${turns}`, changed: [] });
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      node.config.audit.record({ ...change, name: `second ${turns}`, changed: [] });
      await vi.waitFor(() => expect(nats.records).toHaveLength(turns * 2 + 3), 10_000);
    }
  });
});

describe("what a change has changed", () => {
  it.each([
    [null, { a: 1, b: { c: 2 } }, ["a", "b.c"]],
    [{ a: 1 }, null, ["a"]],
    [{ a: [1], b: 1 }, { a: [2], b: 1 }, ["a"]],
    [{ a: { b: "x" } }, { a: { b: "y", c: 1 } }, ["a.b", "a.c"]],
    [{ a: { b: 1 } }, { a: 1 }, ["a"]],
    [{ "sk-secret with blanks": 1 }, {}, ["<key>"]],
    [{ a: 1 }, { a: 1 }, []],
  ])("of %j and %j", (before, after, paths) => {
    expect(changedPaths(before, after)).toEqual(paths);
  });
});
