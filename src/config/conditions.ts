/**
 * The tree of conditions of a rate-limit policy. It is read by hand and not by a schema: a schema would go
 * down as deep as the file does before anything could be said about its depth.
 */
import { modelNameProblem, type Complain, isMapping, type Raw, type Surroundings } from "./entry.js";
import type { Path } from "./result.js";
import type { Condition, ConditionDimension, ConditionOperator } from "./traffic.js";

const MAX_DEPTH = 8;
const MAX_TESTS = 64;
const MAX_VALUES = 256;
const MAX_LENGTH = 512;

const DIMENSIONS: readonly ConditionDimension[] = ["team", "member", "api_key", "model", "model_name", "provider"];
const EQUALITY: readonly ConditionOperator[] = ["==", "~=", "in"];
const PATTERNS: readonly ConditionOperator[] = ["~~", "~*"];
const ORDER: readonly ConditionOperator[] = [">", ">=", "<", "<="];
/** In the vocabulary, but no dimension is of their kind. */
const HOMELESS: Readonly<Record<string, string>> = {
  has: "asks what a list holds, and no dimension is a list: use in",
  ipmatch: "asks about an address, and no dimension is one: use allowed_cidrs of a model",
};

/**
 * Reads the conditions of a policy: one node, or a list of nodes that must all hold. null when there are
 * none, or when they are wrong; then `complain` has been told where and why.
 */
export function readConditions(written: unknown, surroundings: Surroundings, complain: Complain): Condition | null {
  return new ConditionReading(surroundings, complain).read(written);
}

class ConditionReading {
  readonly #surroundings: Surroundings;
  readonly #complain: Complain;
  #tests = 0;

  constructor(surroundings: Surroundings, complain: Complain) {
    this.#surroundings = surroundings;
    this.#complain = complain;
  }

  read(written: unknown): Condition | null {
    if (written === undefined) return null;
    const condition = Array.isArray(written) ? this.#all(written) : this.#node(written, ["conditions"], 1);
    if (this.#tests > MAX_TESTS) this.#complain(["conditions"], `must hold at most ${MAX_TESTS} tests`);
    return condition;
  }

  #all(list: readonly unknown[]): Condition | null {
    const children = this.#children(list, ["conditions"], 1);
    if (children.length < 2) return children[0] ?? null;
    return { kind: "group", logic: "and", children, negate: false };
  }

  #children(list: readonly unknown[], path: Path, depth: number): Condition[] {
    const read = list.map((child, index) => this.#node(child, [...path, index], depth));
    return read.filter((child): child is Condition => child !== null);
  }

  #node(written: unknown, path: Path, depth: number): Condition | null {
    if (depth > MAX_DEPTH) return this.#wrong(path, `stands more than ${MAX_DEPTH} levels deep`);
    if (!isMapping(written)) return this.#wrong(path, "must be a mapping");
    if (written.negate !== undefined && typeof written.negate !== "boolean") {
      this.#complain([...path, "negate"], "must be true or false");
    }
    return written.logic !== undefined || written.children !== undefined
      ? this.#group(written, path, depth)
      : this.#test(written, path);
  }

  #group(written: Raw, path: Path, depth: number): Condition | null {
    this.#unknownFields(written, path, ["logic", "children", "negate"]);
    const { logic, children } = written;
    if (logic !== "and" && logic !== "or") this.#complain([...path, "logic"], "must be one of and, or");
    if (!Array.isArray(children) || children.length === 0) {
      return this.#wrong([...path, "children"], "must be a list of at least 1 entries");
    }
    const read = this.#children(children, [...path, "children"], depth + 1);
    return { kind: "group", logic: logic === "or" ? "or" : "and", children: read, negate: written.negate === true };
  }

  #test(written: Raw, path: Path): Condition | null {
    this.#tests++;
    this.#unknownFields(written, path, ["dimension", "operator", "value", "negate"]);
    const dimension = DIMENSIONS.find((known) => known === written.dimension);
    if (dimension === undefined) this.#complain([...path, "dimension"], `must be one of ${DIMENSIONS.join(", ")}`);
    const homeless = typeof written.operator === "string" ? HOMELESS[written.operator] : undefined;
    if (homeless !== undefined) return this.#wrong([...path, "operator"], homeless);
    const operators = [...EQUALITY, ...PATTERNS, ...ORDER];
    const operator = operators.find((known) => known === written.operator);
    if (operator === undefined) return this.#wrong([...path, "operator"], `must be one of ${operators.join(", ")}`);
    const value = this.#value(written.value, operator, [...path, "value"]);
    if (value === null || dimension === undefined) return null;
    if (!EQUALITY.includes(operator) || typeof value === "number") {
      return { kind: "test", dimension, operator, value, negate: written.negate === true };
    }
    const named = this.#names(value, dimension, [...path, "value"]);
    return { kind: "test", dimension, operator, value: named, negate: written.negate === true };
  }

  #value(value: unknown, operator: ConditionOperator, path: Path): string | number | readonly string[] | null {
    if (ORDER.includes(operator)) {
      return typeof value === "number" && Number.isFinite(value) ? value : this.#wrong(path, "must be a number");
    }
    if (operator === "in") {
      const listed = Array.isArray(value) && value.length > 0 && value.length <= MAX_VALUES && value.every(isText);
      return listed ? value : this.#wrong(path, `must be a list of 1 to ${MAX_VALUES} strings`);
    }
    if (!isText(value)) return this.#wrong(path, `must be a string of 1 to ${MAX_LENGTH} characters`);
    const problem = PATTERNS.includes(operator) ? this.#surroundings.context.patternProblem(value) : null;
    return problem === null ? value : this.#wrong(path, problem);
  }

  /** What is compared with must exist: a test for a name with a typing mistake would never hold. */
  #names(value: string | readonly string[], dimension: ConditionDimension, path: Path): string | readonly string[] {
    if (typeof value === "string") return this.#nameOf(value, dimension, path);
    return value.map((one, index) => this.#nameOf(one, dimension, [...path, index]));
  }

  #nameOf(value: string, dimension: ConditionDimension, path: Path): string {
    const { directory, context } = this.#surroundings;
    if (dimension === "provider" && !context.providers.has(value) && !directory.providers.has(value)) {
      this.#complain(path, "there is no provider of this name");
    }
    if (dimension === "api_key") {
      if (directory.find("api_keys", value, true) === undefined)
        this.#complain(path, "there is no API key of this name");
      return directory.named("api_keys", undefined, value);
    }
    if (dimension !== "model") return value;
    const problem = modelNameProblem(value, directory);
    if (problem !== null) this.#complain(path, problem);
    return directory.named("models", undefined, value);
  }

  #unknownFields(written: Raw, path: Path, known: readonly string[]): void {
    for (const field of Object.keys(written))
      if (!known.includes(field)) this.#complain([...path, field], "unknown field");
  }

  #wrong(path: Path, message: string): null {
    this.#complain(path, message);
    return null;
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_LENGTH;
}
