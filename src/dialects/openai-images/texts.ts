/** Where texts stand in image requests, and in answers that tell what a prompt was made into. */
import { listOf, shapeOf, TEXT } from "../text-spans.js";

export const IMAGES_REQUEST_TEXTS = shapeOf({ members: { prompt: TEXT } });

export const IMAGES_ANSWER_TEXTS = shapeOf({
  members: { data: listOf(shapeOf({ members: { revised_prompt: TEXT } })) },
});
