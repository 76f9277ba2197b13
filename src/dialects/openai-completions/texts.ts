/** Where texts stand in completions. */
import { listOf, PROMPT, shapeOf, TEXT } from "../text-spans.js";

export const COMPLETIONS_REQUEST_TEXTS = shapeOf({ members: { prompt: PROMPT, suffix: TEXT } });

export const COMPLETIONS_ANSWER_TEXTS = shapeOf({
  orAnything: true,
  members: { choices: listOf(shapeOf({ members: { text: TEXT } })) },
});
