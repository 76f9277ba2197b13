/** The local kinds: from what the resources say to finders, compiled once. */
import type { GuardrailRule } from "../config/traffic.js";
import { Literals } from "./literals.js";
import { Pattern } from "./pattern.js";
import { DETECTORS } from "./pii-detectors.js";
import type { Finder, Found } from "./rule.js";

type KeywordRule = Extract<GuardrailRule, { kind: "keyword" }>;
type PiiRule = Extract<GuardrailRule, { kind: "pii" }>;

/** What a keyword rule says it has found; never which word. */
const KEYWORD = "keyword";

/** Kinds that need nobody else. */
export type LocalRule = KeywordRule | PiiRule;

export function isLocal(rule: GuardrailRule): rule is LocalRule {
  return rule.kind === "keyword" || rule.kind === "pii";
}

/** The finders of a local rule. Throws on a pattern that the configuration should have refused. */
export function findersOf(rule: LocalRule): readonly Finder[] {
  return rule.kind === "keyword" ? keywordFinders(rule) : piiFinders(rule);
}

function keywordFinders({ patterns }: KeywordRule): Finder[] {
  const literals = patterns.filter(({ kind }) => kind === "literal").map(({ value }) => value);
  const finders: Finder[] = literals.length === 0 ? [] : [new Literals(literals, KEYWORD)];
  for (const { kind, value } of patterns) {
    if (kind === "regex") finders.push(new Pattern(value, { category: KEYWORD, action: "block", replacement: "" }));
  }
  return finders;
}

function piiFinders({ detectors, customPatterns }: PiiRule): Finder[] {
  const finders: Finder[] = [];
  for (const { type, action } of detectors) finders.push(new DetectorFinder(type, action));
  for (const { name, regex, action, replacement } of customPatterns) {
    finders.push(new Pattern(regex, { category: name, action, replacement: replacement ?? tokenOf(name) }));
  }
  return finders;
}

/** What a mask puts in a text: "[EMAIL]". */
export function tokenOf(name: string): string {
  return `[${name.toUpperCase().replace(/[^\p{L}\p{N}]+/gu, "_")}]`;
}

class DetectorFinder implements Finder {
  readonly #type: keyof typeof DETECTORS;
  readonly #action: "block" | "mask";
  readonly #token: string;

  constructor(type: keyof typeof DETECTORS, action: "block" | "mask") {
    this.#type = type;
    this.#action = action;
    this.#token = tokenOf(type);
  }

  find(text: string, from: number): Found | null {
    const match = DETECTORS[this.#type].find(text, from);
    if (match === null) return null;
    const { start, end } = match;
    return { start, end, begins: start, ends: end, text: this.#token, action: this.#action, category: this.#type };
  }

  open(text: string, from: number): number {
    return DETECTORS[this.#type].open(text, from);
  }
}
