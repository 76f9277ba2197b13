/** Whole answers for callers of the messages API. */
import { type AnswerBlock, foldAnswer } from "../answer-fold.js";
import { reportForeign, reportLogprobs, reportStop } from "../answer-losses.js";
import type { CodecContext } from "../codec.js";
import { parseArguments } from "../json.js";
import type { AnswerEvent, JsonObject, JsonValue, LossList, ToolCallBlock } from "../semantic.js";
import {
  callIdOf,
  callSignatureBlock,
  mediaText,
  messageOf,
  redactedBlock,
  thinkingSignature,
  toolUse,
  WORDLESS,
} from "./answer-shape.js";
import { encodeCitation } from "./citations.js";
import { encodeMessagesError } from "./error.js";
import { MESSAGES } from "./wire-name.js";

/** Without `citations` where there are none, as the vendor has it: strict clients take a list there or nothing. */
function textBlock(text: string): JsonObject {
  return { type: "text", text };
}

/** Arguments as the object that callers expect; free text and broken JSON under a name. */
function inputOf(block: ToolCallBlock): JsonValue {
  if (block.flavour === "custom") return { input: block.arguments };
  return parseArguments(block.arguments) ?? { raw_arguments: block.arguments };
}

class ContentEncoder {
  readonly content: JsonObject[] = [];
  calls = 0;
  readonly #context: CodecContext;
  readonly #losses: LossList;

  constructor(context: CodecContext, losses: LossList) {
    this.#context = context;
    this.#losses = losses;
  }

  add(block: AnswerBlock): void {
    switch (block.kind) {
      case "text": {
        const { text, annotations } = block;
        if (text === "" && annotations.length === 0) return;
        const citations = annotations.map((annotation) => encodeCitation(annotation, text.length, this.#losses));
        this.content.push({ ...textBlock(text), ...(citations.length === 0 ? {} : { citations }) });
        return;
      }
      case "refusal":
        if (block.text === "") return;
        this.#losses.add("refusal");
        this.content.push(textBlock(block.text));
        return;
      case "thinking": {
        if (block.text === "" && block.signature === "" && block.encrypted === "") return;
        const redacted = block.text === "" ? redactedBlock(block) : null;
        const thinking = { type: "thinking", thinking: block.text, signature: thinkingSignature(block) };
        this.content.push(redacted ?? thinking);
        return;
      }
      case "tool_call": {
        const id = callIdOf(block.id, this.calls++, this.#context);
        if (block.signature !== "") this.content.push(callSignatureBlock(id, block.signature));
        this.content.push(toolUse(id, block.name, inputOf(block)));
        return;
      }
      case "image":
      case "audio":
        this.content.push(textBlock(mediaText(block.source, this.#losses)));
        return;
      case "foreign":
        if (block.wire === MESSAGES) this.content.push(block.raw);
        else reportForeign(block, this.#losses);
    }
  }
}

/** The message for a whole answer; of several candidates, the first. An answer that failed is its error envelope. */
export function encodeMessagesAnswer(
  events: Iterable<AnswerEvent>,
  context: CodecContext,
  losses: LossList,
): JsonObject {
  const folded = foldAnswer(events);
  for (const name of folded.losses ?? []) losses.add(name);
  if (folded.error !== null) return encodeMessagesError(folded.error, context.requestId);
  const choice = folded.choices[0];
  if (folded.choices.some(({ index }) => index > 0)) losses.add("n");
  reportLogprobs(choice?.logprobs ?? null, losses);
  reportStop(choice?.stop ?? null, WORDLESS, losses);
  const encoder = new ContentEncoder(context, losses);
  for (const block of choice?.blocks ?? []) encoder.add(block);
  const stop = {
    reason: choice?.stop ?? null,
    sequence: choice?.sequence ?? null,
    native: choice?.native ?? "",
    calledTools: encoder.calls > 0,
  };
  return messageOf({ id: folded.id, content: encoder.content, stop, usage: folded.usage }, context);
}
