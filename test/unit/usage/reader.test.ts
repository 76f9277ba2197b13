import fc from "fast-check";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { followEvents } from "../../../src/usage/follow.js";
import { JournalWriter } from "../../../src/usage/journal.js";
import { LineReader } from "../../../src/usage/line-reader.js";
import { usageLine } from "./usage-line.js";
import { noFaults, parseEvent, readEvents } from "../../../src/usage/reader.js";
import { segmentName } from "../../../src/usage/segments.js";
import { sampleEvent } from "./sample-event.js";

let root = "";
let directory = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "reader-"));
  directory = join(root, "journal");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function at(second: number, id: string): string {
  const time = new Date(Date.UTC(2026, 0, 31, 12, 0, second)).toISOString();
  return `${usageLine(sampleEvent({ time, id }))}\n`;
}

function file(writer: string, sequence: number, content: string): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, segmentName(writer, sequence));
  writeFileSync(path, content);
  return path;
}

async function ids(options: Parameters<typeof readEvents>[1] = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const event of readEvents(directory, options)) found.push(event.id);
  return found;
}

describe("readEvents", () => {
  test("merges writers in order of time", async () => {
    file("a", 1, at(1, "1") + at(4, "4"));
    file("a", 2, at(6, "6"));
    file("b", 1, at(2, "2") + at(3, "3") + at(5, "5"));
    expect(await ids()).toEqual(["1", "2", "3", "4", "5", "6"]);
  });

  test("passes over torn, oversized and foreign lines and counts them", async () => {
    const faults = noFaults();
    file("a", 1, `${at(1, "1")}garbage\n{"v":99}\n${"y".repeat(1_100_000)}\n${at(2, "2")}${at(3, "3").slice(0, 40)}`);
    file("a", 2, at(4, "4"));
    expect(await ids({ faults })).toEqual(["1", "2", "4"]);
    expect(faults).toEqual({ invalid: 3, torn: 1, unreadable: 0 });
  });

  test("reads files longer than one piece", async () => {
    const count = 500;
    file(
      "a",
      1,
      Array.from({ length: count }, (_unused, index) => at(index, `${index}`).replace("client/1.0", "é")).join(""),
    );
    const found = await ids();
    expect(found).toEqual(Array.from({ length: count }, (_unused, index) => `${index}`));
  });

  test("leaves out what is older than asked for, whole files unread", async () => {
    const old = file("a", 1, "not even read\n");
    utimesSync(old, 1000, 1000);
    file("a", 2, at(1, "1") + at(30, "30"));
    const faults = noFaults();
    expect(await ids({ since: Date.UTC(2026, 0, 31, 12, 0, 10), faults })).toEqual(["30"]);
    expect(faults.invalid).toBe(0);
  });

  test("throws when there is no journal", async () => {
    await expect(ids()).rejects.toThrow(/ENOENT/);
  });
});

describe("LineReader", () => {
  test("waits for the end of a line that is being written", () => {
    const path = file("a", 1, "one\ntw");
    const reader = new LineReader(path);
    expect(reader.read()).toEqual(["one"]);
    expect(reader.read()).toBeNull();
    expect(reader.begunBytes).toBe(2);
    appendFileSync(path, "o\n");
    expect(reader.read()).toEqual(["two"]);
    reader.close();
  });
});

test("LineReader tells every line and where it ended, whatever is in it and wherever a piece begins", () => {
  const unit = fc.constantFrom("a", "é", "日", "\u{1f600}", " ", '"');
  const text = fc.tuple(unit, fc.integer({ min: 0, max: 40_000 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(text, { maxLength: 14 }), (parts) => {
      const wanted = parts.map(([character, length, plain]) => (plain ? "x" : character).repeat(length));
      const path = file("p", 1, wanted.map((line) => `${line}\n`).join(""));
      const reader = new LineReader(path);
      const found: string[] = [];
      const ends: number[] = [];
      for (let lines = reader.read(); lines !== null; lines = reader.read()) {
        found.push(...lines);
        ends.push(...reader.ends);
      }
      reader.close();
      let bytes = 0;
      const whole = wanted.map((line) => {
        bytes += Buffer.byteLength(line) + 1;
        return { line, end: bytes };
      });
      const told = whole.filter(({ line }) => line !== "");
      expect(found).toEqual(told.map(({ line }) => line));
      expect(ends).toEqual(told.map(({ end }) => end));
      expect(reader.passed).toBe(bytes);
    }),
    { numRuns: 60 },
  );
});

test("lines from before prices were known are events without a cost", () => {
  const { tags, cache_write_1h_tokens, cost_usd, price_known, guardrails, ...old } = sampleEvent();
  expect([tags, cache_write_1h_tokens, cost_usd, price_known, guardrails]).not.toContain(undefined);
  const read = parseEvent(JSON.stringify(old));
  expect(read).toMatchObject({ ...old, tags: {}, cache_write_1h_tokens: 0, cost_usd: 0, price_known: false });
  const { input_tokens, ...broken } = old;
  expect([input_tokens, parseEvent(JSON.stringify(broken))]).toEqual([old.input_tokens, null]);
});

describe("followEvents", () => {
  /** Follows in the background until `count` events came, then aborts. */
  async function follow(fromStart: boolean, count: number, whenStarted: () => void): Promise<string[]> {
    const stop = new AbortController();
    const found: string[] = [];
    const events = followEvents(directory, { fromStart, signal: stop.signal });
    const next = events.next();
    whenStarted();
    for (let step = await next; step.done !== true; step = await events.next()) {
      found.push(step.value.id);
      if (found.length === count) stop.abort();
    }
    return found;
  }

  test("begins with what is on file and goes on over files, writers and torn ends", { timeout: 10_000 }, async () => {
    file("a", 1, at(1, "1") + at(2, "2").slice(0, 30));
    const found = await follow(true, 4, () => {
      file("a", 2, at(3, "3"));
      const journal = new JournalWriter<string>({
        write: (line, text) => line.text(text),
        directory,
        writer: "b",
        segmentBytes: 1,
        maxBytes: 1 << 20,
      });
      for (const line of [at(4, "4"), at(5, "5")]) {
        journal.append(line.trimEnd());
        journal.flush();
      }
      journal.close();
    });
    expect(found).toEqual(["1", "3", "4", "5"]);
  });

  test("shows only what is new unless asked", { timeout: 10_000 }, async () => {
    const path = file("a", 1, at(1, "1"));
    expect(await follow(false, 1, () => appendFileSync(path, at(2, "2")))).toEqual(["2"]);
  });

  test("waits for a directory that is not there yet", { timeout: 10_000 }, async () => {
    expect(await follow(false, 1, () => file("a", 1, at(1, "1")))).toEqual(["1"]);
  });

  test("ends when told to while nothing comes", { timeout: 10_000 }, async () => {
    const stop = new AbortController();
    const events = followEvents(directory, { fromStart: true, signal: stop.signal });
    const next = events.next();
    stop.abort();
    expect((await next).done).toBe(true);
  });
});
