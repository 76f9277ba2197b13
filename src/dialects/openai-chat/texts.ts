/** Where texts stand in chat completions. */
import type { FrameTexts } from "../frame-texts.js";
import { asArray, asCount, asObject, type JsonObject } from "../json-values.js";
import { DEEP, DESCRIBED, listOf, shapeOf, TEXT } from "../text-spans.js";

const PART = shapeOf({ text: true, members: { text: TEXT, refusal: TEXT, thinking: TEXT, content: TEXT } });
const CONTENT = shapeOf({ text: true, items: PART });
const CALL = shapeOf({
  members: {
    function: shapeOf({ members: { arguments: DEEP } }),
    custom: shapeOf({ members: { input: DEEP } }),
  },
});

/** Members of a message, and of a delta of one. */
const SPOKEN = {
  content: CONTENT,
  refusal: TEXT,
  reasoning_content: TEXT,
  reasoning: TEXT,
  reasoning_details: listOf(shapeOf({ members: { text: TEXT, summary: TEXT } })),
  tool_calls: listOf(CALL),
  function_call: shapeOf({ members: { arguments: DEEP } }),
  audio: shapeOf({ members: { transcript: TEXT } }),
};
const MESSAGE = shapeOf({ members: SPOKEN });
const FUNCTION = shapeOf({ members: { function: DESCRIBED, custom: DESCRIBED } });

export const CHAT_MESSAGES_SHAPE = listOf(MESSAGE);

export const CHAT_REQUEST_TEXTS = shapeOf({
  members: {
    messages: CHAT_MESSAGES_SHAPE,
    prediction: shapeOf({ members: { content: CONTENT } }),
    tools: listOf(FUNCTION),
    functions: listOf(DESCRIBED),
  },
});

export const CHAT_ANSWER_TEXTS = shapeOf({
  orAnything: true,
  members: { choices: listOf(shapeOf({ members: { message: MESSAGE } })) },
});

const CHOICE_DELTA = shapeOf({ members: { delta: MESSAGE, message: MESSAGE, text: TEXT } });

function choiceAt(event: JsonObject, position: number): JsonObject | null {
  return asObject(asArray(event.choices)[position]);
}

/** A choice's index, as its chunk says it, else its place in the chunk. */
function choiceName(event: JsonObject, position: number): string {
  const index = asCount(choiceAt(event, position)?.index);
  return `${index < 0 ? position : index}`;
}

/** Chunks of chat and completions: every text is a piece of its choice's channel. */
export const CHUNK_TEXTS: FrameTexts = {
  shape: shapeOf({ members: { choices: listOf(CHOICE_DELTA) } }),
  channelOf(event, path) {
    const position = path[1] as number;
    const rest = path.slice(2);
    const calls = rest.indexOf("tool_calls");
    if (calls >= 0) {
      const delta = asObject(choiceAt(event, position)?.[rest[0] as string]);
      const call = asObject(asArray(delta?.tool_calls)[rest[calls + 1] as number]);
      const index = asCount(call?.index);
      if (index >= 0) rest[calls + 1] = index;
    }
    return `${choiceName(event, position)}/${rest.join("/")}`;
  },
  closed(event) {
    const closed: string[] = [];
    for (const [position, item] of asArray(event.choices).entries()) {
      const reason = asObject(item)?.finish_reason;
      if (typeof reason === "string" && reason !== "") closed.push(`${choiceName(event, position)}/`);
    }
    return closed;
  },
};
