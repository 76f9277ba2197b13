/** What the upstream's model name says about the model; Converse has one shape, but its models take different fields. */

/** "unnamed": an ARN that hides the model (application inference profile, provisioned or imported model). */
export type ModelFamily = "claude" | "nova" | "gpt" | "mistral" | "cohere" | "other" | "unnamed";

const FAMILIES: readonly (readonly [RegExp, ModelFamily])[] = [
  [/anthropic\.|claude/, "claude"],
  [/amazon\.nova/, "nova"],
  [/openai\./, "gpt"],
  [/mistral\./, "mistral"],
  [/cohere\./, "cohere"],
];

/** An ARN whose last part is only an identifier. */
const HIDDEN = /^arn:[^/]*\/[a-z0-9-]+$|^arn:[^/]*:(?:imported-model|provisioned-model|custom-model)\//;

/** The family of a model id, inference profile id or ARN. */
export function familyOf(model: string): ModelFamily {
  const name = model.toLowerCase();
  for (const [pattern, family] of FAMILIES) {
    if (pattern.test(name)) return family;
  }
  return HIDDEN.test(name) ? "unnamed" : "other";
}

/** Can the model be one that reads Claude's own fields? */
export function mayBeClaude(family: ModelFamily): boolean {
  return family === "claude" || family === "unnamed";
}

/** How a Claude model wants to be told to think. "both": adaptive or with a budget. */
export type ThinkingStyle = "none" | "budget" | "both" | "adaptive";

/** claude-opus-4-6, claude-sonnet-4-20250514, claude-3-7-sonnet: the generation stands before or after the size. */
const GENERATION = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/;

/** Thinking came with 3.7, adaptive thinking with 4.6; from 4.7 on a budget is refused. Names that say nothing: "budget". */
export function thinkingStyle(model: string): ThinkingStyle {
  const found = GENERATION.exec(model.toLowerCase());
  if (found === null) return "budget";
  const version = Number(found[1]) * 100 + Number(found[2] ?? 0);
  if (version >= 407) return "adaptive";
  if (version >= 406) return "both";
  return version >= 307 ? "budget" : "none";
}
