import { describe, expect, it } from "vitest";
import type { SemanticRouting } from "../../../src/config/traffic.js";
import { chooseRoute, cosine, normalized } from "../../../src/routing/semantic-route.js";

function vector(...values: number[]): Float32Array {
  return normalized(values) ?? new Float32Array();
}

const SEMANTIC: SemanticRouting = {
  embeddingModel: "meaning",
  defaultTarget: "default",
  threshold: 0.7,
  routes: [
    { name: "east", target: "to-east", examples: ["a", "b"], threshold: null },
    { name: "north", target: "to-north", examples: ["c"], threshold: 0.99 },
    { name: "west", target: "to-west", examples: [], threshold: null },
  ],
  embeddingTimeoutMs: 0,
  onEmbeddingFailure: { action: "default", target: "" },
};
const EXAMPLES = [[vector(1, 0, 0), vector(1, 0, 1)], [vector(0, 1, 0)], []];

describe("a route", () => {
  it.each([
    ["its best example counts", vector(0.9, 0, 1), "east", "to-east"],
    ["its own threshold holds, though it is nearer", vector(0.4, 1, 0), "", "default"],
    ["another may be taken that is farther but reaches its own", vector(1, 1.01, 0), "east", "to-east"],
    ["it reaches its own threshold", vector(0, 1, 0.01), "north", "to-north"],
    ["none fits", vector(0, 0, -1), "", "default"],
    ["another space", vector(1, 0), "", "default"],
  ])("%s", (_what, text, route, target) => {
    expect(chooseRoute(SEMANTIC, EXAMPLES, text)).toMatchObject({ route, target });
  });

  it("tells how near the nearest was, also where none fits", () => {
    expect(chooseRoute(SEMANTIC, EXAMPLES, vector(0.4, 1, 0)).similarity).toBeCloseTo(1 / Math.hypot(0.4, 1), 5);
    expect(chooseRoute(SEMANTIC, [[], [], []], vector(1, 0, 0)).similarity).toBe(-1);
  });
});

describe("vectors", () => {
  it("have length 1, or none", () => {
    expect([...(normalized([3, 4]) ?? [])].map((value) => value.toFixed(3))).toEqual(["0.600", "0.800"]);
    for (const pointless of [[0, 0], [], [Number.NaN, 1], [Number.POSITIVE_INFINITY]]) {
      expect(normalized(pointless)).toBeNull();
    }
    expect(cosine(vector(1, 1), vector(1, 1))).toBeCloseTo(1, 6);
    expect(cosine(vector(1, 0), vector(-1, 0))).toBe(-1);
  });
});
