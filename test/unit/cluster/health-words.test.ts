import { describe, expect, it } from "vitest";
import type { ModelRow } from "../../../src/cluster/health-message.js";
import { HealthWords, type Speaker } from "../../../src/cluster/health-words.js";

const NOON = Date.UTC(2030, 0, 1, 12);
const MINUTE = 60_000;
const known = () => true;

function row(differs: Partial<ModelRow> = {}): ModelRow {
  return { name: "m", inFlight: 0, latency: null, cooldown: null, successAgeMs: null, ...differs };
}

function from(instance: string, longestCooldownMs = 10 * MINUTE): Speaker {
  return { instance, node: `node-${instance}`, longestCooldownMs };
}

describe("what the others say is in flight", () => {
  it("is added up, the last word of each", () => {
    const words = new HealthWords();
    words.hear(row({ inFlight: 2 }), from("a"), NOON);
    words.hear(row({ inFlight: 5 }), from("b"), NOON);
    words.hear(row({ inFlight: 3 }), from("a"), NOON);
    expect(words.sum("m", NOON).inFlight).toBe(8);
    expect(words.sum("other", NOON).inFlight).toBe(0);
    words.gone("b");
    expect(words.sum("m", NOON).inFlight).toBe(3);
  });

  it("is nothing when it has not been said for five looks, and then forgotten", () => {
    const words = new HealthWords();
    words.hear(row({ inFlight: 2 }), from("a"), NOON);
    for (let look = 0; look < 4; look += 1) words.look(NOON, known);
    expect(words.sum("m", NOON).inFlight).toBe(2);
    words.look(NOON, known);
    expect([words.sum("m", NOON).inFlight, words.size, words.names]).toEqual([0, 0, []]);
  });
});

describe("a cooldown that others tell", () => {
  const cooling = (leftMs: number, id = 1) => row({ cooldown: { leftMs, id, status: 429 } });

  it("ends when the least of the words on it says so, however late they come", () => {
    const words = new HealthWords();
    words.hear(cooling(30_000), from("a"), NOON);
    words.hear(cooling(29_000), from("a"), NOON + 3_000);
    expect(words.sum("m", NOON).cooldownUntil).toBe(NOON + 30_000);
    words.hear(cooling(26_900), from("a"), NOON + 3_000);
    expect(words.sum("m", NOON).cooldownUntil).toBe(NOON + 29_900);
    words.hear(cooling(60_000, 2), from("a"), NOON + 3_000);
    expect(words.sum("m", NOON).cooldownUntil).toBe(NOON + 63_000);
  });

  it("lasts no longer than this node allows, from when it was heard of first", () => {
    const words = new HealthWords();
    for (let second = 0; second < 90; second += 1) {
      const now = NOON + second * 1_000;
      words.hear(cooling(10 * MINUTE - second * 1_000), from("a", MINUTE), now);
      words.look(now, known);
      expect(words.sum("m", now).cooldownUntil).toBe(second < 60 ? NOON + MINUTE : 0);
    }
    words.hear(cooling(30_000), from("b", 0), NOON);
    expect(words.sum("m", NOON + 70_000).cooldownUntil).toBe(0);
  });

  it("is the longest of all, holds on when its node is gone, and says whose it is", () => {
    const words = new HealthWords();
    words.hear(cooling(30_000), from("a"), NOON);
    words.hear(cooling(50_000), from("b"), NOON);
    words.gone("b");
    for (let look = 0; look < 9; look += 1) words.look(NOON + look * 1_000, known);
    expect(words.sum("m", NOON + 9_000).cooldownUntil).toBe(NOON + 50_000);
    expect(words.cooldownFrom("m")).toEqual({ node: "node-b", status: 429 });
    words.look(NOON + 50_000, known);
    expect([words.size, words.cooldownFrom("m")]).toEqual([0, null]);
  });
});

describe("latencies that others tell", () => {
  const measured = (ms: number, ageMs: number, samples = 10) => row({ latency: { ms, ageMs, samples } });

  it("are weighed by how many samples they have, and how young they are", () => {
    const words = new HealthWords();
    words.hear(measured(100, 0), from("a"), NOON);
    expect(words.sum("m", NOON)).toMatchObject({ latencyMs: 100, latencyAt: NOON });
    words.hear(measured(200, 0), from("b"), NOON);
    expect(words.sum("m", NOON).latencyMs).toBeCloseTo(150);
    words.hear(measured(200, 90_000), from("b"), NOON);
    expect(words.sum("m", NOON).latencyMs).toBeLessThan(110);
    words.hear(measured(200, 0, 1), from("b"), NOON);
    expect(words.sum("m", NOON).latencyMs).toBeLessThan(110);
  });

  it("hold until they are stale, also where nobody says them again", () => {
    const words = new HealthWords();
    words.hear(measured(100, 10_000), from("a"), NOON);
    for (let look = 0; look < 20; look += 1) words.look(NOON + look * 1_000, known);
    expect(words.sum("m", NOON).latencyMs).toBe(100);
    words.look(NOON + 290_001, known);
    expect(words.sum("m", NOON).latencyMs).toBe(-1);
    expect(words.size).toBe(0);
  });
});

describe("all words together", () => {
  it("are only on models that this node knows, and bounded", () => {
    const words = new HealthWords();
    words.hear(row({ inFlight: 1 }), from("a"), NOON);
    words.look(NOON, (name) => name !== "m");
    expect(words.size).toBe(0);
    for (let index = 0; index < 262_200; index += 1)
      words.hear(row({ inFlight: 1, name: `m${index}` }), from("a"), NOON);
    expect(words.size).toBe(262_144);
    words.hear(row({ inFlight: 9, name: "m0" }), from("a"), NOON);
    expect(words.sum("m0", NOON).inFlight).toBe(9);
  });
});
