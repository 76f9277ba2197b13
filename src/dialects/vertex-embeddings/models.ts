/** What the names of Vertex's embedding models say of how they are called. */

/** Is the model called by `:embedContent`? */
export function embedsContent(model: string): boolean {
  return (model.includes("gemini") && !model.endsWith("gemini-embedding-001")) || model.includes("maas");
}

/** The most texts that one call takes. */
export function textsPerCall(model: string): number {
  return model.includes("gemini") || embedsContent(model) ? 1 : 250;
}
