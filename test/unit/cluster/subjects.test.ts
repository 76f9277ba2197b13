import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fleetNames, nameRows, rollupKey, token } from "../../../src/cluster/subjects.js";
import { tableRows } from "../../architecture/prose.js";

describe("token", () => {
  it.each([
    ["gpt-4o", "gpt-4o"],
    ["gpt-4.1", "gpt-4=2E1"],
    ["team b", "team=20b"],
    ["a.>.*", "a=2E=3E=2E=2A"],
    ["a=b", "a=3Db"],
    ["vendor/model_1", "vendor/model_1"],
    ["ü", "=C3=BC"],
    ["", "="],
  ])("%j is %s", (text, escaped) => {
    expect(token(text)).toBe(escaped);
  });

  it("is one token that NATS takes in subjects and keys, for any text, and tells texts apart", () => {
    const text = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(text, text, (one, other) => {
        expect(token(one)).toMatch(/^[A-Za-z0-9_/=-]{1,200}$/);
        const isSame = Buffer.from(one, "utf8").equals(Buffer.from(other, "utf8"));
        expect(token(one) === token(other)).toBe(isSame);
      }),
    );
  });

  it("cuts what is long, and keeps it one of a kind", () => {
    const long = "x".repeat(300);
    expect(token(long).length).toBeLessThanOrEqual(200);
    expect(token(`${long}1`)).not.toBe(token(`${long}2`));
    expect(token("x".repeat(200))).toBe("x".repeat(200));
  });
});

describe("fleetNames", () => {
  it("all begin with the fleet's name", () => {
    const names = fleetNames("blue-1");
    expect(names.usage("ann", "gpt-4.1")).toBe("blue-1.usage.ann.gpt-4=2E1");
    expect(names.usageStream).toBe("BLUE-1_USAGE");
    expect(rollupKey("2026-01-31", "ann", "m.1")).toBe("2026-01-31.ann.m=2E1");
    for (const { name } of nameRows(names, "blue-1")) expect(name.toLowerCase()).toMatch(/^blue-1[._]/);
  });

  it("are those that docs/operations.md lists", () => {
    const page = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");
    const told = tableRows(page, "name").map(([name, kind]) => ({ name, kind }));
    expect(told).toEqual(nameRows(fleetNames("weir"), "weir"));
  });
});
