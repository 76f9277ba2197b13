/** Where texts stand in moderation requests: a text, texts, or parts of which some are texts. */
import { listOf, shapeOf, TEXT } from "../text-spans.js";

const PART = shapeOf({ text: true, members: { text: TEXT } });

export const MODERATIONS_REQUEST_TEXTS = shapeOf({ members: { input: { ...listOf(PART), text: true } } });
