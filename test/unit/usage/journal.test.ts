import fs, {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { JournalWriter } from "../../../src/usage/journal.js";
import { enforceBound } from "../../../src/usage/retention.js";
import { listSegments, segmentName } from "../../../src/usage/segments.js";

let root = "";
let directory = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "journal-"));
  directory = join(root, "journal");
});
afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  rmSync(root, { recursive: true, force: true });
});

function writer(change: { writer?: string; segmentBytes?: number; maxBytes?: number } = {}): JournalWriter<string> {
  return new JournalWriter({
    write: (line, text) => line.text(text),
    directory,
    writer: "1",
    segmentBytes: 1 << 20,
    maxBytes: 1 << 24,
    ...change,
  });
}

function everything(): string {
  return listSegments(directory)
    .map((segment) => readFileSync(segment.path, "utf8"))
    .join("");
}

/** Makes the writes of one test behave as told; restored after it. */
function writesBecome(behave: (file: number, bytes: Buffer) => number): void {
  vi.spyOn(fs, "writeSync").mockImplementation(((file: number, bytes: Buffer) =>
    behave(file, bytes)) as typeof fs.writeSync);
  syncBuiltinESMExports();
}

function refusal(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe("JournalWriter", () => {
  test("has nothing on file before flush, and all of it after, with one write", () => {
    const journal = writer();
    const writes = vi.spyOn(fs, "writeSync");
    syncBuiltinESMExports();
    for (let index = 0; index < 32; index += 1) journal.append(`{"n":${index}}`);
    expect(everything()).toBe("");
    expect(journal.stats).toMatchObject({ pending: 32, lines: 0 });
    expect(journal.flush()).toBe(true);
    expect(writes).toHaveBeenCalledTimes(1);
    expect(everything().split("\n")).toHaveLength(33);
    expect(journal.stats).toMatchObject({ pending: 0, lines: 32, lost: 0, failed: 0, problem: "" });
    expect(journal.stats.bytes).toBe(everything().length);
    expect(journal.flush()).toBe(true);
    journal.close();
  });

  test("begins a new file at every start and past the segment's size", () => {
    const first = writer({ segmentBytes: 10 });
    for (const line of ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "c"]) {
      first.append(line);
      first.flush();
    }
    first.close();
    appendFileSync(join(directory, segmentName("1", 3)), '{"torn');
    const second = writer();
    second.append("d");
    second.close();
    expect(readdirSync(directory).sort()).toEqual([1, 2, 3, 4].map((sequence) => segmentName("1", sequence)));
    expect(readFileSync(join(directory, segmentName("1", 4)), "utf8")).toBe("d\n");
  });

  test("keeps files small enough for the bound to free any", () => {
    const journal = writer({ segmentBytes: 1 << 20, maxBytes: 40 });
    for (let index = 0; index < 3; index += 1) {
      journal.append("x".repeat(12));
      journal.flush();
    }
    journal.close();
    expect(listSegments(directory)).toHaveLength(3);
  });

  test("removes a file that was never used", () => {
    writer().close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("does not throw when the disk is full, keeps the lines and writes them later", () => {
    const journal = writer();
    writesBecome(() => {
      throw refusal("ENOSPC");
    });
    journal.append("one");
    expect(journal.flush()).toBe(false);
    journal.append("two");
    expect(journal.flush()).toBe(false);
    expect(journal.stats).toMatchObject({ lines: 0, pending: 2, failed: 2, lost: 0, problem: "ENOSPC" });
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect(journal.flush()).toBe(true);
    expect(everything()).toBe("one\ntwo\n");
    expect(journal.stats).toMatchObject({ lines: 2, pending: 0, problem: "" });
    journal.close();
  });

  test("goes on in the middle of a line after a write that took only a part", () => {
    const journal = writer();
    const real = fs.writeSync;
    let calls = 0;
    writesBecome((file, bytes) => {
      calls += 1;
      if (calls === 2) throw refusal("ENOSPC");
      return real(file, bytes.subarray(0, 5));
    });
    journal.append("häagen-dazs");
    journal.append("second");
    expect(journal.flush()).toBe(false);
    journal.append("third");
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect(journal.flush()).toBe(true);
    expect(everything()).toBe("häagen-dazs\nsecond\nthird\n");
    expect(journal.stats.lines).toBe(3);
    journal.close();
  });

  test("counts as lost what does not fit into memory", () => {
    const journal = writer();
    writesBecome(() => {
      throw refusal("EIO");
    });
    const line = "x".repeat(1024 * 1024);
    for (let index = 0; index < 12; index += 1) {
      journal.append(line);
      journal.flush();
    }
    expect(journal.stats.pending + journal.stats.lost).toBe(12);
    expect(journal.stats.pending).toBe(7);
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    journal.close();
    expect(everything()).toHaveLength(7 * (line.length + 1));
  });

  test("works without its directory, and recovers when it can be made", () => {
    writeFileSync(directory, "in the way");
    const journal = writer();
    expect(journal.stats.problem).not.toBe("");
    journal.append("one");
    expect(journal.flush()).toBe(false);
    rmSync(directory);
    expect(journal.flush()).toBe(true);
    journal.close();
    expect(everything()).toBe("one\n");
  });
});

describe("enforceBound", () => {
  function segment(name: string, sequence: number, bytes: number, seconds: number): string {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, segmentName(name, sequence));
    writeFileSync(path, "x".repeat(bytes));
    utimesSync(path, seconds, seconds);
    return segmentName(name, sequence);
  }

  test("removes the oldest closed files until the rest fits", () => {
    const a1 = segment("a", 1, 100, 1000);
    const b1 = segment("b", 1, 100, 2000);
    const a2 = segment("a", 2, 100, 3000);
    const b2 = segment("b", 2, 100, 4000);
    writeFileSync(join(directory, "notes.txt"), "x".repeat(1000));
    expect(enforceBound(directory, 400)).toEqual([]);
    expect(enforceBound(directory, 250)).toEqual([a1, b1]);
    expect(enforceBound(directory, 0)).toEqual([]);
    expect(readdirSync(directory).sort()).toEqual(["notes.txt", a2, b2].sort());
  });

  test("spares the newest file of live writers only", () => {
    const gone = segment("old", 9, 100, 5000);
    const live = segment("new", 1, 100, 1000);
    expect(enforceBound(directory, 0, { live: new Set(["new"]) })).toEqual([gone]);
    expect(statSync(join(directory, live)).size).toBe(100);
  });

  test("takes a missing directory for an empty one", () => {
    expect(existsSync(directory)).toBe(false);
    expect(enforceBound(directory, 0)).toEqual([]);
  });
});
