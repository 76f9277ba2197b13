import { describe, expect, it } from "vitest";
import type { ApiKeyResource, DirectModel } from "../../../src/config/resources.js";
import type { ResolvedModel } from "../../../src/config/snapshot.js";
import { type Condition, NO_TRAFFIC, type RateLimitPolicy } from "../../../src/config/traffic.js";
import type { BlockMap } from "../../../src/quota/blocks.js";
import { Limits } from "../../../src/quota/limits.js";
import { compileCondition, type Facts } from "../../../src/quota/policy-condition.js";
import { MINUTE, NOON } from "./quota-setup.js";

const FACTS: Facts = {
  team: "red",
  member: null,
  api_key: "10.1.2.3",
  model: "gpt-4o",
  model_entry: "gpt-*",
  model_name: "7",
  provider: "acme",
};

type Test = Extract<Condition, { kind: "test" }>;

function test(dimension: Test["dimension"], operator: Test["operator"], value: Test["value"], negate = false): Test {
  return { kind: "test", dimension, operator, value, negate };
}

const holds = (condition: Condition) => compileCondition(condition)(FACTS);

describe("a condition", () => {
  it.each<[Test, boolean]>([
    [test("team", "==", "red"), true],
    [test("team", "==", "re"), false],
    [test("team", "~=", "blue"), true],
    [test("team", "~=", "red"), false],
    [test("model", "~~", "^gpt-"), true],
    [test("model", "~~", "4O"), false],
    [test("model", "~*", "4O$"), true],
    [test("team", "in", ["blue", "red"]), true],
    [test("team", "in", ["blue"]), false],
    [test("team", "has", "red"), true],
    [test("team", "has", "re"), false],
    [test("model_name", ">", 6), true],
    [test("model_name", ">", 7), false],
    [test("model_name", ">=", "7"), true],
    [test("model_name", "<", 8), true],
    [test("model_name", "<=", 6), false],
    [test("model_name", "==", 7), true],
    [test("team", ">", 0), false],
    [test("team", "<=", 0), false],
    [test("api_key", "ipmatch", ["10.0.0.0/8"]), true],
    [test("api_key", "ipmatch", "192.168.0.0/16"), false],
    [test("team", "ipmatch", "10.0.0.0/8"), false],
    [test("team", "==", "red", true), false],
    [test("model", "==", "gpt-*"), true],
    [test("model", "in", ["gpt-*"]), true],
    [test("model", "~=", "gpt-*"), false],
    [test("model", "~=", "gpt-4o"), false],
    [test("model", "~=", "o1"), true],
  ])("%o is %s", (condition, expected) => {
    expect(holds(condition)).toBe(expected);
  });

  it("of what the request has none of holds only for what is unequal or negated", () => {
    const operators = ["==", "~=", "~~", "~*", "in", "has", ">", "ipmatch"] as const;
    const value = (operator: string) => (operator === "ipmatch" ? "0.0.0.0/0" : "");
    expect(operators.filter((operator) => holds(test("member", operator, value(operator))))).toEqual(["~="]);
    expect(operators.filter((operator) => holds(test("member", operator, value(operator), true)))).not.toContain("~=");
  });

  it("joins others by and, or and negation, also none", () => {
    const [yes, no] = [test("team", "==", "red"), test("team", "==", "blue")];
    const group = (logic: "and" | "or", children: Condition[], negate = false): Condition => ({
      kind: "group",
      logic,
      children,
      negate,
    });
    expect(holds(group("and", [yes, no]))).toBe(false);
    expect(holds(group("or", [no, yes]))).toBe(true);
    expect(holds(group("and", [yes, group("or", [no, no], true)]))).toBe(true);
    expect([holds(group("and", [])), holds(group("or", []))]).toEqual([true, false]);
  });

  it("with a pattern that would take ages elsewhere takes no time", () => {
    const slow = compileCondition(test("model", "~~", "^(a+)+$"));
    const from = performance.now();
    expect(slow({ ...FACTS, model: `${"a".repeat(5_000)}b` })).toBe(false);
    expect(performance.now() - from).toBeLessThan(5_000);
  });
});

function key(name: string, more: Partial<ApiKeyResource> = {}): ApiKeyResource {
  return { name, teamId: null, userId: null, rateLimit: null, ...more } as unknown as ApiKeyResource;
}

function model(name: string, rateLimit: DirectModel["rateLimit"] = null): ResolvedModel {
  const entry = { kind: "direct", name, provider: "acme", rateLimit } as unknown as DirectModel;
  return { name, entry, direct: { entry, upstreamModel: `up-${name}` } } as unknown as ResolvedModel;
}

function policy(id: string, more: Partial<RateLimitPolicy> = {}): RateLimitPolicy {
  return {
    id,
    name: `policy ${id}`,
    limits: { rpm: 1 },
    condition: null,
    groupBy: [],
    schedules: [],
    onPartition: null,
    ...more,
  };
}

interface Parts {
  readonly keys?: readonly ApiKeyResource[];
  readonly models?: readonly ResolvedModel[];
  readonly policies?: readonly RateLimitPolicy[];
}

function limitsOf({ keys = [], models = [], policies = [] }: Parts): Limits {
  const blocks: Record<string, number> = {};
  for (const { name } of keys) blocks[`api_key:${name}`] = Object.keys(blocks).length;
  for (const { name } of models) blocks[`model:${name}`] = Object.keys(blocks).length;
  for (const { id } of policies) blocks[`policy:${id}`] = Object.keys(blocks).length;
  const traffic = { ...NO_TRAFFIC, policies };
  return new Limits({ apiKeys: keys, models: models.map(({ entry }) => entry), traffic }, blocks as BlockMap);
}

describe("what limits a request", () => {
  it("is the key's limit, then the model's, then the policies in their order", () => {
    const [caller, gpt] = [key("k", { rateLimit: { rpm: 1 } }), model("gpt", { tpm: 5 })];
    const limits = limitsOf({ keys: [caller], models: [gpt], policies: [policy("b"), policy("a")] });
    const layers = limits.layersFor(caller, gpt, NOON);
    expect(layers.map(({ label }) => label)).toEqual(["API key", "model", 'policy "policy b"', 'policy "policy a"']);
    expect(layers.map(({ place }) => place.block)).toEqual([0, 1, 2, 3]);
    expect(layers[2]?.policy).toEqual({ id: "b", name: "policy b" });
    expect(limits.layersFor(caller, gpt, NOON)).toBe(layers);
    expect(limits.layersFor(key("other"), model("free"), NOON)).toHaveLength(2);
    expect(limits.ofModel("gpt")).toEqual([layers[1]]);
    expect(limits.ofModel("free")).toEqual([]);
  });

  it("leaves policies out whose condition does not hold, or that limit nothing", () => {
    const policies = [
      policy("red", { condition: test("team", "==", "red") }),
      policy("up", { condition: test("model_name", "==", "up-gpt") }),
      policy("empty", { limits: {} }),
    ];
    const limits = limitsOf({ policies });
    const ids = (teamId: string | null, name: string) =>
      limits.layersFor(key(`${teamId} ${name}`, { teamId }), model(name), NOON).map(({ policy: of }) => of?.id);
    expect(ids("red", "gpt")).toEqual(["red", "up"]);
    expect(ids(null, "gpt")).toEqual(["up"]);
    expect(ids("red", "other")).toEqual(["red"]);
  });

  it("of a name with several models behind it knows no provider and no upstream name", () => {
    const policies = [
      policy("provider", { condition: test("provider", "==", "acme") }),
      policy("grouped", { groupBy: ["provider"] }),
      policy("named", { condition: test("model", "==", "pool") }),
    ];
    const pool = { ...model("pool"), direct: null };
    const layers = limitsOf({ policies }).layersFor(key("k"), pool, NOON);
    expect(layers.map(({ policy: of }) => of?.id)).toEqual(["named"]);
  });

  it("counts groups apart, and not at all where the request has none of what is grouped by", () => {
    const limits = limitsOf({ policies: [policy("p", { groupBy: ["team", "model"] })] });
    const place = (teamId: string | null, name: string, caller = "k") =>
      limits.layersFor(key(`${caller}${teamId}${name}`, { teamId }), model(name), NOON)[0]?.place;
    expect(place(null, "gpt")).toBeUndefined();
    expect(place("red", "gpt")).toEqual(place("red", "gpt", "another"));
    expect(place("red", "gpt")?.overflow).toBe(0);
    const words = [place("red", "gpt"), place("blue", "gpt"), place("red", "o1")].map((of) => of?.word0);
    expect(new Set(words).size).toBe(3);
    expect(limits.layersFor(key("k", { teamId: "red" }), null, NOON)).toEqual([]);
  });

  it("counts names that fit a pattern together, and configured names apart, whatever callers invent", () => {
    const limits = limitsOf({ policies: [policy("p", { groupBy: ["api_key", "model"] })] });
    const caller = key("k");
    const word = (of: ResolvedModel) => limits.layersFor(caller, of, NOON)[0]?.place.word0;
    const wild = (name: string) => {
      const { entry, direct } = model("gpt-*");
      return { name, entry, direct } as unknown as ResolvedModel;
    };
    const words = new Set(Array.from({ length: 90_000 }, (_, index) => word(wild(`gpt-${index}`))));
    expect(words.size).toBe(1);
    expect(words.has(word(model("gpt-4o")))).toBe(false);
  });

  it("leaves a suspended policy out as long as it is", () => {
    const suspended = { daysOfWeek: [], dates: [], startMinute: 720, endMinute: 721, timezone: "UTC" };
    const limits = limitsOf({ policies: [policy("always"), policy("not at noon", { schedules: [suspended] })] });
    const [caller, gpt] = [key("k"), model("gpt")];
    const count = (at: number) => limits.layersFor(caller, gpt, at).length;
    expect([count(NOON - 1), count(NOON), count(NOON + MINUTE - 1), count(NOON + MINUTE)]).toEqual([2, 1, 1, 2]);
  });

  it("is not remembered without bound", () => {
    const limits = limitsOf({ policies: [policy("p", { groupBy: ["model"] })] });
    const caller = key("k");
    const first = limits.layersFor(caller, model("m0"), NOON);
    for (let index = 1; index <= 16_384; index += 1) limits.layersFor(caller, model(`m${index}`), NOON);
    const again = limits.layersFor(caller, model("m0"), NOON);
    expect(again).not.toBe(first);
    expect(again).toEqual(first);
  });

  it("cannot be had without blocks", () => {
    const resources = { apiKeys: [], models: [], traffic: { ...NO_TRAFFIC, policies: [policy("p")] } };
    expect(() => new Limits(resources, {})).toThrow(/policy:p/);
  });
});
