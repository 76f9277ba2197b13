/** The list of models in the shapes that callers know. */
import type { DialectId } from "./dialect.js";

export interface ListedModel {
  readonly name: string;
  readonly provider: string;
}

export interface ListShape {
  readonly dialect: DialectId;
  /** Headers of the request: a caller that sends a version header of its own dialect gets that dialect's list. */
  readonly passedHeaders: readonly string[];
  /** When the configuration was loaded, milliseconds since the epoch; the models' date of creation. */
  readonly loadedAt: number;
}

/** All models, as JSON text. */
export function renderModelList(models: readonly ListedModel[], shape: ListShape): string {
  if (!anthropicShaped(shape)) {
    return JSON.stringify({ object: "list", data: models.map((model) => openaiEntry(model, shape)) });
  }
  const data = models.map((model) => anthropicEntry(model, shape));
  return JSON.stringify({ data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
}

/** One model, as JSON text. */
export function renderModelEntry(model: ListedModel, shape: ListShape): string {
  return JSON.stringify(anthropicShaped(shape) ? anthropicEntry(model, shape) : openaiEntry(model, shape));
}

function anthropicShaped(shape: ListShape): boolean {
  return shape.dialect === "anthropic-messages" || shape.passedHeaders.includes("anthropic-version");
}

function openaiEntry(model: ListedModel, shape: ListShape) {
  return { id: model.name, object: "model", created: Math.floor(shape.loadedAt / 1_000), owned_by: model.provider };
}

function anthropicEntry(model: ListedModel, shape: ListShape) {
  return {
    type: "model",
    id: model.name,
    display_name: model.name,
    created_at: new Date(shape.loadedAt).toISOString(),
  };
}
