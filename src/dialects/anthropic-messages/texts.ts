/** Where texts stand in messages. */
import type { FrameTexts } from "../frame-texts.js";
import { asCount } from "../json-values.js";
import { DEEP, DESCRIBED, keyed, listOf, shapeOf, TEXT, type TextShape } from "../text-spans.js";

/** Blocks hold blocks: results of tools, search results, documents made of parts. */
const BLOCK: TextShape = shapeOf({ text: true });
const CONTENT: TextShape = shapeOf({ text: true, items: BLOCK });
/** A document may be text or made of blocks; every other source is data. */
const SOURCE = shapeOf({
  text: true,
  byType: { text: shapeOf({ members: { data: TEXT } }), content: shapeOf({ members: { content: CONTENT } }) },
});
BLOCK.members = keyed({
  text: TEXT,
  thinking: TEXT,
  input: DEEP,
  content: CONTENT,
  source: SOURCE,
  title: TEXT,
  context: TEXT,
  citations: listOf(shapeOf({ members: { cited_text: TEXT } })),
  stdout: TEXT,
  stderr: TEXT,
});
// A result may be one object instead of a list.
CONTENT.members = BLOCK.members;

export const MESSAGES_REQUEST_TEXTS = shapeOf({
  members: {
    system: CONTENT,
    messages: listOf(shapeOf({ members: { content: CONTENT } })),
    tools: listOf(DESCRIBED),
  },
});

export const MESSAGES_ANSWER_TEXTS = shapeOf({ orAnything: true, members: { content: CONTENT } });

const DELTA = shapeOf({
  members: {
    text: TEXT,
    thinking: TEXT,
    partial_json: TEXT,
    citation: shapeOf({ members: { cited_text: TEXT } }),
  },
});

/** Members whose texts go on in the deltas of their block. */
const GROWING: ReadonlySet<unknown> = new Set(["text", "thinking", "partial_json"]);

/** Events of a message: a block's text is a channel, from its start to its stop. */
export const MESSAGE_EVENT_TEXTS: FrameTexts = {
  shape: shapeOf({
    members: { content_block: BLOCK, delta: DELTA, message: shapeOf({ members: { content: CONTENT } }) },
  }),
  channelOf(event, path) {
    if (path.length !== 2 || path[0] === "message" || !GROWING.has(path[1])) return null;
    return `${asCount(event.index)}/${path[1]}`;
  },
  closed: (event) => (event.type === "content_block_stop" ? [`${asCount(event.index)}/`] : []),
};
