/** The codecs of every dialect and wire, by name. */
import { clientCodec as anthropicClient, targetCodec as anthropicTarget } from "./anthropic-messages/codec.js";
import { targetCodec as bedrockTarget } from "./bedrock-converse/codec.js";
import type { ClientCodec, TargetCodec } from "./codec.js";
import { targetCodec as cohereTarget } from "./cohere-chat/codec.js";
import type { DialectId, WireId } from "./dialect.js";
import { targetCodec as geminiTarget } from "./gemini/codec.js";
import { targetCodec as mistralTarget } from "./mistral-completions/codec.js";
import { clientCodec as chatClient, targetCodec as chatTarget } from "./openai-chat/codec.js";
import { clientCodec as completionsClient } from "./openai-completions/codec.js";
import * as completionsAnswers from "./openai-completions/decode-answer.js";
import { clientCodec as responsesClient, targetCodec as responsesTarget } from "./openai-responses/codec.js";

const CLIENTS: Readonly<Partial<Record<DialectId, ClientCodec>>> = {
  "openai-chat": chatClient,
  "openai-responses": responsesClient,
  "openai-completions": completionsClient,
  "anthropic-messages": anthropicClient,
};

const TARGETS: Readonly<Partial<Record<WireId, TargetCodec>>> = {
  "openai-chat": chatTarget,
  "openai-responses": responsesTarget,
  "anthropic-messages": anthropicTarget,
  gemini: geminiTarget,
  "bedrock-converse": bedrockTarget,
  "cohere-chat": cohereTarget,
  "mistral-completions": mistralTarget,
};

/** Throws RangeError for a dialect that callers cannot speak off the diagonal. */
export function clientCodecOf(dialect: DialectId): ClientCodec {
  const codec = CLIENTS[dialect];
  if (codec === undefined) throw new RangeError(`${dialect} has no client codec`);
  return codec;
}

/** Must this body be translated although its target speaks the same dialect? See `mayCarryForeignProof`. */
export function carriesForeignProof(dialect: DialectId, body: Buffer): boolean {
  return CLIENTS[dialect]?.mayCarryForeignProof?.(body) === true;
}

/** The field by which this body leans on stored state; see `stateFieldIn` of the codec. */
export function stateFieldIn(dialect: DialectId, body: Buffer): string | null {
  return CLIENTS[dialect]?.stateFieldIn?.(body) ?? null;
}

/** Throws RangeError for a wire that is only ever reached on the diagonal. */
export function targetCodecOf(wire: WireId): TargetCodec {
  const codec = TARGETS[wire];
  if (codec === undefined) throw new RangeError(`${wire} has no target codec`);
  return codec;
}

/** Can bodies of this dialect be written anew for an upstream that speaks it too? */
export function isTranslatable(dialect: DialectId): boolean {
  return CLIENTS[dialect] !== undefined && TARGETS[dialect] !== undefined;
}

/** Does the dialect take part in the hub as a caller's? */
export function hasClientCodec(dialect: DialectId): boolean {
  return CLIENTS[dialect] !== undefined;
}

/** What reads answers of a wire: also of one that requests are never written for. */
export function answerCodecOf(wire: WireId): Pick<TargetCodec, "decodeAnswer" | "streamDecoder"> {
  return wire === "openai-completions" ? completionsAnswers : targetCodecOf(wire);
}
