/** Where texts stand in audio requests (what is to be spoken, what guides a voice), and in transcriptions. */
import type { FrameTexts } from "../frame-texts.js";
import { listOf, shapeOf, TEXT } from "../text-spans.js";

export const AUDIO_REQUEST_TEXTS = shapeOf({ members: { input: TEXT, instructions: TEXT, prompt: TEXT } });

const SEGMENT = shapeOf({ members: { text: TEXT } });

export const AUDIO_ANSWER_TEXTS = shapeOf({
  orAnything: true,
  members: { text: TEXT, segments: listOf(SEGMENT), words: listOf(shapeOf({ members: { word: TEXT } })) },
});

/** Every delta is a piece of one text, which the last event brings once more as a whole. */
export const TRANSCRIPT_EVENT_TEXTS: FrameTexts = {
  shape: shapeOf({
    members: {
      delta: TEXT,
      text: TEXT,
      choices: listOf(shapeOf({ members: { delta: shapeOf({ members: { content: TEXT } }) } })),
    },
  }),
  channelOf: (_event, path) => (path[0] === "text" ? null : "transcript"),
  closed: (event) => (event.type === "transcript.text.done" ? ["transcript"] : []),
};
