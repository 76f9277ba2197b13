/**
 * What a provider key says of its upstream's chat answers, done to them before anybody reads them. Events and
 * answers in which nothing is to be changed keep their bytes.
 */
import type { ResponseOverrides } from "../config/resources.js";
import { asObjects, asString, isObject, parseObject } from "../dialects/json.js";
import type { JsonObject, JsonValue } from "../dialects/semantic.js";
import { LINE, lastEventEnd, nextEventEnd, sseData } from "../dialects/sse.js";

/** Where chat answers have their reasoning. */
const USUAL_FIELD = "reasoning_content";
const USUAL_MARKER = "[DONE]";
const DONE = `data: ${USUAL_MARKER}\n\n`;

export class AnswerRewriter {
  readonly #overrides: ResponseOverrides;
  /** A finish reason has come: with no marker of its own the stream may end here. */
  #finished = false;
  #closed = false;

  constructor(overrides: ResponseOverrides) {
    this.#overrides = overrides;
  }

  /** A whole answer; what is no JSON object stays what it is. */
  whole(text: string): string {
    const body = parseObject(text);
    return body !== null && this.#changed(body) ? JSON.stringify(body) : text;
  }

  /** How many of these bytes are whole events. They begin with an event. */
  eventsEnd(bytes: Buffer): number {
    return lastEventEnd(bytes, 0, bytes.length, LINE.START);
  }

  /** A run of whole events; the last may lack its blank line. */
  events(bytes: Buffer): string {
    let text = "";
    for (let at = 0; at < bytes.length; ) {
      const end = nextEventEnd(bytes, at, LINE.START);
      text += this.#event(bytes.subarray(at, end));
      at = end;
    }
    return text;
  }

  /** What the stream's end still lacks. */
  close(): string {
    const { streamDoneMarker } = this.#overrides;
    return streamDoneMarker === "" && this.#finished && !this.#closed ? DONE : "";
  }

  #event(frame: Buffer): string {
    const data = sseData(frame).trim();
    const { streamDoneMarker: marker } = this.#overrides;
    if (data === USUAL_MARKER || (marker !== null && marker !== "" && data === marker.trim())) {
      this.#closed = true;
      return DONE;
    }
    const body = data.startsWith("{") ? parseObject(data) : null;
    if (body === null) return frame.toString("utf8");
    const changed = this.#changed(body);
    return changed ? `data: ${JSON.stringify(body)}\n\n` : frame.toString("utf8");
  }

  #changed(body: JsonObject): boolean {
    let changed = false;
    for (const choice of asObjects(body.choices)) {
      if (typeof choice.finish_reason === "string") this.#finished = true;
      for (const message of [choice.delta, choice.message]) {
        if (!isObject(message)) continue;
        if (this.#renameReasoning(message)) changed = true;
        if (this.#overrides.contentListToString && joinContent(message)) changed = true;
      }
    }
    return changed;
  }

  #renameReasoning(message: JsonObject): boolean {
    const field = this.#overrides.reasoningField;
    if (field === null || field === USUAL_FIELD || !Object.hasOwn(message, field)) return false;
    if (message[USUAL_FIELD] === undefined || message[USUAL_FIELD] === null) message[USUAL_FIELD] = message[field];
    delete message[field];
    return true;
  }
}

/** A list of parts → its text; thinking among the parts goes where thinking belongs. */
function joinContent(message: JsonObject): boolean {
  if (!Array.isArray(message.content)) return false;
  let text = "";
  let thinking = "";
  for (const part of message.content) {
    if (typeof part === "string") text += part;
    else if (isObject(part)) {
      if (part.thinking === undefined) text += asString(part.text);
      else thinking += thinkingText(part.thinking);
    }
  }
  message.content = text;
  if (thinking !== "") message[USUAL_FIELD] = asString(message[USUAL_FIELD]) + thinking;
  return true;
}

function thinkingText(value: JsonValue | undefined): string {
  return typeof value === "string"
    ? value
    : asObjects(value)
        .map((part) => asString(part.text))
        .join("");
}
