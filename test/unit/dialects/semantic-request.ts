/** A request in the hub's own words: what a test does not say asks for nothing. */
import {
  type Block,
  NO_SAMPLING,
  type SemanticRequest,
  type TextBlock,
  type Turn,
} from "../../../src/dialects/semantic.js";

export function text(words: string, fields: Partial<TextBlock> = {}): TextBlock {
  return { kind: "text", text: words, cache: null, annotations: [], ...fields };
}

export function user(...blocks: readonly Block[]): Turn {
  return { role: "user", blocks, name: null };
}

export function assistant(...blocks: readonly Block[]): Turn {
  return { role: "assistant", blocks, name: null };
}

/** Of a chat caller who says "Hi", where `fields` say nothing else. */
export function semanticRequest(fields: Partial<SemanticRequest> = {}): SemanticRequest {
  return {
    origin: "openai-chat",
    model: "m",
    stream: false,
    system: [],
    turns: [user(text("Hi"))],
    tools: [],
    toolChoice: null,
    parallelToolCalls: null,
    sampling: NO_SAMPLING,
    maxOutputTokens: null,
    stop: [],
    reasoning: null,
    format: null,
    verbosity: null,
    user: null,
    metadata: null,
    serviceTier: null,
    promptCacheKey: null,
    modalities: [],
    extras: {},
    ...fields,
  };
}
