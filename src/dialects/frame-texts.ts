/** The texts of one event of a stream: which of them are pieces of a longer text, and of which. */
import { type JsonObject, parseObject } from "./json-values.js";
import { placedTextsOf, type TextShape, type TextSpan } from "./text-spans.js";

/** How a dialect's events hold text. */
export interface FrameTexts {
  readonly shape: TextShape;
  /** Names the text that a piece belongs to, alike in all events that bring pieces of it; null = it is whole. */
  channelOf(event: JsonObject, path: readonly (string | number)[]): string | null;
  /** Beginnings of names of channels to which nothing more will come after this event. */
  closed(event: JsonObject): readonly string[];
}

export interface FrameText extends TextSpan {
  /** null: the text stands for itself. */
  readonly channel: string | null;
}

export interface ReadFrame {
  readonly texts: readonly FrameText[];
  readonly closed: readonly string[];
}

const NOTHING: ReadFrame = { texts: [], closed: [] };
const OPEN_BRACE = 0x7b;

/** Reads an event's data; what is no JSON object (a terminator, a comment) holds no text. */
export function readFrame(data: Buffer, dialect: FrameTexts): ReadFrame {
  if (data[0] !== OPEN_BRACE) return NOTHING;
  const event = parseObject(data);
  if (event === null) return NOTHING;
  const placed = placedTextsOf(data, dialect.shape) ?? [];
  const texts: FrameText[] = [];
  for (const { start, end, text, path } of placed) {
    if (text !== "") texts.push({ start, end, text, channel: dialect.channelOf(event, path) });
  }
  return { texts, closed: dialect.closed(event) };
}
