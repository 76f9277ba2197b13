import { describe, expect, it } from "vitest";
import { filterOf, newPurge, parsePurge, purgeBytes, Purges } from "../../../src/cluster/cache-purges.js";
import { pack } from "../../../src/cluster/wire.js";

const DAY = 86_400_000;
const NOW = 1_000 * DAY;
const answer = { policy: "p", model: "m", apiKey: "k" };

describe("purges", () => {
  it.each([
    [{}, true],
    [{ policy: "p" }, true],
    [{ model: "m", apiKey: "k" }, true],
    [{ policy: "p", model: "other" }, false],
    [{ apiKey: "other" }, false],
  ])("%j covers answers that it fits, and that were asked for before", (filter, fits) => {
    const purges = new Purges(DAY);
    expect(purges.add(newPurge(filter, NOW), NOW)).toBe(true);
    expect(purges.cover(answer, NOW)).toBe(fits);
    expect(purges.cover(answer, NOW - 1)).toBe(fits);
    expect(purges.cover(answer, NOW + 1)).toBe(false);
  });

  it("go over the wire, and are known by their ids", () => {
    const purge = newPurge({ policy: "p", apiKey: "k" }, NOW);
    const read = parsePurge(purgeBytes(purge), NOW);
    expect(read).toEqual(purge);
    expect(read && filterOf(read)).toEqual({ policy: "p", model: undefined, apiKey: "k" });
    const purges = new Purges(DAY);
    expect([purges.add(purge, NOW), purges.add(purge, NOW)]).toEqual([true, false]);
  });

  it("of another clock are at most a minute ahead", () => {
    expect(parsePurge(purgeBytes(newPurge({}, NOW + DAY)), NOW)?.at).toBe(NOW + 60_000);
  });

  it.each([
    ["nothing", Buffer.from("")],
    ["another version", pack({ v: 2, id: "i", at: NOW })],
    ["names that are none", pack({ v: 1, id: "i", at: NOW, policy: 7 })],
    ["no time", pack({ v: 1, id: "i" })],
  ])("with %s mean nothing", (_, bytes) => {
    expect(parsePurge(bytes, NOW)).toBeNull();
  });

  it("that are older than any answer are let go", () => {
    const purges = new Purges(DAY);
    const old = newPurge({}, NOW);
    purges.add(old, NOW);
    expect(purges.add(newPurge({ policy: "q" }, NOW + DAY), NOW + DAY)).toBe(true);
    expect(purges.cover(answer, NOW)).toBe(false);
    expect(purges.add(old, NOW + DAY)).toBe(false);
  });

  it("are merged with those that another node knows; only unknown ones are told", () => {
    const [one, other] = [new Purges(DAY), new Purges(DAY)];
    const shared = newPurge({ policy: "s" }, NOW);
    for (const purges of [one, other]) purges.add(shared, NOW);
    other.add(newPurge({ model: "m" }, NOW + 1), NOW);
    expect(one.merge(other.bytes(), NOW)).toEqual([{ policy: undefined, model: "m", apiKey: undefined }]);
    expect(one.merge(other.bytes(), NOW)).toEqual([]);
    expect(one.cover(answer, NOW)).toBe(true);
    expect(one.merge(Buffer.from("nonsense"), NOW)).toEqual([]);
  });

  it("are bounded: beyond that the oldest count for everything", () => {
    const purges = new Purges(DAY);
    for (let index = 0; index < 256; index += 1) purges.add(newPurge({ policy: `p${index}` }, NOW + index), NOW);
    expect(purges.cover(answer, NOW)).toBe(false);
    purges.add(newPurge({ policy: "last" }, NOW + 1_000), NOW);
    expect(purges.cover(answer, NOW)).toBe(true);
    expect(purges.cover(answer, NOW + 1)).toBe(false);
    const newcomer = new Purges(DAY);
    expect(newcomer.merge(purges.bytes(), NOW)).toEqual([{}]);
    expect(newcomer.cover(answer, NOW)).toBe(true);
    expect(newcomer.cover({ ...answer, policy: "last" }, NOW + 1_000)).toBe(true);
  });
});
