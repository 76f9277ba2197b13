/** Conditions of policies as functions: compiled once a snapshot, asked once for each pair of key and model. */
import { RE2JS } from "re2js";
import { parseCidrs } from "../config/cidr.js";
import type { Condition, ConditionDimension, ConditionOperator } from "../config/traffic.js";

/** What is known of a request before it goes anywhere; null = it has none. */
export interface Facts extends Readonly<Record<ConditionDimension, string | null>> {
  /** The configured name that `model` fits, which may be a pattern: both are names of the model. */
  readonly model_entry: string | null;
}
export type Test = (facts: Facts) => boolean;

type TestCondition = Extract<Condition, { readonly kind: "test" }>;
type Judge = (fact: string) => boolean;

/** Operators that compare with names as they are written. */
const NAMING: ReadonlySet<ConditionOperator> = new Set<ConditionOperator>(["==", "~=", "in", "has"]);

/**
 * A condition as a function. What a request has none of is unequal to everything: only `~=` and what is negated
 * hold of it. Patterns are searched for anywhere in the text. Throws on a pattern or an address that the
 * resource file's check would not have let pass.
 */
export function compileCondition(condition: Condition): Test {
  const test = condition.kind === "test" ? compileTest(condition) : compileGroup(condition);
  return condition.negate ? (facts) => !test(facts) : test;
}

function compileGroup({ logic, children }: Extract<Condition, { readonly kind: "group" }>): Test {
  const tests = children.map(compileCondition);
  if (logic === "and") return (facts) => tests.every((test) => test(facts));
  return (facts) => tests.some((test) => test(facts));
}

function compileTest(condition: TestCondition): Test {
  const { dimension } = condition;
  const judge = judgeOf(condition);
  const ofNothing = condition.operator === "~=";
  if (dimension === "model" && NAMING.has(condition.operator)) return modelTest(judge, ofNothing);
  return (facts) => {
    const fact = facts[dimension];
    return fact === null ? ofNothing : judge(fact);
  };
}

/** One equal name is enough; unequal is what both names are. */
function modelTest(judge: Judge, unequal: boolean): Test {
  return ({ model, model_entry: entry }) => {
    if (model === null || entry === null) return unequal;
    return unequal ? judge(model) && judge(entry) : judge(model) || judge(entry);
  };
}

function judgeOf({ operator, value }: TestCondition): Judge {
  const texts = (Array.isArray(value) ? value : [value]).map(String);
  const one = texts[0] ?? "";
  switch (operator) {
    case "==":
      return (fact) => fact === one;
    case "~=":
      return (fact) => fact !== one;
    case "~~":
      return patternJudge(one, 0);
    case "~*":
      return patternJudge(one, RE2JS.CASE_INSENSITIVE);
    case "in":
    case "has": {
      // Every dimension has one value, so that to stand in the list and to have one of it are the same.
      const set = new Set(texts);
      return (fact) => set.has(fact);
    }
    case "ipmatch": {
      const addresses = parseCidrs(texts);
      return (fact) => addresses.contains(fact);
    }
    case ">":
      return numberJudge(one, (fact, bound) => fact > bound);
    case ">=":
      return numberJudge(one, (fact, bound) => fact >= bound);
    case "<":
      return numberJudge(one, (fact, bound) => fact < bound);
    case "<=":
      return numberJudge(one, (fact, bound) => fact <= bound);
    default:
      operator satisfies never;
      return () => false;
  }
}

function patternJudge(pattern: string, flags: number): Judge {
  const compiled = RE2JS.compile(pattern, flags);
  return (fact) => compiled.matcher(fact).find();
}

/** Only numbers are compared; anything else is neither more nor less. */
function numberJudge(text: string, holds: (fact: number, bound: number) => boolean): Judge {
  const bound = numberOf(text);
  return (fact) => holds(numberOf(fact), bound);
}

function numberOf(text: string): number {
  return text.trim() === "" ? Number.NaN : Number(text);
}
