/** usageMetadata → usage. Counts are cumulative, and counts of nothing are left out. */
import { asCount } from "../json.js";
import type { JsonObject, SemanticUsage } from "../semantic.js";

/** The wire's own counts; -1 = not said. */
export interface Counts {
  readonly prompt: number;
  /** What the vendor's own tools found, given back to the model. */
  readonly results: number;
  readonly answered: number;
  readonly thoughts: number;
  readonly cached: number;
  readonly total: number;
}

export const NO_COUNTS: Counts = Object.freeze({
  prompt: -1,
  results: -1,
  answered: -1,
  thoughts: -1,
  cached: -1,
  total: -1,
});

/** These counts set over the earlier ones; the same object when nothing changes. */
export function readCounts(metadata: JsonObject, before: Counts): Counts {
  const set = (name: string, earlier: number) => {
    const count = asCount(metadata[name]);
    return count < 0 ? earlier : count;
  };
  const later: Counts = {
    prompt: set("promptTokenCount", before.prompt),
    results: set("toolUsePromptTokenCount", before.results),
    answered: set("candidatesTokenCount", before.answered),
    thoughts: set("thoughtsTokenCount", before.thoughts),
    cached: set("cachedContentTokenCount", before.cached),
    total: set("totalTokenCount", before.total),
  };
  const same = (Object.keys(later) as (keyof Counts)[]).every((name) => later[name] === before[name]);
  return same ? before : later;
}

/** What the counts mean; this wire has no tokens written to a cache. */
export function usageOf(counts: Counts): SemanticUsage {
  const input = Math.max(counts.prompt, 0) + Math.max(counts.results, 0);
  const answered = Math.max(counts.answered, 0);
  const reasoning = Math.max(counts.thoughts, 0);
  // Some hosts count the thoughts among the candidates' tokens: then prompt and candidates are the total.
  const counted = answered >= reasoning && input + answered === counts.total;
  const output = counted ? answered : answered + reasoning;
  return { input, output, cacheRead: Math.max(counts.cached, 0), cacheWrite: 0, reasoning };
}
