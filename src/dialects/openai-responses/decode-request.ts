/**
 * Requests of the responses dialect into their meaning. What needs a stored conversation
 * (`previous_response_id`, `conversation`, `prompt`, item references) is kept as it came, and `stateField`
 * names it: whoever cannot resolve it must refuse the request, since an answer without it would be another one.
 */
import type { Failure } from "../../errors.js";
import { asArray, isAbsent, isObject, otherFields } from "../json.js";
import {
  demandText,
  optionalArray,
  optionalFlag,
  optionalNumber,
  optionalObject,
  optionalText,
  orFailure,
  refuse,
} from "../refuse-request.js";
import {
  type JsonObject,
  type LossList,
  NO_SAMPLING,
  type OutputFormat,
  type Reasoning,
  type Sampling,
  type SemanticRequest,
} from "../semantic.js";
import { decodeInput } from "./decode-input.js";
import { decodeToolChoice, decodeTools } from "./decode-tools.js";
import { WIRE } from "./shapes.js";

/** Fields that have a place in the meaning of a request, and those that say what is so anyway. */
const KNOWN: ReadonlySet<string> = new Set([
  "model",
  "input",
  "instructions",
  "stream",
  "stream_options",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "temperature",
  "top_p",
  "top_logprobs",
  "max_output_tokens",
  "reasoning",
  "text",
  "user",
  "safety_identifier",
  "metadata",
  "service_tier",
  "prompt_cache_key",
  "include",
]);

/** Values that ask for nothing: the gateway stores nothing, cuts nothing and answers at once. */
const NEUTRAL: JsonObject = { store: false, background: false, truncation: "disabled" };

/** Answers always carry reasoning as far as it can be sent back; nobody needs to ask. */
const INCLUDED_ANYWAY = "reasoning.encrypted_content";
const INCLUDE_LOGPROBS = "message.output_text.logprobs";

function decodeReasoning(body: JsonObject, losses: LossList): Reasoning | null {
  const reasoning = optionalObject(body, "reasoning");
  if (reasoning === null) return null;
  const effort = optionalText(reasoning, "effort", "reasoning");
  const summary =
    optionalText(reasoning, "summary", "reasoning") ?? optionalText(reasoning, "generate_summary", "reasoning");
  noteOthers(reasoning, ["effort", "summary", "generate_summary"], () => losses.add("reasoning_options"));
  if (effort === null && summary === null) return null;
  return { enabled: effort !== "none", effort, budgetTokens: null, adaptive: false, summary };
}

/** Calls back when the object holds more than these fields. */
function noteOthers(object: JsonObject, known: readonly string[], note: () => void): void {
  for (const [name, value] of Object.entries(object)) {
    if (!known.includes(name) && !isAbsent(value)) note();
  }
}

function decodeFormat(text: JsonObject): OutputFormat | null {
  const format = optionalObject(text, "format", "text");
  if (format === null) return null;
  const path = "text.format";
  const type = demandText(format, "type", path);
  if (type === "json_object") return { kind: "json" };
  if (type === "text") return null;
  if (type !== "json_schema") refuse(`${path}.type`, "text, json_object or json_schema");
  const schema = optionalObject(format, "schema", path);
  if (schema === null) return refuse(`${path}.schema`, "an object");
  return {
    kind: "schema",
    name: optionalText(format, "name", path) ?? "answer",
    description: optionalText(format, "description", path),
    schema,
    strict: optionalFlag(format, "strict", path),
  };
}

function decodeSampling(body: JsonObject): Sampling {
  const logprobs = asArray(body.include).includes(INCLUDE_LOGPROBS);
  return {
    ...NO_SAMPLING,
    temperature: optionalNumber(body, "temperature"),
    topP: optionalNumber(body, "top_p"),
    logprobs: logprobs ? true : null,
    topLogprobs: optionalNumber(body, "top_logprobs"),
  };
}

function decodeExtras(body: JsonObject): JsonObject {
  const extras: JsonObject = {};
  for (const [name, value] of Object.entries(otherFields(body, KNOWN))) {
    if (value !== null && NEUTRAL[name] !== value) extras[name] = value;
  }
  const include = optionalArray(body, "include").filter(
    (name) => name !== INCLUDED_ANYWAY && name !== INCLUDE_LOGPROBS,
  );
  if (include.length > 0) extras.include = include;
  const options = body.stream_options;
  if (isObject(options) && options.include_obfuscation === true) extras.stream_options = options;
  // Both name the end user; the newer one wins, and the other stays visible as something that was not used.
  if (!isAbsent(body.user) && !isAbsent(body.safety_identifier) && body.user !== body.safety_identifier) {
    extras.user = body.user;
  }
  return extras;
}

function decode(body: JsonObject, losses: LossList): SemanticRequest {
  const text = optionalObject(body, "text") ?? {};
  noteOthers(text, ["format", "verbosity"], () => losses.add("text_options"));
  return {
    origin: WIRE,
    // A header or the path may name the model instead.
    model: optionalText(body, "model") ?? "",
    stream: optionalFlag(body, "stream") ?? false,
    ...decodeInput(body, losses),
    tools: decodeTools(body, losses),
    toolChoice: decodeToolChoice(body.tool_choice),
    parallelToolCalls: optionalFlag(body, "parallel_tool_calls"),
    sampling: decodeSampling(body),
    maxOutputTokens: optionalNumber(body, "max_output_tokens"),
    stop: [],
    reasoning: decodeReasoning(body, losses),
    format: decodeFormat(text),
    verbosity: optionalText(text, "verbosity", "text"),
    user: optionalText(body, "safety_identifier") ?? optionalText(body, "user"),
    metadata: optionalObject(body, "metadata"),
    serviceTier: optionalText(body, "service_tier"),
    promptCacheKey: optionalText(body, "prompt_cache_key"),
    modalities: [],
    extras: decodeExtras(body),
    answerHints: { instructions: optionalText(body, "instructions") },
  };
}

/** Reads a request; a failure names the field that no target could understand. */
export function decodeRequest(body: JsonObject, losses: LossList): SemanticRequest | Failure {
  return orFailure(() => decode(body, losses));
}
