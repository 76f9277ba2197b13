/** A whole answer of /v2/chat → events. */
import { DecodeError, type EncodedRequest } from "../codec.js";
import { asObject, asObjects, asString } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { listed, logprobsEvents, readUsage, stopEvent } from "./answer-values.js";
import { isOfText } from "./citations.js";
import {
  cite,
  closeBlock,
  endCall,
  newStreamState,
  openBlock,
  pushCall,
  type StreamState,
  say,
  startAnswer,
  unknownItem,
} from "./stream-state.js";

/** Throws DecodeError when there is no message. */
export function decodeAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[] {
  const message = asObject(body.message);
  if (message === null) throw new DecodeError("The answer holds no message.");
  const state = newStreamState(encoded);
  startAnswer(state, asString(body.id));
  say(state, "plan", asString(message.tool_plan));
  const citations = asObjects(message.citations);
  const cited = readContent(state, message, citations);
  for (const [index, call] of asObjects(message.tool_calls).entries()) readCall(state, index, call);
  closeBlock(state);
  for (const citation of citations) if (!cited.has(citation)) cite(state, citation);
  state.events.push(...logprobsEvents(listed(body.logprobs)));
  state.events.push(stopEvent(asString(body.finish_reason), state.calls));
  const usage = readUsage(asObject(body.usage));
  if (usage !== null) state.events.push({ kind: "usage", usage });
  state.events.push({ kind: "end" });
  return state.events;
}

/** Citations say which item they stand in; those that do not stand in the last text. Returns those that found one. */
function readContent(state: StreamState, message: JsonObject, citations: readonly JsonObject[]): Set<JsonObject> {
  const cited = new Set<JsonObject>();
  const content =
    typeof message.content === "string" ? [{ type: "text", text: message.content }] : asObjects(message.content);
  const lastText = content.findLastIndex((item) => item.type === "text");
  for (const [index, item] of content.entries()) {
    const thinking = item.type === "thinking";
    unknownItem(state, item.type);
    const text = asString(thinking ? item.thinking : item.text);
    if (text === "") continue;
    openBlock(state, thinking ? "thinking" : "text");
    say(state, thinking ? "thinking" : "text", text);
    if (thinking) continue;
    for (const citation of citations) {
      const place = typeof citation.content_index === "number" ? citation.content_index : lastText;
      if (!isOfText(citation) || place !== index) continue;
      cite(state, citation);
      cited.add(citation);
    }
  }
  return cited;
}

function readCall(state: StreamState, index: number, call: JsonObject): void {
  const called = asObject(call.function) ?? {};
  pushCall(state, index, {
    id: asString(call.id),
    name: asString(called.name),
    fragment: asString(called.arguments) || "{}",
  });
  endCall(state, index);
}
