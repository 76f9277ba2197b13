/** Whole answers of upstreams of the responses dialect. */
import { DecodeError, type EncodedRequest } from "../codec.js";
import { asCount, asObject, asObjects, asString } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { endEvents, isCall, itemEvents } from "./answer-reading.js";

const UNFINISHED: ReadonlySet<string> = new Set(["in_progress", "queued"]);

/** The first event of an answer. */
export function startEvent(response: JsonObject): AnswerEvent {
  const created = Math.max(asCount(response.created_at), 0);
  return { kind: "start", id: asString(response.id), model: asString(response.model), created };
}

/** The events of a whole answer. Throws DecodeError when it is none, or not finished. */
export function decodeAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[] {
  if (!Array.isArray(body.output) && asObject(body.error) === null) {
    throw new DecodeError("The upstream's answer is not a response.");
  }
  if (UNFINISHED.has(asString(body.status))) throw new DecodeError("The upstream's response is not finished.");
  const items = asObjects(body.output);
  const events: AnswerEvent[] = [startEvent(body)];
  for (const [index, item] of items.entries()) {
    for (const event of itemEvents(item, index, encoded.renamed)) events.push(event);
  }
  events.push(...endEvents(body, items.some(isCall)));
  return events;
}
