import { describe, expect, it } from "vitest";
import {
  type CheckRow,
  MAX_MESSAGE,
  type ModelRow,
  packHealth,
  unpackHealth,
} from "../../../src/cluster/health-message.js";
import { pack, unpack } from "../../../src/cluster/wire.js";

const MODEL: ModelRow = {
  name: "gpt-4.1",
  inFlight: 3,
  latency: { ms: 12.5, ageMs: 100, samples: 7 },
  cooldown: { leftMs: 30_000, id: 1_700_000_000_000, status: 503 },
  successAgeMs: 0,
};
const CHECK: CheckRow = { name: "gpt-4.1", passed: false, status: 503, ageMs: 20, staleSeconds: 300 };

describe("a message on health", () => {
  it("comes as it went", () => {
    const atRest = { ...MODEL, name: "other *", latency: null, cooldown: null, successAgeMs: null };
    const message = { instance: "a", models: [MODEL, atRest], checks: [CHECK] };
    const packed = packHealth(message);
    expect(packed).toHaveLength(1);
    expect(unpackHealth(packed[0] as Uint8Array)).toEqual(message);
    expect(packHealth({ instance: "a", models: [], checks: [] })).toEqual([]);
  });

  it("is cut into several of which none is too large, and nothing is lost", () => {
    const models = Array.from({ length: 5_000 }, (_, index) => ({ ...MODEL, name: `${"ü".repeat(200)}${index}` }));
    const checks = Array.from({ length: 500 }, (_, index) => ({ ...CHECK, name: `m${index}` }));
    const packed = packHealth({ instance: "a", models, checks });
    expect(packed.length).toBeGreaterThan(1);
    expect(Math.max(...packed.map(({ length }) => length))).toBeLessThanOrEqual(MAX_MESSAGE);
    const read = packed.map((data) => unpackHealth(data));
    expect(read.flatMap((message) => message?.models ?? [])).toEqual(models);
    expect(read.flatMap((message) => message?.checks ?? [])).toEqual(checks);
  });

  it("may have fields that are not known yet; of what means nothing only the rest is taken", () => {
    const good = packHealth({ instance: "a", models: [MODEL], checks: [CHECK] })[0] as Uint8Array;
    const plain = unpack(good) as { models: object[]; checks: object[] };
    const bad = [
      null,
      "row",
      { name: "", in_flight: 1 },
      { name: "x", in_flight: -1 },
      { name: "x", in_flight: Number.NaN },
      { name: "x".repeat(2_000), in_flight: 1 },
    ];
    const models = [
      ...bad,
      { ...plain.models[0], zone: "east" },
      { name: "odd", in_flight: 1, latency: [1], cooldown: 3 },
    ];
    const data = pack({ ...plain, models, checks: [...plain.checks, { name: "x", passed: 1 }], more: true });
    expect(unpackHealth(data)).toEqual({
      instance: "a",
      models: [MODEL, { name: "odd", inFlight: 1, latency: null, cooldown: null, successAgeMs: null }],
      checks: [CHECK],
    });
    for (const other of [{ ...plain, v: 2 }, { ...plain, instance: "" }, { ...plain, models: {} }, 7]) {
      expect(unpackHealth(pack(other))).toBeNull();
    }
    expect(unpackHealth(Buffer.from([0xc1]))).toBeNull();
    expect(unpackHealth(Buffer.alloc(MAX_MESSAGE + 1))).toBeNull();
  });
});
