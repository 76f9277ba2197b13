/** Tool names as a wire takes them: what it would refuse is replaced, and found again in the answer. */
import type { FunctionTool } from "../semantic.js";

/** What a wire asks of a tool's name. */
export interface NameRule {
  readonly allowed: RegExp;
  /** Characters that may not stand anywhere; each becomes "_". Needs the g flag. */
  readonly refused: RegExp;
  /** A first character that may not stand there gets "_" before it. */
  readonly refusedStart: RegExp;
  readonly maxLength: number;
}

export interface ToolNames {
  readonly rule: NameRule;
  /** What the caller said → what is sent. */
  readonly sent: Map<string, string>;
  /** What is sent → what the caller said, for changed names only. */
  readonly renamed: Map<string, string>;
  readonly taken: Set<string>;
}

/** The names of these tools: those that can stay stay, so that no changed name takes the place of one. */
export function newToolNames(rule: NameRule, tools: readonly FunctionTool[]): ToolNames {
  const names: ToolNames = { rule, sent: new Map(), renamed: new Map(), taken: new Set() };
  for (const { name } of tools) if (isAllowed(rule, name)) names.taken.add(name);
  for (const { name } of tools) sentName(names, name);
  return names;
}

/** What to send for the caller's name; the same for the same name. */
export function sentName(names: ToolNames, name: string): string {
  const known = names.sent.get(name);
  if (known !== undefined) return known;
  const sent = isAllowed(names.rule, name) && !names.renamed.has(name) ? name : freeName(names, name);
  names.sent.set(name, sent);
  names.taken.add(sent);
  if (sent !== name) names.renamed.set(sent, name);
  return sent;
}

/** A name like the wanted one that the wire takes and that nobody has; it is not remembered. */
export function freeName(names: ToolNames, wanted: string): string {
  const { rule, taken } = names;
  const plain = wanted.replace(rule.refused, "_");
  const base = (plain === "" || rule.refusedStart.test(plain) ? `_${plain}` : plain).slice(0, rule.maxLength);
  if (!taken.has(base)) return base;
  for (let number = 2; ; number++) {
    const ending = `_${number}`;
    const candidate = base.slice(0, rule.maxLength - ending.length) + ending;
    if (!taken.has(candidate)) return candidate;
  }
}

function isAllowed(rule: NameRule, name: string): boolean {
  return name.length <= rule.maxLength && rule.allowed.test(name);
}
