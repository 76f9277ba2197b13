/** Changes as lines to read. Secrets never stand in them. */
import { printable } from "../usage/summary.js";
import type { Change, Plan } from "./change-plan.js";
import type { FieldChange } from "./entry-diff.js";

const MAX_VALUE = 200;
const MAX_FIELDS = 8;
const SIGNS = { create: "+", change: "~", delete: "-" } as const;
const DONE = { create: "created", change: "changed", delete: "deleted" } as const;
const WOULD = { create: "would create", change: "would change", delete: "would delete" } as const;

/** `models/gpt`. */
export function labelOf({ collection, name }: Pick<Change, "collection" | "name">): string {
  return `${collection}/${printable(name)}`;
}

/** A change with all its fields, old → new. */
export function differenceLines(change: Change): string[] {
  const lines = [`${SIGNS[change.kind]} ${labelOf(change)}`];
  if (change.kind === "change") lines.push(...change.fields.map((field) => `    ${printable(describe(field))}`));
  return lines;
}

/** One line: what was done, or would be. */
export function changeLine(change: Change, tense: "done" | "would"): string {
  const verb = (tense === "done" ? DONE : WOULD)[change.kind];
  return `${verb} ${labelOf(change)}${change.kind === "change" ? fieldList(change.fields) : ""}`;
}

/** "1 to create, 2 to change, 3 equal". */
export function planSummary({ writes, deletions, equal }: Plan): string {
  const all = [...writes, ...deletions];
  const parts = (["create", "change", "delete"] as const).flatMap((kind) => {
    const count = all.filter((change) => change.kind === kind).length;
    return count === 0 ? [] : [`${count} to ${kind}`];
  });
  return [...parts, `${equal} equal`].join(", ");
}

/** "2 changes: 1 created, 1 deleted"; "nothing" where there are none. */
export function doneSummary(changes: readonly Change[]): string {
  const parts = (["create", "change", "delete"] as const).flatMap((kind) => {
    const count = changes.filter((change) => change.kind === kind).length;
    return count === 0 ? [] : [`${count} ${DONE[kind]}`];
  });
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

/** What the gateway has beside the file; "" = nothing. */
export function leftLine({ left }: Plan, prune: boolean): string {
  if (left.size === 0) return "";
  const counts = [...left].map(([collection, count]) => `${collection}: ${count}`).join(", ");
  return prune
    ? `left alone, because the file does not name their collections: ${counts}`
    : `not in the file (--prune deletes such entries): ${counts}`;
}

function fieldList(fields: readonly FieldChange[]): string {
  const names = fields.slice(0, MAX_FIELDS).map((field) => (field.unknown ? `${field.path}?` : field.path));
  if (fields.length > MAX_FIELDS) names.push("…");
  return ` (${names.map(printable).join(", ")})`;
}

function describe({ path, before, after, unknown }: FieldChange): string {
  if (unknown) return `${path}: ${String(before)}: whether it differs is unknown`;
  return `${path}: ${textOf(before)} → ${textOf(after)}`;
}

function textOf(value: unknown): string {
  if (value === undefined) return "(none)";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}
