/** Where texts stand in embeddings requests; their answers hold none. */
import { PROMPT, shapeOf } from "../text-spans.js";

export const EMBEDDINGS_REQUEST_TEXTS = shapeOf({ members: { input: PROMPT } });
