import { afterEach, describe, expect, it } from "vitest";
import { BEAT_MS, Membership } from "../../../src/cluster/membership.js";
import { pack } from "../../../src/cluster/wire.js";
import { Air, FakeConnection } from "./fake-connection.js";

const SUBJECT = "weir.members";
let now = 0;
const started = new Set<Membership>();

afterEach(() => {
  for (const membership of started) membership.stop();
  started.clear();
});

interface Node {
  readonly membership: Membership;
  readonly connection: FakeConnection;
  readonly changes: string[];
  /** Nodes that this one knows. */
  names(): string[];
}

function join(air: Air, instance: string): Node {
  const connection = new FakeConnection(air);
  const changes: string[] = [];
  const membership = new Membership({
    connection,
    subject: SUBJECT,
    self: { node: `node-${instance}`, instance, version: "1.2.3", started_at: "2026-01-31T12:00:00.000Z" },
    load: () => ({ in_flight: 3, connections: 7 }),
    onChange: ({ instance: who }, came) => changes.push(`${came ? "+" : "-"}${who}`),
    clock: () => now,
  });
  started.add(membership);
  membership.start();
  return { membership, connection, changes, names: () => membership.members.map((member) => member.instance) };
}

/** Time goes by; the nodes named beat. */
function pass(beats: number, ...nodes: Node[]): void {
  for (let beat = 0; beat < beats; beat += 1) {
    now += BEAT_MS;
    for (const { membership } of nodes) membership.tick();
  }
}

describe("Membership", () => {
  it("a newcomer knows all others at once, and they know it", () => {
    const air = new Air();
    const nodes = ["b", "a", "c"].map((instance) => join(air, instance));
    for (const { names } of nodes) expect(names()).toEqual(["a", "b", "c"]);
    expect(nodes.map(({ membership }) => membership.isFirst)).toEqual([false, true, false]);
    expect(nodes[0]?.membership.members[2]).toEqual({
      node: "node-c",
      instance: "c",
      version: "1.2.3",
      started_at: "2026-01-31T12:00:00.000Z",
      state: "serving",
      load: { in_flight: 3, connections: 7 },
      heard_ms: 0,
    });
  });

  it("a node is gone after three missed beats, not before", () => {
    const air = new Air();
    const [first, second] = [join(air, "a"), join(air, "b")] as const;
    pass(1, first, second);
    second.connection.state = "disconnected";
    pass(3, first);
    expect(first.names()).toEqual(["a", "b"]);
    pass(1, first);
    expect(first.names()).toEqual(["a"]);
    expect(first.changes).toEqual(["+b", "-b"]);
    second.connection.state = "connected";
    expect(first.names()).toEqual(["a", "b"]);
  });

  it("a drain and a farewell are told at once", () => {
    const air = new Air();
    const [first, second] = [join(air, "a"), join(air, "b")] as const;
    second.membership.drain();
    expect(first.membership.members.map(({ state }) => state)).toEqual(["serving", "draining"]);
    second.membership.stop();
    expect(first.names()).toEqual(["a"]);
  });

  it("while NATS is away nobody goes; afterwards all have three beats to be heard", () => {
    const air = new Air();
    const [first, second] = [join(air, "a"), join(air, "b")] as const;
    first.connection.state = "disconnected";
    second.connection.state = "disconnected";
    pass(60, first, second);
    expect(first.names()).toEqual(["a", "b"]);
    first.connection.state = "connected";
    pass(3, first);
    expect(first.names()).toEqual(["a", "b"]);
    pass(1, first);
    expect(first.names()).toEqual(["a"]);
  });

  it("a thread that was held up blames nobody for it", () => {
    const air = new Air();
    const [first, second] = [join(air, "a"), join(air, "b")] as const;
    pass(1, first, second);
    now += 10 * BEAT_MS;
    first.membership.tick();
    expect(first.names()).toEqual(["a", "b"]);
    pass(4, first);
    expect(first.names()).toEqual(["a"]);
  });

  it("takes no more than so many, and tells of very many at once as of one change", async () => {
    const air = new Air();
    const { membership, connection, changes } = join(air, "a");
    let told = 0;
    membership.onChange(() => {
      told += 1;
    });
    const load = { in_flight: 0, connections: 0 };
    const beat = { v: 1, kind: "beat", node: "n", version: "9", started_at: "", state: "serving", load };
    for (let index = 0; index < 1_000; index += 1)
      connection.publish(SUBJECT, pack({ ...beat, instance: `z${index}` }));
    await Promise.resolve();
    expect([membership.members.length, changes.length, told]).toEqual([257, 256, 9]);
  });

  it("passes over what is no beat, and takes one with fields that it does not know", () => {
    const air = new Air();
    const { connection, names } = join(air, "a");
    const beat = {
      v: 1,
      kind: "beat",
      node: "n",
      instance: "z",
      version: "9",
      started_at: "",
      state: "serving",
      load: { in_flight: 0, connections: 0 },
    };
    for (const bad of [{ ...beat, v: 2 }, { ...beat, load: { in_flight: -1, connections: 0 } }, "beat", null]) {
      connection.publish(SUBJECT, pack(bad));
    }
    connection.publish(SUBJECT, Buffer.from([0xc1, 0xff]));
    expect(names()).toEqual(["a"]);
    connection.publish(SUBJECT, pack({ ...beat, load: { ...beat.load, cpu: 0.5 }, zone: "east" }));
    expect(names()).toEqual(["a", "z"]);
  });
});
