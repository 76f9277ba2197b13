import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DrainedLine, JournalDrain } from "../../../src/usage/journal-drain.js";
import { JournalWriter } from "../../../src/usage/journal.js";
import { usageLine } from "./usage-line.js";
import { enforceBound } from "../../../src/usage/retention.js";
import { listSegments, segmentName } from "../../../src/usage/segments.js";
import { sampleEvent } from "./sample-event.js";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-drain-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const line = (id: string): string => usageLine(sampleEvent({ id }));

function write(writer: string, sequence: number, ...ids: string[]): void {
  appendFileSync(join(directory, segmentName(writer, sequence)), ids.map((id) => `${line(id)}\n`).join(""));
}

/** Looks and takes everything, by id; "?" for a line that is no event. */
function take(drain: JournalDrain, live: readonly string[] = [], limit = 100): DrainedLine[] {
  drain.refresh(new Set(live));
  return drain.take(limit);
}

function idsOf(lines: readonly DrainedLine[]): string {
  return lines.map(({ event }) => event?.id ?? "?").join("");
}

describe("JournalDrain", () => {
  it("merges the writers by id, and keeps each writer's own order", () => {
    write("one", 1, "a", "d");
    write("one", 2, "c", "f");
    write("two", 1, "b", "e");
    // "c" was written behind "d": it stays there.
    expect(idsOf(take(new JournalDrain(directory)))).toBe("abdcef");
  });

  it("gives out what was not confirmed again after a rewind, and after a restart from its positions", () => {
    write("one", 1, "a", "b", "c", "d");
    const drain = new JournalDrain(directory);
    const lines = take(drain, ["one"]);
    for (const taken of lines.slice(0, 2)) drain.confirm(taken);
    expect(idsOf(take(drain, ["one"]))).toBe("");
    drain.rewind();
    expect(idsOf(take(drain, ["one"]))).toBe("cd");
    expect(idsOf(take(new JournalDrain(directory, drain.positions), ["one"]))).toBe("cd");
    drain.rewind(new Map());
    expect(drain.peek()).toBeNull();
    expect(idsOf(take(drain, ["one"]))).toBe("abcd");
  });

  it("goes on as files grow, and wants each until its last line is confirmed", () => {
    const [first, second] = [segmentName("one", 1), segmentName("one", 2)];
    const drain = new JournalDrain(directory);
    write("one", 1, "a");
    const [a] = take(drain, ["one"]);
    drain.confirm(a as DrainedLine);
    expect(drain.wants(first)).toBe(true);
    write("one", 1, "b");
    write("one", 2, "c");
    const rest = take(drain, ["one"]);
    expect(idsOf(rest)).toBe("bc");
    expect(drain.wants(first)).toBe(true);
    expect(drain.backlog()).toBe(2 * (line("b").length + 1));
    for (const taken of rest) drain.confirm(taken);
    expect(drain.wants(first)).toBe(false);
    expect(drain.wants(second)).toBe(true);
    take(drain);
    expect(drain.wants(second)).toBe(false);
    expect(drain.backlog()).toBe(0);
  });

  it("passes over torn ends and keeps the place of lines that are no events", () => {
    write("one", 1, "a");
    appendFileSync(join(directory, segmentName("one", 1)), '{"v":1}\nnot json\n');
    write("one", 1, "b");
    appendFileSync(join(directory, segmentName("one", 1)), '{"v":1,"id":"torn');
    const drain = new JournalDrain(directory);
    const lines = take(drain);
    expect(idsOf(lines)).toBe("a??b");
    for (const taken of lines) drain.confirm(taken);
    take(drain);
    expect(drain.wants(segmentName("one", 1))).toBe(false);
    expect(drain.backlog()).toBe(0);
  });

  it("takes out everything that a writer with small files puts in, in pieces of any size", () => {
    const writer = new JournalWriter<string>({
      write: (line, text) => line.text(text),
      directory,
      writer: "one",
      segmentBytes: 4_000,
      maxBytes: 1_000_000,
    });
    const drain = new JournalDrain(directory);
    const ids: string[] = [];
    const seen: string[] = [];
    for (let index = 0; index < 200; index += 1) {
      const id = String(index).padStart(4, "0");
      ids.push(id);
      writer.append(line(id));
      writer.flush();
      if (index % 7 !== 0) continue;
      for (const taken of take(drain, ["one"], 1 + (index % 5))) {
        seen.push(taken.event?.id ?? "?");
        drain.confirm(taken);
      }
      if (index % 3 === 0) drain.rewind();
    }
    writer.close();
    for (const taken of take(drain, [], 1_000)) seen.push(taken.event?.id ?? "?");
    expect(readdirSync(directory).length).toBeGreaterThan(10);
    expect(seen).toEqual(ids);
  });

  it("reads the rest of a file that was removed while it was open, and forgets it then", () => {
    write("one", 1, "a", "b");
    const drain = new JournalDrain(directory);
    expect(idsOf(take(drain, ["one"], 1))).toBe("a");
    rmSync(join(directory, segmentName("one", 1)));
    write("one", 2, "c");
    expect(idsOf(take(drain, ["one"]))).toBe("bc");
  });
});

describe("retention and what is not drained", () => {
  it("keeps it up to twice the bound; past that it goes, and is counted", () => {
    for (let sequence = 1; sequence <= 6; sequence += 1) write("one", sequence, `${sequence}a`, `${sequence}b`);
    const size = 2 * (line("1a").length + 1);
    const drain = new JournalDrain(directory);
    const [first] = take(drain, ["one"], 1);
    drain.confirm(first as DrainedLine);
    const lost: number[] = [];
    const bound = (maxBytes: number): string[] =>
      enforceBound(directory, maxBytes, {
        live: new Set(["one"]),
        wanted: (name) => drain.wants(name),
        giveUp: (segment) => lost.push(drain.forget(segment)),
      });
    expect(bound(3 * size)).toEqual([]);
    expect(bound(2 * size)).toEqual([segmentName("one", 1), segmentName("one", 2)]);
    // One of the first file's two was out already.
    expect(lost).toEqual([1, 2]);
    expect(listSegments(directory).length).toBe(4);
    expect(idsOf(take(drain, ["one"]))).toBe("3a3b4a4b5a5b6a6b");
    writeFileSync(join(directory, "other.txt"), "");
  });
});
