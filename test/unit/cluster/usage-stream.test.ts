import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpack } from "msgpackr";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fleetNames } from "../../../src/cluster/subjects.js";
import { UsageStream, type UsageStreamOptions } from "../../../src/cluster/usage-stream.js";
import type { UsageEvent } from "../../../src/usage/event.js";
import { usageLine } from "../usage/usage-line.js";
import { journalDirectory, listSegments, segmentName } from "../../../src/usage/segments.js";
import { sampleEvent } from "../usage/sample-event.js";
import { FakeJetStream } from "./fake-jetstream.js";

const WINDOW_MS = 600_000;

let directory = "";
let server: FakeJetStream;
let told: string[] = [];
const running = new Set<UsageStream>();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-stream-"));
  mkdirSync(journalDirectory(directory));
  server = new FakeJetStream();
  told = [];
});
afterEach(async () => {
  for (const stream of running) await stream.stop(100);
  running.clear();
  rmSync(directory, { recursive: true, force: true });
});

function stream(change: Partial<UsageStreamOptions> = {}): UsageStream {
  const tell = (_fields: object, message: string): void => {
    told.push(message);
  };
  const made = new UsageStream({
    connection: server,
    names: fleetNames("weir"),
    settings: { replicas: 1, max_age_ms: 0, max_bytes: 0, dedupe_window_ms: WINDOW_MS, rollup_days: 0 },
    encoding: "json",
    directory: journalDirectory(directory),
    path: join(directory, "usage-stream.json"),
    live: () => new Set(["one"]),
    log: { info: tell, warn: tell, error: tell },
    ...change,
  });
  running.add(made);
  made.start();
  return made;
}

/** Events `from` to `to` go into the journal; ids are four digits. */
function note(from: number, to: number, change: Partial<UsageEvent> = {}): void {
  let text = "";
  for (let index = from; index <= to; index += 1) {
    const time = new Date().toISOString();
    text += `${usageLine(sampleEvent({ id: idOf(index), time, api_key: "team a", model: "m.1", ...change }))}\n`;
  }
  appendFileSync(join(journalDirectory(directory), segmentName("one", 1)), text);
}

function idOf(index: number): string {
  return String(index).padStart(4, "0");
}

function idsTo(last: number): string[] {
  return Array.from({ length: last }, (_, index) => idOf(index + 1));
}

async function until(condition: () => boolean, timeoutMs = 15_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it did not come true: ${told.join("; ")}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

async function killed(made: UsageStream): Promise<void> {
  // Nothing more is sent or noted, as after kill -9.
  server.disconnect();
  running.delete(made);
  await made.stop(0);
}

describe("UsageStream", () => {
  it("sends the journal in order, and what comes later", async () => {
    note(1, 1_500);
    server.connect();
    const made = stream();
    await until(() => made.counts.published === 1_500);
    note(1_501, 1_510);
    await until(() => made.counts.published === 1_510);
    expect(server.ids).toEqual(idsTo(1_510));
    expect(server.sent).toEqual(server.ids);
    expect(server.stored[0]?.subject).toBe("weir.usage.team=20a.m=2E1");
    expect(made.backlogBytes).toBe(0);
    const [segment] = listSegments(journalDirectory(directory));
    const [first] = readFileSync(segment?.path ?? "", "utf8").split("\n");
    expect(Buffer.from(server.stored[0]?.data ?? []).toString()).toBe(first);
  });

  it("speaks msgpack where it is told to", async () => {
    note(1, 1);
    server.connect();
    stream({ encoding: "msgpack" });
    await until(() => server.stored.length === 1);
    expect(unpack(server.stored[0]?.data ?? Buffer.alloc(0))).toMatchObject({ id: "0001", model: "m.1", tags: {} });
  });

  it("has 512 on their way at most, and sends them again when the connection is lost", async () => {
    note(1, 1_000);
    server.silentFrom = 100;
    server.connect();
    const made = stream();
    await until(() => made.counts.published === 100 && server.sent.length >= 512);
    // Time in which more would come.
    await new Promise((done) => setTimeout(done, 250));
    expect(server.sent.length).toBe(512);
    expect(made.inFlight).toBe(412);
    server.disconnect();
    server.silentFrom = Number.POSITIVE_INFINITY;
    note(1_001, 1_100);
    server.connect();
    await until(() => made.counts.published === 1_100);
    expect(server.ids).toEqual(idsTo(1_100));
    expect(made.counts).toMatchObject({ duplicates: 412, failures: 0, lost: 0 });
  });

  it("goes on after a restart where the stream had acknowledged", async () => {
    note(1, 50);
    server.connect();
    const first = stream();
    await until(() => first.counts.published === 50);
    running.delete(first);
    await first.stop(1_000);
    note(51, 60);
    const second = stream();
    await until(() => second.counts.published === 10);
    expect(server.sent).toEqual(idsTo(60));
  });

  it("sends everything when it is told to end, and does not wait for a connection that is not there", async () => {
    note(1, 2_000);
    server.connect();
    const first = stream();
    await until(() => first.counts.published > 0);
    note(2_001, 2_100);
    await first.stop(2_000);
    expect(server.ids).toEqual(idsTo(2_100));
    server.disconnect();
    const second = stream();
    const began = performance.now();
    await second.stop(2_000);
    expect(performance.now() - began).toBeLessThan(1_500);
  });

  it("sends again what a server had acknowledged and lost, whoever wrote there since", async () => {
    server.connect();
    const made = stream();
    note(1, 20);
    await until(() => made.counts.published === 20);
    note(21, 30);
    await until(() => made.counts.published === 30);
    server.disconnect();
    server.loseNewest(15);
    for (let index = 0; index < 40; index += 1) server.storeForeign(`foreign-${index}`);
    server.connect();
    await until(() => idsTo(30).every((id) => server.ids.includes(id)));
    expect(new Set(server.ids).size).toBe(server.ids.length);
    expect(server.ids.length).toBe(70);
  });

  it("goes through the whole journal when the stream was made anew, and doubles nothing that came back", async () => {
    server.connect();
    const made = stream();
    note(1, 20);
    await until(() => made.counts.published === 20);
    await until(() => existsSync(join(directory, "usage-stream.json")));
    await killed(made);
    // What is left of it: the ids of three, older than what the server remembers.
    server.loseNewest(17);
    server.window.clear();
    note(21, 25);
    server.connect();
    const next = stream();
    await until(() => server.stored.length >= 25 && next.backlogBytes === 0);
    expect(server.ids).toEqual(idsTo(25));
    expect(told).toContain("the usage stream does not hold what it acknowledged: the journal is gone through anew");
  });

  it("takes what went from the stream by age or an operator's hand as stored", async () => {
    server.connect();
    const made = stream();
    note(1, 20);
    await until(() => made.counts.published === 20);
    server.disconnect();
    server.stored = [];
    server.window.clear();
    server.firstSequence = 21;
    server.connect();
    note(21, 22);
    await until(() => made.counts.published === 22);
    expect(server.ids).toEqual(["0021", "0022"]);
  });

  it("looks in the stream for what it has waited with for longer than ids are remembered", async () => {
    const time = new Date(Date.now() - 2 * WINDOW_MS).toISOString();
    server.connect();
    const first = stream();
    note(1, 10, { time });
    await until(() => first.counts.published === 10);
    const path = join(directory, "usage-stream.json");
    await until(() => existsSync(path) && readFileSync(path, "utf8").includes('"0010"'));
    server.silentFrom = 0;
    note(11, 20, { time });
    await until(() => server.stored.length === 20);
    await killed(first);
    server.silentFrom = Number.POSITIVE_INFINITY;
    server.window.clear();
    note(21, 25, { time });
    server.connect();
    const second = stream();
    await until(() => server.stored.length >= 25 && second.backlogBytes === 0);
    expect(server.ids).toEqual(idsTo(25));
  });

  it("tells once why events are refused, goes on by itself, and tells that too", async () => {
    server.refusing = "no room";
    server.connect();
    const made = stream();
    note(1, 5);
    await until(() => made.counts.failures >= 2);
    expect(made.problem).toBe("no room");
    server.refusing = null;
    await until(() => made.counts.published === 5);
    expect(made.problem).toBe("");
    expect(told).toEqual(["usage events do not get into the stream", "usage events go into the stream again"]);
  });

  it("begins anew with a place on file that it cannot read", async () => {
    note(1, 3);
    appendFileSync(join(directory, "usage-stream.json"), "not json");
    server.connect();
    const made = stream();
    await until(() => made.counts.published === 3);
    expect(told[0]).toContain("once more");
  });
});
