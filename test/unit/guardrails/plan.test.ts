import { describe, expect, it } from "vitest";
import type { GuardrailAttachment } from "../../../src/config/traffic.js";
import { ScreenPlans } from "../../../src/guardrails/plan.js";
import { guardrail, MASK_MAILS, trafficWith, words } from "./samples.js";

const SERVICES = { post: () => Promise.reject(new Error("nobody")), credential: () => undefined };
const ANN = { apiKey: "ann", team: "blue", model: "small", entry: "sm*" };

function attach(name: string, more: Partial<GuardrailAttachment> = {}): GuardrailAttachment {
  return { guardrail: name, scope: "env", scopeRef: "", priority: 100, ...more };
}

function plansFor(attachments: GuardrailAttachment[], mandatory = false): ScreenPlans {
  const guardrails = [
    guardrail("first", words("a"), { mandatory, hookPoint: "input" }),
    guardrail("second", MASK_MAILS, { mandatory, mode: "monitor" }),
    guardrail("off", words("b"), { enabled: false }),
  ];
  return new ScreenPlans(trafficWith(guardrails, attachments), "r1", SERVICES);
}

function names(plans: ScreenPlans, subject = ANN): (string[] | null)[] {
  const plan = plans.planFor(subject);
  return [plan?.input, plan?.output].map((hook) => hook?.guardrails.map(({ name }) => name) ?? null);
}

describe("which guardrails concern a request", () => {
  it("none that is neither mandatory nor attached, and never one that is off", () => {
    expect(plansFor([attach("off")]).planFor(ANN)).toBeNull();
  });

  it("mandatory ones, by direction, in the file's order", () => {
    expect(names(plansFor([], true))).toEqual([["first", "second"], ["second"]]);
  });

  it("tells a route from a line break in a model's name", () => {
    const routed = { ...ANN, model: "m", entry: "m*", passthroughRoute: "r" };
    const named = { ...ANN, model: "m\nr", entry: "m*" };
    const quoted = { ...ANN, model: '["m","r"]', entry: "m*" };
    const attached = [attach("first", { scope: "passthrough_route", scopeRef: "r" })];
    const plans = plansFor(attached);
    for (const other of [named, quoted, { ...routed, passthroughRoute: "" }]) {
      expect(plans.planFor(other)).toBeNull();
      expect(plans.planFor(routed)?.input?.guardrails.map(({ name }) => name)).toEqual(["first"]);
    }
    const reverse = plansFor(attached);
    expect(reverse.planFor(routed)).not.toBeNull();
    for (const other of [named, quoted]) expect(reverse.planFor(other)).toBeNull();
  });

  it("lower priorities first; an attachment of a narrower scope counts as much as any", () => {
    const plans = plansFor([
      attach("first"),
      attach("second", { priority: 200 }),
      attach("second", { scope: "team", scopeRef: "blue", priority: 1 }),
    ]);
    expect(names(plans)).toEqual([["second", "first"], ["second"]]);
    expect(names(plans, { ...ANN, apiKey: "bob", team: "red" })).toEqual([["first", "second"], ["second"]]);
  });

  it.each([
    ["model", "small"],
    ["model", "sm*"],
    ["api_key", "ann"],
    ["team", "blue"],
  ] as const)("those attached to the %s %s", (scope, scopeRef) => {
    const plans = plansFor([attach("first", { scope, scopeRef })]);
    expect(names(plans)).toEqual([["first"], null]);
    expect(plans.planFor({ apiKey: "x", team: null, model: "y", entry: "z" })).toBeNull();
  });

  it("is remembered: one look-up in a map, equal lists share one plan", () => {
    const plans = plansFor([attach("first", { scope: "team", scopeRef: "blue" })]);
    const plan = plans.planFor(ANN);
    expect(plans.planFor({ ...ANN })).toBe(plan);
    expect(plans.planFor({ ...ANN, apiKey: "eve" })).toBe(plan);
  });

  it("knows what masks and what only watches", () => {
    const plan = plansFor([attach("second")]).planFor(ANN);
    expect(plan?.input?.finders.map(({ masks }) => masks)).toEqual([false, false]);
  });
});
