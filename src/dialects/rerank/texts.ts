/** Where texts stand in rerank requests, and in answers that repeat the documents. */
import { DEEP, listOf, shapeOf, TEXT } from "../text-spans.js";

export const RERANK_REQUEST_TEXTS = shapeOf({ members: { query: DEEP, documents: DEEP, instruction: TEXT } });

export const RERANK_ANSWER_TEXTS = shapeOf({ members: { results: listOf(shapeOf({ members: { document: DEEP } })) } });
