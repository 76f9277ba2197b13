/** What a model of this family takes, as far as its name tells. */

export interface ModelTraits {
  /** 2, 2.5, 3, 3.1 …; names without a number count as 2.5. */
  readonly generation: number;
  readonly pro: boolean;
  /** How thinking is steered: a token budget (2.5 and aliases), a level (3 and later) or not at all. */
  readonly thinking: "budget" | "level" | "none";
  /** Takes JSON Schema as it is; older models take a subset of OpenAPI's. */
  readonly jsonSchema: boolean;
  /** Refuses calls in the history that come without the signature they were made with. */
  readonly needsSignatures: boolean;
  /** Images in tool results, functions beside the vendor's own tools, JSON answers beside functions. */
  readonly mixesTools: boolean;
}

const NUMBERED = /gemini-(\d{1,2}(?:\.\d{1,2})?)/;

/** Reads the traits off a model's name, with or without its path ("models/…", "publishers/google/models/…"). */
export function modelTraits(model: string): ModelTraits {
  const numbered = NUMBERED.exec(model);
  const generation = numbered === null ? 2.5 : Number(numbered[1]);
  // "…-latest" names point at a newer generation; a budget is understood there too, so only the checks matter.
  const newest = numbered === null && model.includes("gemini-") && model.endsWith("-latest");
  return {
    generation,
    pro: model.includes("-pro"),
    thinking: generation >= 3 ? "level" : generation >= 2.5 ? "budget" : "none",
    jsonSchema: generation >= 2.5,
    needsSignatures: generation >= 3 || newest,
    mixesTools: generation >= 3,
  };
}
