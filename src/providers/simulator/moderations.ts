/** The simulator on POST /moderations. Shape: `ModerationCreateResponse` of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { isObject } from "./json.js";
import { JSON_TYPE, type MediaAnswer, type MediaRequest } from "./media-answer.js";
import { newId } from "./turn.js";

const CATEGORIES = ["harassment", "hate", "illicit", "self-harm", "sexual", "violence"];
/** The one word that it minds. */
const MINDED = /\bviolence\b/i;

/** One result for each text, or one for all parts of one input. */
export function answerModerations({ fields, model }: MediaRequest): MediaAnswer {
  const { input } = fields;
  const texts = Array.isArray(input) && !input.some(isObject) ? input : [input];
  const results = texts.map((text) => resultOf(JSON.stringify(text ?? "")));
  const list = FrameList.whole({ id: `modr-${newId()}`, model, results }, 0);
  return { list, contentType: JSON_TYPE, streamed: false, binary: false, inputTokens: 0, units: {} };
}

function resultOf(text: string): object {
  const flagged = MINDED.test(text);
  const each = <T>(value: (hit: boolean) => T) =>
    Object.fromEntries(CATEGORIES.map((name) => [name, value(flagged && name === "violence")]));
  return {
    flagged,
    categories: each((hit) => hit),
    category_scores: each((hit) => (hit ? 0.98 : 0.001)),
    category_applied_input_types: each((hit) => (hit ? ["text"] : [])),
  };
}
