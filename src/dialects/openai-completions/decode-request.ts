/** A completions request → what it means: a prompt is one user turn. */
import type { Failure } from "../../errors.js";
import { asString, isAbsent, otherFields, withoutAbsent } from "../json.js";
import { decodeSampling, decodeStop } from "../openai-chat/decode-request.js";
import { optionalFlag, optionalNumber, optionalText, orFailure, refuse, refuseUnsupported } from "../refuse-request.js";
import {
  type JsonObject,
  type JsonValue,
  type LossList,
  NO_SAMPLING,
  type Sampling,
  type SemanticRequest,
} from "../semantic.js";

/** The name of this wire. */
export const WIRE = "openai-completions";

/** Fields with a place in the semantic request. `stream_options` is the relay's matter. */
const KNOWN = new Set(
  (
    "model prompt stream stream_options suffix echo temperature top_p top_k seed frequency_penalty presence_penalty " +
    "logit_bias logprobs n best_of max_tokens stop user"
  ).split(" "),
);

/** Reads a completions request. What it has no place for goes to `extras`, value as it came. */
export function decodeRequest(body: JsonObject, losses: LossList): SemanticRequest | Failure {
  return orFailure(() => readRequest(body, losses));
}

function readRequest(body: JsonObject, losses: LossList): SemanticRequest {
  const prompt = promptText(body.prompt);
  const suffix = optionalText(body, "suffix") ?? "";
  const count = optionalNumber(body, "n") ?? 1;
  if ((optionalNumber(body, "best_of") ?? count) > count) losses.add("best_of");
  const echo = optionalFlag(body, "echo") ?? false;
  return {
    origin: WIRE,
    model: asString(body.model),
    stream: optionalFlag(body, "stream") ?? false,
    system: [],
    turns: [{ role: "user", blocks: [{ kind: "text", text: prompt, cache: null, annotations: [] }], name: null }],
    tools: [],
    toolChoice: null,
    parallelToolCalls: null,
    sampling: sampling(body),
    maxOutputTokens: optionalNumber(body, "max_tokens"),
    stop: decodeStop(body),
    reasoning: null,
    format: null,
    verbosity: null,
    user: optionalText(body, "user"),
    metadata: null,
    serviceTier: null,
    promptCacheKey: null,
    modalities: [],
    extras: { ...withoutAbsent(otherFields(body, KNOWN)), ...(suffix === "" ? {} : { suffix }) },
    ...(echo ? { answerHints: { echo: prompt } } : {}),
  };
}

/** `logprobs` is a number here: how many alternatives of each token. */
function sampling(body: JsonObject): Sampling {
  const { logprobs, top_logprobs: _, ...rest } = body;
  const read = { ...NO_SAMPLING, ...decodeSampling(rest) };
  const wanted = optionalNumber({ logprobs }, "logprobs");
  return wanted === null ? read : { ...read, logprobs: true, topLogprobs: wanted };
}

/** The one prompt. Tokens and batches mean nothing to models of other wires, as long as each call has one answer. */
function promptText(prompt: JsonValue | undefined): string {
  if (typeof prompt === "string") return prompt;
  if (isAbsent(prompt) || !Array.isArray(prompt)) return refuse("prompt", "a string or an array");
  if (prompt.some((part) => typeof part === "number" || Array.isArray(part))) {
    return refuseUnsupported("prompt", "'prompt' as token ids cannot be translated for this model; send text.");
  }
  const [only] = prompt;
  if (prompt.length > 1) {
    return refuseUnsupported("prompt", "Several texts in 'prompt' cannot be translated for this model; send one.");
  }
  return typeof only === "string" ? only : refuse("prompt[0]", "a string");
}
