/** Vectors of texts, from an embedding model among the resources. */
import { parseObject } from "../dialects/hub.js";
import { EMBEDDINGS_DIALECT } from "../dialects/registry.js";
import type { Route } from "./exchange.js";
import type { Node } from "./node.js";
import { type Principal, SubCall, type SubCallAnswer, type SubCallRequest } from "./sub-call.js";

const EMBEDDINGS: Route = Object.freeze({
  method: "POST",
  path: "/v1/embeddings",
  operation: "embeddings",
  dialect: EMBEDDINGS_DIALECT,
});

export interface EmbeddingRequest {
  /** Name of a direct model. */
  readonly model: string;
  readonly texts: readonly string[];
  /** On the monotonic clock. */
  readonly deadline: number;
}

export interface Embedding {
  /** One vector a text, in their order; null = the model did not answer, or not so. Never rejects. */
  readonly vectors: Promise<readonly Float32Array[] | null>;
  readonly call: SubCall;
}

export function embed(principal: Principal, node: Node, { model, texts, deadline }: EmbeddingRequest): Embedding {
  const call = new SubCall(principal, node, embeddingCall({ model, texts, deadline }));
  const vectors = call.answer
    .then((answer) => vectorsOf(answer, texts.length))
    .catch((error: unknown) => {
      node.reportFault(error);
      return null;
    });
  return { call, vectors };
}

export function embeddingCall({ model, texts, deadline }: EmbeddingRequest): SubCallRequest {
  const body = Buffer.from(JSON.stringify({ model, input: texts, encoding_format: "float" }));
  return { route: EMBEDDINGS, model, body, deadline };
}

/** One vector a text; null where the answer is not that. */
export function vectorsOf({ status, body }: SubCallAnswer, count: number): readonly Float32Array[] | null {
  const data = status >= 200 && status < 300 ? parseObject(body)?.data : undefined;
  if (!Array.isArray(data) || data.length !== count) return null;
  const vectors: Float32Array[] = [];
  for (const entry of data) {
    const values = typeof entry === "object" && entry !== null && !Array.isArray(entry) ? entry.embedding : undefined;
    if (!Array.isArray(values) || !values.every((value) => typeof value === "number")) return null;
    vectors.push(Float32Array.from(values as number[]));
  }
  return vectors;
}
