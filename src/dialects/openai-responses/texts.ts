/** Where texts stand in responses. */
import type { FrameTexts } from "../frame-texts.js";
import { asText, type JsonObject } from "../json-values.js";
import { DEEP, DESCRIBED, listOf, shapeOf, TEXT } from "../text-spans.js";

const PART = shapeOf({
  text: true,
  members: { text: TEXT, refusal: TEXT, transcript: TEXT, annotations: listOf(shapeOf({ members: { quote: TEXT } })) },
});
const CONTENT = shapeOf({ text: true, items: PART, members: { text: TEXT, refusal: TEXT } });

/** What a conversation is made of, asked and answered alike: messages, calls, their results, reasoning. */
const ITEM = shapeOf({
  text: true,
  members: {
    content: CONTENT,
    summary: listOf(PART),
    arguments: DEEP,
    input: DEEP,
    output: shapeOf({ text: true, items: PART, members: { text: TEXT, output: TEXT } }),
    outputs: listOf(shapeOf({ members: { logs: TEXT } })),
    code: TEXT,
    action: DEEP,
    queries: listOf(TEXT),
    results: listOf(shapeOf({ members: { text: TEXT } })),
    error: TEXT,
  },
});

export const RESPONSES_REQUEST_TEXTS = shapeOf({
  members: {
    instructions: TEXT,
    input: shapeOf({ text: true, items: ITEM }),
    prompt: shapeOf({ members: { variables: DEEP } }),
    tools: listOf(DESCRIBED),
  },
});

const ANSWER = { output: listOf(ITEM), output_text: TEXT };

export const RESPONSES_ANSWER_TEXTS = shapeOf({ orAnything: true, members: ANSWER });

/** What tells the texts of one kind of delta apart. */
const PLACES = ["item_id", "output_index", "content_index", "summary_index"] as const;

function placeOf(event: JsonObject): string {
  return PLACES.map((name) => String(event[name] ?? "")).join("/");
}

/** "response.output_text.delta" → "response.output_text". */
function kindOf(event: JsonObject): string {
  const type = asText(event.type);
  return type.slice(0, type.lastIndexOf("."));
}

/** Events of an answer: deltas are pieces, what closes a part tells its whole text again. */
export const RESPONSE_EVENT_TEXTS: FrameTexts = {
  shape: shapeOf({
    members: {
      delta: DEEP,
      text: TEXT,
      refusal: TEXT,
      arguments: DEEP,
      input: DEEP,
      code: TEXT,
      transcript: TEXT,
      part: PART,
      item: ITEM,
      response: shapeOf({ members: ANSWER }),
    },
  }),
  channelOf: (event, path) => (path.length === 1 && path[0] === "delta" ? `${kindOf(event)}/${placeOf(event)}/` : null),
  closed(event) {
    const type = asText(event.type);
    if (!type.endsWith(".done") || type.endsWith("_part.done") || type === "response.output_item.done") return [];
    return [`${kindOf(event)}/${placeOf(event)}/`];
  },
};
