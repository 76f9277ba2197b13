// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resources is in play here.
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readConfigSnapshot } from "../../../src/cluster/config-file.js";
import { ConfigNode, FILE, MODEL, PROVIDER_KEY } from "./config-node.js";
import { FakeNats } from "./fake-bucket.js";

const nodes = new Set<ConfigNode>();

function newNode(nats: FakeNats, file: typeof FILE | null = FILE): ConfigNode {
  const node = new ConfigNode(nats, file);
  nodes.add(node);
  return node;
}

afterEach(async () => {
  vi.useRealTimers();
  for (const node of nodes) await node.dispose();
  nodes.clear();
});

const soon = { timeout: 10_000, interval: 5 };

describe("a bucket that nobody has filled", () => {
  it("is filled from the file, as it stands there, and only then is the source", async () => {
    const nats = new FakeNats();
    const [node, other] = [newNode(nats), newNode(nats)];
    node.link.connect();
    other.link.connect();
    await vi.waitFor(() => expect([node.taken.length, other.taken.length]).toEqual([1, 1]), soon);
    expect(nats.keys).toEqual(["models.gpt", "provider_keys.main", "seeded"]);
    expect(nats.messages).toHaveLength(3);
    expect(nats.value("models.gpt")).toEqual(MODEL);
    expect(node.taken[0]).toMatchObject({ source: "nats", revision: "3" });
    await vi.waitFor(() => expect(nats.records).toMatchObject([{ action: "seed", revision: 3, node: "here" }]), soon);
  });

  it("is left alone without a file; entries put there by hand count when no more of them come", async () => {
    vi.useFakeTimers();
    const nats = new FakeNats();
    const node = newNode(nats, null);
    node.link.connect();
    await vi.advanceTimersByTimeAsync(4_000);
    nats.put("provider_keys.main", PROVIDER_KEY);
    await vi.advanceTimersByTimeAsync(4_000);
    nats.put("models.gpt", MODEL);
    await vi.advanceTimersByTimeAsync(4_000);
    expect([nats.keys, node.taken]).toEqual([["models.gpt", "provider_keys.main"], []]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(node.names).toEqual(["models/gpt", "provider_keys/main"]);
  });

  it("is tried again where NATS refuses, and that is said once", async () => {
    vi.useFakeTimers();
    const nats = new FakeNats();
    nats.refusing = "no space";
    const node = newNode(nats);
    node.link.connect();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(node.log.filter(({ level }) => level === "error")).toHaveLength(1);
    expect(node.config.status.problem).toBe("no space");
    nats.refusing = null;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(node.names).toEqual(["models/gpt", "provider_keys/main"]);
  });

  it("that was in use is filled with what was last in it, not with the file", async () => {
    vi.useFakeTimers();
    const nats = new FakeNats();
    const node = newNode(nats);
    node.link.connect();
    await vi.advanceTimersByTimeAsync(100);
    nats.put("models.second", { ...MODEL, display_name: "second" });
    await vi.advanceTimersByTimeAsync(100);
    nats.beginAnew();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(nats.keys).toEqual(["models.gpt", "models.second", "provider_keys.main", "seeded"]);
    expect(node.names).toEqual(["models/gpt", "models/second", "provider_keys/main"]);
  });
});

describe("changes", () => {
  async function filled(): Promise<{ nats: FakeNats; node: ConfigNode }> {
    vi.useFakeTimers();
    const nats = new FakeNats();
    const node = newNode(nats);
    node.link.connect();
    await vi.advanceTimersByTimeAsync(500);
    expect(node.taken).toHaveLength(1);
    return { nats, node };
  }

  it("that come together are taken as one", async () => {
    const { nats, node } = await filled();
    for (let index = 0; index < 20; index += 1) nats.put(`models.m${index}`, { ...MODEL, display_name: `m${index}` });
    await vi.advanceTimersByTimeAsync(30);
    expect(node.taken).toHaveLength(2);
    expect(node.taken[1]?.entries).toHaveLength(22);
    expect(node.taken[1]?.revision).toBe(String(nats.last));
  });

  it("are not held up for longer than 20 ms by others that follow", async () => {
    const { nats, node } = await filled();
    for (let index = 0; index < 40; index += 1) {
      nats.put("models.gpt", { ...MODEL, retries: index % 10 });
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(node.taken.length).toBeGreaterThanOrEqual(2);
  });

  it("that are wrong are refused with every reason; the last good ones stay, also on file", async () => {
    const { nats, node } = await filled();
    const good = node.taken[0]?.revision;
    nats.put("models.gpt", { ...MODEL, provider_key: "nowhere", surprise: 1 });
    nats.put("models.bad", "{");
    nats.put("models.other-name", MODEL);
    nats.put("modelz.x", {});
    nats.put("odd", {});
    await vi.advanceTimersByTimeAsync(100);
    expect(node.taken).toHaveLength(1);
    const text = node.refused.at(-1)?.join("\n") ?? "";
    for (const part of [
      'models "gpt".provider_key',
      'models "gpt".surprise',
      'models "bad": is not JSON',
      'models "other-name": its key is not made of its name',
      "modelz: unknown field",
      'odd "": its key is not COLLECTION.NAME',
    ]) {
      expect(text).toContain(part);
    }
    vi.useRealTimers();
    await vi.waitFor(() => expect(String(JSON.parse(readFileSync(node.path, "utf8")).revision)).toBe(good), soon);
  });

  it("are not taken twice when the connection comes back, and those made meanwhile are", async () => {
    const { nats, node } = await filled();
    node.link.disconnect();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(node.config.sync.obstacle).toContain("NATS");
    node.link.connect();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(node.taken).toHaveLength(1);
    node.link.disconnect();
    nats.store("models.gpt", new Uint8Array(), "DEL");
    node.link.connect();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(node.names).toEqual(["provider_keys/main"]);
  });

  it("that the watcher has missed are found", async () => {
    const { nats, node } = await filled();
    nats.watchers.clear();
    nats.put("models.second", { ...MODEL, display_name: "second" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(node.names).toContain("models/second");
  });

  it("never make one revision of two sets", async () => {
    const { nats, node } = await filled();
    nats.beginAnew();
    nats.put("provider_keys.main", PROVIDER_KEY);
    nats.put("models.another", { ...MODEL, display_name: "another" });
    nats.put("seeded", {});
    await vi.advanceTimersByTimeAsync(10_000);
    const [first, second] = node.taken;
    expect(second?.revision).toBe(first?.revision);
    expect(second?.resources.revision).not.toBe(first?.resources.revision);
  });
});

describe("the snapshot file", () => {
  it("holds the entries as they stand in NATS, for nobody but the owner", async () => {
    const nats = new FakeNats();
    const variable = { ...PROVIDER_KEY, api_key: "${VENDOR_KEY}" };
    const node = newNode(nats, [{ collection: "provider_keys", name: "main", value: variable }]);
    node.link.connect();
    await vi.waitFor(() => expect(statSync(node.path).mode & 0o777).toBe(0o600), soon);
    expect(node.taken[0]?.resources.providerKeys[0]?.apiKey).toBe("filled in");
    expect(readConfigSnapshot(node.path, "weir")).toEqual({
      fleet: "weir",
      revision: 2,
      entries: [{ collection: "provider_keys", name: "main", value: variable }],
    });
    expect(readConfigSnapshot(node.path, "another")).toContain("another fleet");
    writeFileSync(node.path, '{"version":2}');
    expect(readConfigSnapshot(node.path, "weir")).toContain("version");
    writeFileSync(node.path, "{");
    expect(readConfigSnapshot(node.path, "weir")).toContain("JSON");
    expect(readConfigSnapshot(`${node.path}.none`, "weir")).toBeNull();
  });
});

describe("a bucket that holds too much", () => {
  it("is read anew when something has gone from it", async () => {
    const nats = new FakeNats();
    const node = newNode(nats);
    node.link.connect();
    await vi.waitFor(() => expect(node.taken).toHaveLength(1), soon);
    const megabytes = Buffer.alloc(16 * 1024 * 1024, " ");
    for (const name of ["a", "b", "c", "d"]) nats.store(`models.${name}`, megabytes, "PUT");
    await vi.waitFor(() => expect(node.config.sync.obstacle).toContain("holds more than"), soon);
    nats.put("models.late", { ...MODEL, display_name: "late" });
    for (const name of ["a", "b", "c", "d"]) nats.store(`models.${name}`, new Uint8Array(), "DEL");
    await vi.waitFor(() => expect(node.names).toContain("models/late"), soon);
    expect(node.config.sync.obstacle).toBe("");
  });
});
