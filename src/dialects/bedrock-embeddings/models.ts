/** Families of embedding models on Bedrock, by what their ids (plain, of a profile, or in an ARN) hold. */

export type EmbeddingFamily = "titan-text-v1" | "titan-text-v2" | "titan-image" | "nova" | "cohere";

const FAMILIES: readonly (readonly [RegExp, EmbeddingFamily])[] = [
  [/cohere\.embed/, "cohere"],
  [/titan-embed-image/, "titan-image"],
  [/titan-embed-text-v2/, "titan-text-v2"],
  [/titan-embed/, "titan-text-v1"],
  [/nova-[\w-]*embeddings/, "nova"],
];

/** null: no family that the gateway knows. */
export function familyOf(model: string): EmbeddingFamily | null {
  return FAMILIES.find(([pattern]) => pattern.test(model))?.[1] ?? null;
}

/** The most texts that one call takes. */
export function textsPerCall(model: string): number {
  return familyOf(model) === "cohere" ? 96 : 1;
}
