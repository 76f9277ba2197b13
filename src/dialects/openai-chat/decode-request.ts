/** A chat request → what it means. */
import type { Failure } from "../../errors.js";
import { asString, isAbsent, isObject, numberOrNull, otherFields, stringOrNull, withoutAbsent } from "../json.js";
import type { JsonObject, LossList, Reasoning, Sampling, SemanticRequest } from "../semantic.js";
import { decodeMessages } from "./decode-messages.js";
import { decodeFormat, decodeToolChoice, decodeTools } from "./decode-tools.js";
import {
  optionalArray,
  optionalFlag,
  optionalNumber,
  optionalObject,
  optionalText,
  orFailure,
  refuse,
  textAt,
} from "../refuse-request.js";
import { WIRE } from "./wire-name.js";

/** Fields with a place in the semantic request. `stream_options` is the relay's matter. */
const KNOWN = new Set(
  (
    "messages model stream stream_options temperature top_p top_k seed frequency_penalty presence_penalty logit_bias " +
    "logprobs top_logprobs n max_tokens max_completion_tokens stop tools functions tool_choice function_call " +
    "parallel_tool_calls response_format reasoning_effort reasoning thinking user metadata service_tier " +
    "prompt_cache_key verbosity modalities"
  ).split(" "),
);

/** Reads a chat request. What it has no place for goes to `extras`, value as it came. */
export function decodeRequest(body: JsonObject, losses: LossList): SemanticRequest | Failure {
  return orFailure(() => readRequest(body, losses));
}

function readRequest(body: JsonObject, losses: LossList): SemanticRequest {
  const extras = withoutAbsent(otherFields(body, KNOWN));
  const user = optionalText(body, "user") ?? optionalText(body, "safety_identifier");
  if (extras.safety_identifier === user) delete extras.safety_identifier;
  const isLegacy = isAbsent(body.tools) && !isAbsent(body.functions);
  return {
    origin: WIRE,
    model: asString(body.model),
    stream: optionalFlag(body, "stream") ?? false,
    ...decodeMessages(body.messages, losses),
    tools: decodeTools(body),
    toolChoice: decodeToolChoice(body, losses),
    parallelToolCalls: optionalFlag(body, "parallel_tool_calls"),
    sampling: decodeSampling(body),
    maxOutputTokens: optionalNumber(body, "max_completion_tokens") ?? optionalNumber(body, "max_tokens"),
    stop: decodeStop(body),
    reasoning: decodeReasoning(body),
    format: decodeFormat(body, losses),
    verbosity: optionalText(body, "verbosity"),
    user,
    metadata: optionalObject(body, "metadata"),
    serviceTier: optionalText(body, "service_tier"),
    promptCacheKey: optionalText(body, "prompt_cache_key"),
    modalities: optionalArray(body, "modalities").map((value, index) => textAt(value, `modalities[${index}]`)),
    extras,
    ...(isLegacy ? { answerHints: { functions: true } } : {}),
  };
}

/** What the sampler is asked, in the names that chat and completions share. */
export function decodeSampling(body: JsonObject): Sampling {
  return {
    temperature: optionalNumber(body, "temperature"),
    topP: optionalNumber(body, "top_p"),
    topK: optionalNumber(body, "top_k"),
    seed: optionalNumber(body, "seed"),
    frequencyPenalty: optionalNumber(body, "frequency_penalty"),
    presencePenalty: optionalNumber(body, "presence_penalty"),
    logitBias: optionalObject(body, "logit_bias"),
    logprobs: optionalFlag(body, "logprobs"),
    topLogprobs: optionalNumber(body, "top_logprobs"),
    count: optionalNumber(body, "n"),
  };
}

/** `stop`: one text or several. */
export function decodeStop(body: JsonObject): string[] {
  const { stop } = body;
  if (isAbsent(stop)) return [];
  if (typeof stop === "string") return [stop];
  if (!Array.isArray(stop)) return refuse("stop", "a string or an array of strings");
  return stop.map((value, index) => textAt(value, `stop[${index}]`));
}

/**
 * `reasoning_effort`, and what look-alikes have beside it: `reasoning: {effort, max_tokens, enabled, summary}`
 * and `thinking: {type: "enabled" | "disabled" | "adaptive", budget_tokens}`.
 */
function decodeReasoning(body: JsonObject): Reasoning | null {
  const thinking = optionalObject(body, "thinking");
  const reasoning = optionalObject(body, "reasoning");
  const effort = optionalText(body, "reasoning_effort") ?? stringOrNull(reasoning?.effort);
  if (effort === null && thinking === null && reasoning === null) return null;
  const isOff = effort === "none" || thinking?.type === "disabled" || reasoning?.enabled === false;
  return {
    enabled: !isOff,
    effort,
    budgetTokens: numberOrNull(thinking?.budget_tokens) ?? numberOrNull(reasoning?.max_tokens),
    adaptive: isObject(thinking) && thinking.type === "adaptive",
    summary: stringOrNull(reasoning?.summary) ?? stringOrNull(thinking?.display),
  };
}
