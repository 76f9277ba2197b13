/** A whole chat answer from its events. */
import { type AnswerBlock, type FoldedChoice, foldAnswer } from "../answer-fold.js";
import type { CodecContext } from "../codec.js";
import { asObject } from "../json.js";
import type { AnswerEvent, JsonObject, JsonValue, LossList } from "../semantic.js";
import {
  annotationObject,
  answerHead,
  audioObject,
  callObject,
  imageObject,
  isLegacy,
  newPlaces,
  type Places,
  reportFinish,
  reportLegacyCall,
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
  readonly losses: LossList;
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
      const object = annotationObject(annotation, [start, draft.content.length], draft.losses);
      if (object !== null) draft.annotations.push(object);
    }
  },
  thinking: (draft, block, place) => {
    draft.reasoning += block.text;
    draft.details.push(...detailsOf(block, place));
  },
  tool_call: (draft, block) => {
    if (isLegacy(draft.context)) reportLegacyCall(block.signature, draft.calls.length, draft.losses);
    draft.calls.push(callObject(block));
  },
  refusal: (draft, block) => {
    draft.refusal += block.text;
  },
  image: (draft, block) => {
    const object = imageObject(block.source, draft.images.length, draft.losses);
    if (object !== null) draft.images.push(object);
  },
  audio: (draft, block) => {
    draft.audio = audioObject(block.source, draft.audio, draft.context, draft.losses);
  },
  foreign: (draft, block) => {
    draft.foreign[block.wire] ??= [];
    (draft.foreign[block.wire] as JsonValue[]).push(block.raw);
  },
};

function draftOf(blocks: readonly AnswerBlock[], context: CodecContext, losses: LossList): Draft {
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
    losses,
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
  if (!isLegacy(draft.context)) return { tool_calls: draft.calls };
  const { name, input } = asObject(first.custom) ?? {};
  return { function_call: first.function ?? { name, arguments: input } };
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

function choiceObject(choice: FoldedChoice, context: CodecContext, losses: LossList): JsonObject {
  const draft = draftOf(choice.blocks, context, losses);
  reportFinish(choice.stop, choice.sequence, losses);
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
export function encodeAnswer(events: Iterable<AnswerEvent>, context: CodecContext, losses: LossList): JsonObject {
  const answer = foldAnswer(events);
  for (const name of answer.losses ?? []) losses.add(name);
  if (answer.error !== null) return encodeError(answer.error, context.requestId);
  return {
    ...answerHead("chat.completion", answer, context),
    choices: answer.choices.map((choice) => choiceObject(choice, context, losses)),
    ...(isKnown(answer.usage) ? { usage: usageObject(answer.usage) } : {}),
  };
}
