/** A request in the form of generateContent; the model and the method stand in the path. */
import { type Failure, failure } from "../../errors.js";
import type { EncodedRequest, TargetTraits } from "../codec.js";
import { asObject, isAbsent } from "../json.js";
import type { JsonObject, LossList, SemanticRequest, TextBlock } from "../semantic.js";
import { encodeConfig } from "./encode-config.js";
import { encodeContents } from "./encode-contents.js";
import { encodeTools } from "./encode-tools.js";
import { lossName } from "../loss-name.js";
import { modelTraits } from "./models.js";
import { AcceptedNames, type NameRule } from "../accepted-names.js";

const NAME_RULE: NameRule = { refused: /[^A-Za-z0-9_.:-]/g, refusedStart: /^[^A-Za-z_]/ };
const LONGEST_NAME = 128;

/** Fields of this wire that a caller may add to a request of another dialect, by both spellings: → where they go. */
const OWN_FIELDS: Readonly<Record<string, "body" | "config">> = {
  safetySettings: "body",
  cachedContent: "body",
  labels: "body",
  speechConfig: "config",
  mediaResolution: "config",
  imageConfig: "config",
  audioTimestamp: "config",
};
/** Read elsewhere. */
const READ_ELSEWHERE = new Set(["web_search_options", "generationConfig", "generation_config"]);
/** Service tiers: what callers say → what this wire says; null = its default. */
const TIERS: Readonly<Record<string, string | null>> = {
  auto: null,
  default: null,
  standard: null,
  standard_only: null,
  flex: "flex",
  priority: "priority",
};

/** Encodes a request; refuses one that says nothing at all. */
export function encodeRequest(
  request: SemanticRequest,
  target: TargetTraits,
  losses: LossList,
): EncodedRequest | Failure {
  const traits = modelTraits(target.model);
  const functions = request.tools.filter((tool) => tool.kind === "function");
  const names = new AcceptedNames(LONGEST_NAME, NAME_RULE);
  names.reserve(functions.map((tool) => tool.name));
  const contents = encodeContents(request.turns, names, { traits, losses });
  const system = systemParts(request.system, losses);
  if (contents.length === 0 && system.length === 0) {
    return failure("invalid_request_error", "The conversation is empty.", "messages");
  }
  const blocked = functions.length > 0 && !traits.mixesTools;
  const byTool = request.format?.kind === "schema" && (target.structuredOutput === "tool" || blocked);
  const { tools, toolConfig, formatTool } = encodeTools({ request, names, traits, losses, byTool });
  const body: JsonObject = {};
  // The wire wants at least one turn.
  if (contents.length === 0) body.contents = [{ role: "user", parts: system }];
  else body.contents = contents;
  if (contents.length > 0 && system.length > 0) body.systemInstruction = { parts: system };
  if (tools.length > 0) body.tools = tools;
  if (toolConfig !== null) body.toolConfig = toolConfig;
  const config = encodeConfig({ request, traits, losses, byTool, functions: functions.length > 0 });
  addExtras(request.extras, body, config, losses);
  if (Object.keys(config).length > 0) body.generationConfig = config;
  encodeTier(request.serviceTier, body, losses);
  reportRest(request, losses);
  return { body, renamed: names.changed, formatTool, headers: [] };
}

function systemParts(system: readonly TextBlock[], losses: LossList): JsonObject[] {
  if (system.some((block) => block.cache !== null)) losses.add("cache_control");
  return system.filter((block) => block.text !== "").map((block) => ({ text: block.text }));
}

function addExtras(extras: JsonObject, body: JsonObject, config: JsonObject, losses: LossList): void {
  for (const [name, value] of Object.entries(extras)) {
    if (isAbsent(value) || READ_ELSEWHERE.has(name)) continue;
    const own = camelCase(name);
    if (Object.hasOwn(OWN_FIELDS, own)) (OWN_FIELDS[own] === "body" ? body : config)[own] = value;
    // Nothing is stored on this wire, so asking for just that is granted.
    else if (!(name === "store" && value === false)) losses.add(lossName(name, "extra_field"));
  }
  Object.assign(config, asObject(extras.generationConfig ?? extras.generation_config));
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function encodeTier(tier: string | null, body: JsonObject, losses: LossList): void {
  if (tier === null) return;
  const own = Object.hasOwn(TIERS, tier) ? TIERS[tier] : undefined;
  if (own === undefined) losses.add("service_tier");
  else if (own !== null) body.serviceTier = own;
}

function reportRest(request: SemanticRequest, losses: LossList): void {
  if (request.user !== null) losses.add("user");
  if (request.metadata !== null) losses.add("metadata");
  if (request.promptCacheKey !== null) losses.add("prompt_cache_key");
  if (request.verbosity !== null) losses.add("verbosity");
}
