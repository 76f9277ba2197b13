/** What answers repeat of the request, in full: strict clients refuse a response that lacks a field. */
import type { CodecContext } from "../codec.js";
import { asString } from "../json.js";
import { keptId } from "../kept-id.js";
import type { JsonObject, Reasoning, SemanticRequest, Tool } from "../semantic.js";
import { customToolOf, encodeFormat, encodeToolChoice } from "./shapes.js";

function echoTool(tool: Tool): JsonObject {
  if (tool.kind === "hosted") return customToolOf(tool) ?? tool.raw;
  const { name, description, parameters, strict } = tool;
  return { type: "function", name, description, parameters, strict };
}

function echoReasoning(reasoning: Reasoning | null): JsonObject {
  return { effort: reasoning?.effort ?? null, summary: reasoning?.summary ?? null };
}

function echoText(request: SemanticRequest): JsonObject {
  return { format: encodeFormat(request.format), verbosity: request.verbosity ?? "medium" };
}

/** The response's id: the gateway's where it keeps the response, the upstream's own where it is of this dialect. */
export function responseId(upstreamId: string, { requestId, keeping }: CodecContext): string {
  if (keeping !== undefined) return keptId(requestId);
  return upstreamId.startsWith("resp_") ? upstreamId : `resp_${requestId}`;
}

/** The fields of a response that do not change while it is made. */
export function unchangingFields(context: CodecContext, id: string): JsonObject {
  const { request } = context;
  const { sampling, extras } = request;
  return {
    id,
    object: "response",
    created_at: context.created,
    background: false,
    completed_at: null,
    instructions: request.answerHints?.instructions ?? null,
    max_output_tokens: request.maxOutputTokens,
    max_tool_calls: extras.max_tool_calls ?? null,
    model: context.model,
    parallel_tool_calls: request.parallelToolCalls ?? true,
    previous_response_id: (context.keeping?.previous ?? asString(extras.previous_response_id)) || null,
    prompt_cache_key: request.promptCacheKey,
    reasoning: echoReasoning(request.reasoning),
    safety_identifier: request.user,
    service_tier: request.serviceTier ?? "default",
    store: context.keeping !== undefined,
    temperature: sampling.temperature ?? 1,
    text: echoText(request),
    tool_choice: encodeToolChoice(request.toolChoice, request.tools),
    tools: request.tools.map(echoTool),
    top_logprobs: sampling.topLogprobs ?? 0,
    top_p: sampling.topP ?? 1,
    truncation: "disabled",
    user: null,
    metadata: request.metadata ?? {},
  };
}
