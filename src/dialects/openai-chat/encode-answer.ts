/** A whole chat answer from its events. */
import { type AnswerBlock, type FoldedChoice, foldAnswer } from "../answer-fold.js";
import type { CodecContext } from "../codec.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import {
  annotationObject,
  answerHead,
  audioObject,
  callObject,
  imageObject,
  isLegacy,
  newPlaces,
  type Places,
  takePlace,
} from "./answer-parts.js";
import { encodeError } from "./error.js";
import { finishReason } from "./finish.js";
import { detailsOf } from "./reasoning.js";
import { isKnown, usageObject } from "./usage.js";

/** A message while its blocks are added. */
interface Draft {
  content: string;
  refusal: string;
  reasoning: string;
  readonly details: JsonObject[];
  readonly annotations: JsonObject[];
  readonly images: JsonObject[];
  readonly calls: JsonObject[];
  readonly foreign: { [wire: string]: JsonValue[] };
  audio: JsonObject | null;
  readonly places: Places;
  readonly context: CodecContext;
}

type Adder<Kind extends AnswerBlock["kind"]> = (
  draft: Draft,
  block: Extract<AnswerBlock, { readonly kind: Kind }>,
  place: number,
) => void;

const ADDERS: { readonly [Kind in AnswerBlock["kind"]]: Adder<Kind> } = {
  text: (draft, block) => {
    const start = draft.content.length;
    draft.content += block.text;
    for (const annotation of block.annotations) {
      const object = annotationObject(annotation, start, draft.content.length);
      if (object !== null) draft.annotations.push(object);
    }
  },
  thinking: (draft, block, place) => {
    draft.reasoning += block.text;
    draft.details.push(...detailsOf(block, place));
  },
  tool_call: (draft, block) => {
    draft.calls.push(callObject(block));
  },
  refusal: (draft, block) => {
    draft.refusal += block.text;
  },
  image: (draft, block) => {
    const object = imageObject(block.source, draft.images.length);
    if (object !== null) draft.images.push(object);
  },
  audio: (draft, block) => {
    draft.audio = audioObject(block.source, draft.context);
  },
  foreign: (draft, block) => {
    draft.foreign[block.wire] ??= [];
    (draft.foreign[block.wire] as JsonValue[]).push(block.raw);
  },
};

function draftOf(blocks: readonly AnswerBlock[], context: CodecContext): Draft {
  const draft: Draft = {
    content: "",
    refusal: "",
    reasoning: "",
    details: [],
    annotations: [],
    images: [],
    calls: [],
    foreign: {},
    audio: null,
    places: newPlaces(),
    context,
  };
  for (const block of blocks) {
    // An empty text is not read back, so it takes no place.
    const isEmpty = (block.kind === "text" || block.kind === "refusal") && block.text === "";
    const place = isEmpty ? -1 : takePlace(draft.places, block.kind);
    (ADDERS[block.kind] as Adder<AnswerBlock["kind"]>)(draft, block, place);
  }
  return draft;
}

function callFields(draft: Draft): JsonObject {
  const first = draft.calls[0];
  if (first === undefined) return {};
  return isLegacy(draft.context) ? { function_call: first.function } : { tool_calls: draft.calls };
}

function messageOf(draft: Draft): JsonObject {
  return {
    role: "assistant",
    // null as in a stream that said no text: clients fold that to null.
    content: draft.content === "" ? null : draft.content,
    refusal: draft.refusal === "" ? null : draft.refusal,
    annotations: draft.annotations,
    ...(draft.reasoning === "" ? {} : { reasoning_content: draft.reasoning }),
    ...(draft.details.length === 0 ? {} : { reasoning_details: draft.details }),
    ...callFields(draft),
    ...(draft.images.length === 0 ? {} : { images: draft.images }),
    ...(draft.audio === null ? {} : { audio: draft.audio }),
    ...(Object.keys(draft.foreign).length === 0 ? {} : { extra_content: draft.foreign }),
  };
}

function choiceObject(choice: FoldedChoice, context: CodecContext): JsonObject {
  const draft = draftOf(choice.blocks, context);
  return {
    index: choice.index,
    message: messageOf(draft),
    logprobs: choice.logprobs === null ? null : logprobsObject(choice.logprobs),
    finish_reason: finishReason(choice.stop, draft.calls.length > 0, isLegacy(context)),
  };
}

/** Both lists are always there. */
export function logprobsObject(logprobs: JsonObject): JsonObject {
  return { content: logprobs.content ?? null, refusal: logprobs.refusal ?? null };
}

/** The whole `chat.completion`; an answer that failed inside is the error envelope. */
export function encodeAnswer(events: Iterable<AnswerEvent>, context: CodecContext): JsonObject {
  const answer = foldAnswer(events);
  if (answer.error !== null) return encodeError(answer.error, context.requestId);
  return {
    ...answerHead("chat.completion", answer, context),
    choices: answer.choices.map((choice) => choiceObject(choice, context)),
    ...(isKnown(answer.usage) ? { usage: usageObject(answer.usage) } : {}),
  };
}
