/** The presidio kind: its analyzer finds, its anonymizer (or the positions alone) masks. */
import { createHash } from "node:crypto";
import type { GuardrailRule } from "../../config/traffic.js";
import { asObject, asText, type JsonObject } from "../../dialects/json-values.js";
import { PASS, RemoteError, type RemoteRule, type RemoteVerdict, type Replacement } from "./verdict.js";
import {
  ask,
  askForObject,
  below,
  type Chunk,
  categoryOf,
  changeOf,
  chunksOf,
  firstOf,
  jsonBody,
  merged,
  type Services,
} from "./service.js";

type PresidioRule = Extract<GuardrailRule, { kind: "presidio" }>;

interface Finding {
  readonly type: string;
  /** Code points, as the service counts. */
  readonly from: number;
  readonly to: number;
  readonly score: number;
}

const CHUNK = 50_000;
const CATEGORY = "entity";

export function presidio(rule: PresidioRule, services: Services): RemoteRule {
  const actions = new Map(rule.entities.map(({ type, action }) => [type, action]));
  const actionOf = (type: string): "mask" | "block" => actions.get(type) ?? rule.action;
  return {
    async check(question, signal): Promise<RemoteVerdict> {
      const replacements: Replacement[][] = question.texts.map(() => []);
      let masked = "";
      const blocked = await firstOf(chunksOf(question.texts, CHUNK), async (chunk) => {
        const findings = await analyze(rule, services, { chunk, signal });
        const blocking = findings.find(({ type }) => actionOf(type) === "block");
        if (blocking !== undefined) return categoryOf(blocking.type, CATEGORY);
        if (findings.length === 0) return null;
        masked = categoryOf(findings[0]?.type, CATEGORY);
        const found = await maskAll(rule, services, { chunk, signal, findings });
        (replacements[chunk.index] as Replacement[]).push(...found);
        return null;
      });
      if (blocked !== null) return { action: "block", category: blocked };
      return masked === "" ? PASS : { action: "mask", category: masked, replacements: replacements.map(merged) };
    },
  };
}

interface Piece {
  readonly chunk: Chunk;
  readonly signal: AbortSignal;
}

async function analyze(rule: PresidioRule, services: Services, { chunk, signal }: Piece): Promise<Finding[]> {
  const body = jsonBody({
    text: chunk.text,
    language: rule.language,
    ...(rule.entities.length === 0 ? {} : { entities: rule.entities.map(({ type }) => type) }),
    ...(rule.scoreThreshold === 0 ? {} : { score_threshold: rule.scoreThreshold }),
  });
  const answer = await ask(services, { url: below(rule.analyzerUrl, "/analyze"), headers: [], body, signal });
  if (!Array.isArray(answer)) throw new RemoteError("answered with something else than findings");
  const findings: Finding[] = [];
  for (const item of answer) {
    const found = findingOf(asObject(item));
    if (found === null) throw new RemoteError("answered with a finding that is none");
    if (found.score >= rule.scoreThreshold) findings.push(found);
  }
  return findings;
}

function findingOf(found: JsonObject | null): Finding | null {
  const { start, end, score } = found ?? {};
  const type = asText(found?.entity_type);
  if (type === "" || !isPosition(start) || !isPosition(end) || end < start) return null;
  return { type, from: start, to: end, score: typeof score === "number" ? score : 1 };
}

function isPosition(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

async function maskAll(
  rule: PresidioRule,
  services: Services,
  { chunk, signal, findings }: Piece & { readonly findings: readonly Finding[] },
): Promise<Replacement[]> {
  if (rule.anonymizerUrl === null) return byPosition(rule, chunk, findings);
  const body = jsonBody({
    text: chunk.text,
    anonymizers: { DEFAULT: OPERATORS[rule.operator] },
    analyzer_results: findings.map(({ type, from, to, score }) => ({ entity_type: type, start: from, end: to, score })),
  });
  const url = below(rule.anonymizerUrl, "/anonymize");
  const { text } = await askForObject(services, { url, headers: [], body, signal });
  if (typeof text !== "string") throw new RemoteError("anonymized without a text");
  const change = changeOf(chunk.text, text);
  return [{ start: chunk.start + change.start, end: chunk.start + change.end, text: change.text }];
}

const OPERATORS: Readonly<Record<PresidioRule["operator"], unknown>> = {
  replace: { type: "replace" },
  mask: { type: "mask", masking_char: "*", chars_to_mask: 1_000_000, from_end: false },
  hash: { type: "hash", hash_type: "sha256" },
  redact: { type: "redact" },
};

function byPosition(rule: PresidioRule, chunk: Chunk, findings: readonly Finding[]): Replacement[] {
  const units = unitsOf(chunk.text);
  return findings.map(({ type, from, to }) => {
    const start = units(from);
    const end = units(to);
    const text = instead(rule.operator, chunk.text.slice(start, end), type);
    return { start: chunk.start + start, end: chunk.start + end, text };
  });
}

function instead(operator: PresidioRule["operator"], match: string, type: string): string {
  switch (operator) {
    case "replace":
      return `<${type}>`;
    case "mask":
      return "*".repeat(match.length);
    case "hash":
      return createHash("sha256").update(match).digest("hex");
    case "redact":
      return "";
  }
}

/** From code points to UTF-16 units; the same wherever nothing lies beyond the basic plane. */
function unitsOf(text: string): (point: number) => number {
  if (!/[\ud800-\udbff]/.test(text)) return (point) => Math.min(point, text.length);
  const starts: number[] = [];
  for (let at = 0; at < text.length; at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1) starts.push(at);
  return (point) => starts[point] ?? text.length;
}
