/**
 * Completions of a vendor that has two ways for them: models of code fill in what stands between a prompt and a suffix,
 * the others are asked in chat. Answers are those of chat either way. Source: the vendor's API reference.
 */
import type { Failure } from "../../errors.js";
import type { EncodedRequest, TargetCodec, TargetTraits } from "../codec.js";
import { isAbsent, withoutAbsent } from "../json.js";
import { lossName } from "../loss-name.js";
import { targetCodec as chat } from "../openai-chat/codec.js";
import type { JsonObject, LossList, SemanticRequest } from "../semantic.js";

/** Models that fill in the middle. */
export const FILLING_MODELS = /^codestral-(?!embed|mamba)/;

/** Fields of this wire that its callers may add. */
const OWN_FIELDS: ReadonlySet<string> = new Set(["suffix", "min_tokens", "random_seed"]);

function encodeRequest(request: SemanticRequest, traits: TargetTraits, losses: LossList): EncodedRequest | Failure {
  if (!FILLING_MODELS.test(traits.model)) return chat.encodeRequest(request, traits, losses);
  const body: JsonObject = withoutAbsent({
    model: traits.model,
    prompt: promptOf(request),
    ...(request.stream ? { stream: true } : {}),
    max_tokens: request.maxOutputTokens,
    stop: request.stop.length === 0 ? null : [...request.stop],
    temperature: request.sampling.temperature,
    top_p: request.sampling.topP,
    random_seed: request.sampling.seed,
  });
  for (const [name, value] of Object.entries(request.extras)) {
    if (isAbsent(value)) continue;
    if (OWN_FIELDS.has(name)) body[name] = value;
    else losses.add(lossName(name, "extra_fields"));
  }
  reportRest(request, losses);
  return { body, renamed: new Map(), formatTool: "", headers: [] };
}

/** A prompt is the one turn of its request. */
function promptOf({ turns }: SemanticRequest): string {
  const blocks = turns.flatMap((turn) => turn.blocks);
  return blocks.map((block) => (block.kind === "text" ? block.text : "")).join("");
}

function reportRest({ sampling, user }: SemanticRequest, losses: LossList): void {
  if (sampling.topK !== null) losses.add("top_k");
  if (sampling.frequencyPenalty !== null) losses.add("frequency_penalty");
  if (sampling.presencePenalty !== null) losses.add("presence_penalty");
  if (sampling.logitBias !== null) losses.add("logit_bias");
  if (sampling.logprobs === true) losses.add("logprobs");
  if ((sampling.count ?? 1) > 1) losses.add("n");
  if (user !== null) losses.add("user");
}

export const targetCodec: TargetCodec = { ...chat, encodeRequest };
