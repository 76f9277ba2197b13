import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseSince, usage } from "../../../src/cli/usage.js";
import type { UsageEvent } from "../../../src/usage/event.js";
import { usageLine } from "./usage-line.js";
import { segmentName } from "../../../src/usage/segments.js";
import { sampleEvent } from "./sample-event.js";

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "usage-command-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

function journal(...events: Partial<UsageEvent>[]): void {
  mkdirSync(join(dataDir, "journal"));
  const lines = events.map((event) => `${usageLine(sampleEvent(event))}\n`).join("");
  writeFileSync(join(dataDir, "journal", segmentName("1", 1)), lines);
}

async function run(argv: string[], stop = new AbortController()) {
  const said = { code: -1, out: "", err: "" };
  said.code = await usage(argv, {
    stdout: {
      write: (text) => {
        said.out += text;
        if (argv[0] === "tail") stop.abort();
      },
    },
    stderr: { write: (text) => (said.err += text) },
    dataDir,
    environment: {},
    signal: stop.signal,
  });
  return said;
}

describe("weir usage sum", () => {
  test("sums by the columns asked for", async () => {
    journal(
      { api_key: "a", model: "m1", input_tokens: 100 },
      { api_key: "a", model: "m1", input_tokens: 1, attempt: 2, status: 502, error: "transport_error" },
      { api_key: "b", model: "m2", input_tokens: 7 },
    );
    const { code, out, err } = await run(["sum", "--by", "key,model"]);
    expect(err).toBe("");
    expect(code).toBe(0);
    expect(out.split("\n").map((line) => line.split(/ +/).join(" "))).toEqual([
      "key model requests attempts errors input output cache_read cache_write reasoning cost",
      "a m1 1 2 1 101 10 4 0 2 $0.000025",
      "b m2 1 1 0 7 5 2 0 1 $0.000013",
      "total 2 3 1 108 15 6 0 3 $0.000037",
      "",
    ]);
  });

  test("answers JSON lines, reads another directory, and cuts by time", async () => {
    journal({ time: "2026-01-30T23:59:59.999Z" }, { time: "2026-01-31T00:00:00.000Z" });
    const argv = ["sum", "--by", "day", "--since", "2026-01-31", "--json", "--data-dir", dataDir];
    const { out } = await run(argv);
    expect(out.trim().split("\n")).toHaveLength(1);
    expect(JSON.parse(out)).toEqual({
      day: "2026-01-31",
      requests: 1,
      attempts: 1,
      errors: 0,
      input_tokens: 10,
      output_tokens: 5,
      cache_read_tokens: 2,
      cache_write_tokens: 0,
      reasoning_tokens: 1,
      images: 0,
      audio_seconds: 0,
      characters: 0,
      search_units: 0,
      cost_usd: 0.000_012_5,
    });
  });

  test("takes the data directory from a configuration file, and shows that file's errors", async () => {
    journal({});
    const file = join(dataDir, "weir.yaml");
    writeFileSync(file, `data_dir: ${JSON.stringify(dataDir)}\n`);
    expect((await run(["sum", "--by", "model", "--config", file])).out).toContain("small");
    writeFileSync(file, "nonsense: 1\n");
    const refused = await run(["sum", "--by", "model", "--config", file]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("nonsense");
  });

  test("keeps names from steering the terminal", async () => {
    journal({ model: "evil\u001b[2J\u202e" });
    expect((await run(["sum", "--by", "model"])).out).toContain("evil?[2J?");
  });

  test.each([
    [["sum", "--by", "key,colour"], /unknown column "colour"; there are: key, .*day/],
    [["sum"], /--by is missing/],
    [["sum", "--by", "key"], /there is no journal at/],
    [["sum", "--by", "key", "--since", "yesterday"], /--since "yesterday"/],
    [["sum", "--bye", "key"], /--bye/],
    [["sum", "--by", "key", "--config", "a", "--data-dir", "b"], /not both/],
    [["tale"], /unknown command "tale"/],
    [[], /usage: weir usage/],
  ])("refuses %j", async (argv, reason) => {
    const { code, out, err } = await run(argv);
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(reason);
  });
});

describe("weir usage tail", () => {
  test("prints events, for people or as JSON, until it is stopped", { timeout: 10_000 }, async () => {
    journal({ error: "timeout", status: 504 });
    const people = await run(["tail", "--from-start"]);
    expect(people.code).toBe(0);
    expect(people.out).toMatch(/^2026-01-31T12:00:00.000Z 504 timeout chat small → acme\/acme-small · 10 in, 5 out/);
    const json = await run(["tail", "--from-start", "--json"]);
    expect(JSON.parse(json.out)).toEqual(sampleEvent({ error: "timeout", status: 504 }));
  });
});

test("parseSince takes lengths and times", () => {
  const now = Date.UTC(2026, 0, 31);
  expect(parseSince(undefined, now)).toBe(Number.NEGATIVE_INFINITY);
  expect(parseSince("90m", now)).toBe(now - 5_400_000);
  expect(parseSince("7d", now)).toBe(now - 604_800_000);
  expect(parseSince("2026-01-30T12:00:00+02:00", now)).toBe(Date.UTC(2026, 0, 30, 10));
  expect(() => parseSince("2026-13-45", now)).toThrow(/--since/);
});
