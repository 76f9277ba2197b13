import { describe, expect, it } from "vitest";
import { failure, isFailure } from "../../../src/errors.js";
import { COOLING_DOWN } from "../../../src/routing/health.js";
import type { Plan } from "../../../src/routing/plan.js";
import { NO_SLOT } from "../../../src/routing/slots.js";
import { direct, facts, Fleet, group, routing, target } from "./fleet.js";

const ABC = [direct("a"), direct("b"), direct("c")];

function tagged(...values: string[]) {
  return facts({ others: ["x-weir-routing-tags", values.join(",")] });
}

function planned(fleet: Fleet, name = "group"): Plan {
  const plan = fleet.plan(facts(), fleet.router, name);
  if (isFailure(plan)) throw new Error(plan.message);
  return plan;
}

describe("tags", () => {
  const fleet = new Fleet([
    ...ABC,
    group(routing([target("a", { tags: ["fast", "eu"] }), target("b", { tags: ["eu"] }), target("c")])),
  ]);
  const withDefault = new Fleet([
    ...ABC,
    group(routing([target("a", { tags: ["fast"] }), target("b", { tags: ["default"] }), target("c")])),
  ]);

  it("keep the targets that have one of the request's", () => {
    expect(fleet.names(tagged("eu"))).toEqual(["a", "b"]);
    expect(fleet.names(tagged(" fast ", " "))).toEqual(["a"]);
    expect(fleet.names(tagged("other", "fast"))).toEqual(["a"]);
  });

  it("fall back on the targets for everybody, and refuse where there are none", () => {
    expect(withDefault.names(tagged("eu"))).toEqual(["b"]);
    expect(fleet.plan(tagged("us"))).toMatchObject({ code: "invalid_request_error", param: "x-weir-routing-tags" });
  });

  it("of nobody leave the targets for everybody, or all", () => {
    expect(withDefault.names()).toEqual(["b"]);
    expect(fleet.names()).toEqual(["a", "b", "c"]);
    expect(fleet.names(tagged(" ", ""))).toEqual(["a", "b", "c"]);
  });

  it("mean nothing where no target has any", () => {
    expect(new Fleet([...ABC, group(routing([target("a"), target("b")]))]).names(tagged("x"))).toEqual(["a", "b"]);
  });
});

describe("addresses", () => {
  const inside = { allowedCidrs: ["10.0.0.0/8"] };
  const targets = routing([target("a"), target("b")]);

  it("drop the targets that exclude the caller", () => {
    const fleet = new Fleet([direct("a", inside), direct("b"), group(targets)]);
    expect(fleet.names(facts({ clientAddress: "10.1.2.3" }))).toEqual(["a", "b"]);
    expect(fleet.names(facts({ clientAddress: "192.0.2.1" }))).toEqual(["b"]);
  });

  it("refuse where no target is left", () => {
    const fleet = new Fleet([direct("a", inside), direct("b", inside), group(targets)]);
    expect(fleet.plan(facts({ clientAddress: "192.0.2.1" }))).toEqual(failure("ip_restricted"));
  });
});

describe("tiers", () => {
  const targets = [target("a"), target("b", { priority: 7 }), target("c", { priority: -1 }), target("d")];

  it("come in the order of their priority, within one as configured", () => {
    expect(new Fleet([...ABC, direct("d"), group(routing(targets))]).names()).toEqual(["b", "a", "d", "c"]);
  });

  it("are cut after so many fallbacks", () => {
    for (const [maxFallbacks, count] of [
      [0, 1],
      [1, 2],
      [2, 3],
      [9, 4],
    ] as const) {
      const fleet = new Fleet([...ABC, direct("d"), group(routing(targets, { maxFallbacks }))]);
      expect(fleet.names()).toEqual(["b", "a", "d", "c"].slice(0, count));
    }
  });

  it("have their strategy each", () => {
    const fleet = new Fleet([
      ...ABC,
      direct("d"),
      group(
        routing([target("a"), target("b"), target("c", { priority: 1 }), target("d", { priority: 1 })], {
          strategy: "round_robin",
        }),
      ),
    ]);
    expect([fleet.names(), fleet.names()]).toEqual([
      ["c", "d", "a", "b"],
      ["d", "c", "b", "a"],
    ]);
  });

  it("take no turn when a plan is only looked at", () => {
    const fleet = new Fleet([
      ...ABC,
      group(routing([target("a"), target("b"), target("c")], { strategy: "round_robin", maxFallbacks: 0 })),
    ]);
    const looked = Array.from({ length: 2 }, () => planned(fleet).possible.map(({ name }) => name));
    expect(looked).toEqual([
      ["a", "b", "c"],
      ["a", "b", "c"],
    ]);
    const fresh = new Fleet([
      ...ABC,
      group(routing([target("a"), target("b"), target("c")], { strategy: "round_robin" })),
    ]);
    expect(fleet.names()[0]).toBe(fresh.names()[0]);
  });
});

describe("health", () => {
  const make = (differs = {}) =>
    new Fleet([...ABC, group(routing([target("a", { priority: 1 }), target("b"), target("c")], differs))]);
  const cool = (fleet: Fleet, ...names: string[]) => {
    for (const name of names) fleet.router.health.coolDown(fleet.slot(name), Date.now() + 30_000);
  };
  const fail = (fleet: Fleet, ...names: string[]) => {
    const check = { passed: false, status: 500, staleSeconds: 60 };
    for (const name of names) fleet.router.health.recordCheck(fleet.slot(name), check, Date.now());
  };

  it("leaves the targets that are well, whatever their tier", () => {
    const fleet = make();
    cool(fleet, "a");
    expect(fleet.names()).toEqual(["b", "c"]);
    fail(fleet, "b");
    expect(fleet.names()).toEqual(["c"]);
  });

  it("leaves those that only cool down where none is well", () => {
    const fleet = make();
    cool(fleet, "a", "c");
    fail(fleet, "b");
    expect(fleet.names()).toEqual(["a", "c"]);
    // One that cools down and fails its checks does not only cool down.
    fail(fleet, "c");
    expect(fleet.names()).toEqual(["a"]);
  });

  it("refuses or tries all where there is nobody else", () => {
    const fleet = make();
    fail(fleet, "a", "b", "c");
    expect(fleet.plan()).toMatchObject({ code: "all_candidates_unavailable", retryAfterSeconds: 30 });
    const trying = make({ whenAllUnavailable: "try_anyway" });
    fail(trying, "a", "b", "c");
    expect(trying.names()).toEqual(["a", "b", "c"]);
  });

  it("goes before the cut: fallbacks are counted among those that are well", () => {
    const fleet = make({ maxFallbacks: 0 });
    cool(fleet, "a");
    expect(fleet.names()).toEqual(["b"]);
  });

  it("does not matter to a model that is asked for by its own name", () => {
    const fleet = make();
    cool(fleet, "a");
    fail(fleet, "a");
    expect(planned(fleet, "a").candidates.map(({ name }) => name)).toEqual(["a"]);
  });
});

describe("operations", () => {
  const target2 = [target("a"), target("m")];
  const messagesOnly = direct("m", { provider: "anthropic", providerKey: "other" });

  it("leave out targets that do not serve them, and are refused where none does", () => {
    const fleet = new Fleet([
      direct("a"),
      messagesOnly,
      group(routing(target2)),
      group(routing([target("m")]), { name: "messages" }),
    ]);
    const embed = (name: string) => {
      const model = fleet.snapshot.findModel(name);
      if (model === undefined) throw new Error("no such model");
      return fleet.router.plan(
        fleet.snapshot,
        model,
        { operation: "embeddings", dialect: "openai-embeddings" },
        facts(),
      );
    };
    expect((embed("group") as Plan).candidates.map(({ name }) => name)).toEqual(["a"]);
    const others = "It serves: chat, messages, count_tokens, responses, input_tokens, completions, tokenize.";
    for (const name of ["messages", "m"]) {
      const message = `The model "${name}" does not serve "embeddings" in the openai-embeddings dialect. ${others}`;
      expect(embed(name)).toMatchObject({ code: "unsupported_operation", param: "model", message });
    }
    expect(fleet.names()).toEqual(["a", "m"]);
  });

  it("reach targets that only a pattern covers, each with a health of its own", () => {
    const fleet = new Fleet([direct("gpt-*"), group(routing([target("gpt-x"), target("gpt-y")]))]);
    expect(planned(fleet).candidates.map(({ model }) => model.upstreamModel)).toEqual(["gpt-x", "gpt-y"]);
    fleet.router.health.coolDown(fleet.slot("gpt-x"), Date.now() + 30_000);
    expect(fleet.names()).toEqual(["gpt-y"]);
    // Others that the pattern covers share the pattern's.
    expect(planned(fleet, "gpt-z").candidates[0]?.slot).toBe(fleet.slot("gpt-*"));
  });
});

describe("retries", () => {
  it("are two on the last target and none before, where nobody says otherwise", () => {
    const plan = planned(new Fleet([...ABC, group(routing([target("a"), target("b")]))]));
    expect([0, 1].map((index) => [plan.retriesOn(index), plan.retriesSet(index)])).toEqual([
      [0, false],
      [2, false],
    ]);
  });

  it("are the target's own, else the group's, on every target", () => {
    const models = [
      direct("a", { retries: 5 }),
      direct("b"),
      group(routing([target("a"), target("b")], { retries: 1 })),
    ];
    const plan = planned(new Fleet(models));
    expect([0, 1].map((index) => [plan.retriesOn(index), plan.retriesSet(index)])).toEqual([
      [5, true],
      [1, true],
    ]);
    const inline = planned(
      new Fleet([direct("a"), direct("b"), group(routing([target("a"), target("b")]), { retries: 0 })]),
    );
    expect([inline.retriesOn(0), inline.retriesOn(1), inline.retriesSet(1)]).toEqual([0, 0, true]);
  });

  it("are none for a model that is called by its own name, unless it says otherwise", () => {
    const fleet = new Fleet([direct("a"), direct("b", { retries: 3 })]);
    expect([planned(fleet, "a").retriesOn(0), planned(fleet, "b").retriesOn(0)]).toEqual([0, 3]);
    expect(planned(fleet, "a").routing).toBeNull();
  });
});

describe("a plan", () => {
  it("is made without a new one for every request where one provider serves the model", () => {
    const fleet = new Fleet(ABC);
    expect(planned(fleet, "a")).toBe(planned(fleet, "a"));
  });

  it("keeps what is known of its names over a reload, and of a removed one nothing", () => {
    const fleet = new Fleet([...ABC, group(routing([target("a"), target("b")]))]);
    const [a, b] = planned(fleet).candidates;
    if (a === undefined || b === undefined) throw new Error("too few candidates");
    for (const { slot } of [a, b]) fleet.router.health.coolDown(slot, Date.now() + 60_000);
    const models = [direct("b"), group(routing([target("b")]))];
    fleet.router.adopt(fleet.shared.assign({ ...fleet.resources, models }));
    expect(fleet.slot("a")).toBe(NO_SLOT);
    expect(fleet.slot("b")).toEqual(b.slot);
    expect(fleet.router.health.standing(fleet.slot("b"), Date.now())).toBe(COOLING_DOWN);
  });
});
