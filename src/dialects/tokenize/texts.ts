/** Where texts stand in tokenize requests; their answers hold none that the caller has not sent. */
import { CHAT_MESSAGES_SHAPE } from "../openai-chat/texts.js";
import { PROMPT, shapeOf } from "../text-spans.js";

export const TOKENIZE_REQUEST_TEXTS = shapeOf({ members: { prompt: PROMPT, messages: CHAT_MESSAGES_SHAPE } });
