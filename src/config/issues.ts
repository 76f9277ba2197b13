/** Turns the schema library's findings into plain sentences that never repeat a value. */
import type { Path } from "./result.js";

export interface Issue {
  readonly path: Path;
  readonly message: string;
}

/** The part of a finding that is read here; the library's own type is wider. */
export interface Finding {
  readonly code?: string | undefined;
  readonly path?: readonly PropertyKey[] | undefined;
  readonly message?: string | undefined;
  readonly input?: unknown;
  readonly expected?: unknown;
  readonly origin?: unknown;
  readonly minimum?: unknown;
  readonly maximum?: unknown;
  readonly values?: readonly unknown[] | undefined;
  /** Of a union that one field decides: the values of that field. */
  readonly options?: readonly unknown[] | undefined;
  readonly keys?: readonly string[] | undefined;
  readonly errors?: readonly (readonly Finding[])[] | undefined;
  readonly issues?: readonly Finding[] | undefined;
}

const KINDS: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  int: "a whole number",
  number: "a whole number",
  object: "a mapping",
  record: "a mapping",
  string: "a string",
};

/** The sentence for one finding whose schema has none of its own. */
export function describe(finding: Finding): string {
  if (finding.input === undefined && finding.code === "invalid_type") return "is required";
  switch (finding.code) {
    case "invalid_type":
      return `must be ${KINDS[String(finding.expected)] ?? String(finding.expected)}`;
    case "too_small":
      return bound(finding, "at least", finding.minimum);
    case "too_big":
      return bound(finding, "at most", finding.maximum);
    case "invalid_value":
      return `must be one of ${(finding.values ?? []).join(", ")}`;
    case "unrecognized_keys":
      return "unknown field";
    case "invalid_union":
      return finding.options === undefined ? "is not valid" : `must be one of ${finding.options.join(", ")}`;
    default:
      return "is not valid";
  }
}

function bound(finding: Finding, word: string, limit: unknown): string {
  if (finding.origin === "string") return `must be ${word} ${limit} characters long`;
  if (finding.origin === "array") return `must have ${word} ${limit} entries`;
  return `must be ${word} ${limit}`;
}

/** Flattens findings: one issue per unknown field, and of a union only the branch that was meant. */
export function flatten(findings: readonly Finding[], prefix: Path = []): Issue[] {
  const issues: Issue[] = [];
  for (const finding of findings) {
    const path = [...prefix, ...((finding.path ?? []) as Path)];
    if (finding.code === "unrecognized_keys") {
      for (const key of finding.keys ?? []) issues.push({ path: [...path, key], message: "unknown field" });
    } else if (finding.code === "invalid_union" && (finding.errors ?? []).length > 0) {
      issues.push(...flatten(meantBranch(finding.errors ?? []), path));
    } else if (finding.code === "invalid_key") {
      issues.push({ path, message: finding.issues?.[0]?.message ?? "is not a valid name" });
    } else {
      issues.push({ path, message: finding.message ?? "is not valid" });
    }
  }
  return issues;
}

/** The branch whose complaint is not simply "wrong type altogether". */
function meantBranch(branches: readonly (readonly Finding[])[]): readonly Finding[] {
  const inside = branches.find((branch) => branch.some((finding) => !isWrongTypeHere(finding)));
  return inside ?? branches[0] ?? [];
}

function isWrongTypeHere(finding: Finding): boolean {
  return finding.code === "invalid_type" && (finding.path ?? []).length === 0;
}
