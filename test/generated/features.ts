/** What requests of each client dialect can hold: one small request a feature. The basis of docs/dialects.md. */
import type { DialectId } from "../../src/dialects/dialect.js";
import type { JsonObject } from "../../src/dialects/semantic.js";

export interface Feature {
  readonly name: string;
  readonly body: JsonObject;
}

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const PDF = "JVBERi0xLjQKJcOkw7zDtsOfCg==";
const SCHEMA: JsonObject = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

function features(base: JsonObject, rows: Readonly<Record<string, JsonObject>>): readonly Feature[] {
  return Object.entries(rows).map(([name, fields]) => ({ name, body: { ...base, ...fields } }));
}

// ---- chat ------------------------------------------------------------------------------------------

const CHAT_TOOL: JsonObject = { type: "function", function: { name: "weather", description: "d", parameters: SCHEMA } };
const CHAT_CALL: JsonObject = {
  id: "call_1",
  type: "function",
  function: { name: "weather", arguments: '{"city":"x"}' },
};
const chatParts = (...parts: JsonObject[]): JsonObject => ({ messages: [{ role: "user", content: parts }] });
const chatLoop = (result: JsonObject["content"]): JsonObject => ({
  tools: [CHAT_TOOL],
  messages: [
    { role: "user", content: "Weather?" },
    { role: "assistant", content: null, tool_calls: [CHAT_CALL] },
    { role: "tool", tool_call_id: "call_1", content: result },
  ],
});

const CHAT = features(
  { messages: [{ role: "user", content: "Hello" }] },
  {
    text: {},
    "system and developer turns": {
      messages: [
        { role: "system", content: "a" },
        { role: "developer", content: "b" },
        { role: "user", content: "Hello" },
      ],
    },
    "image by value": chatParts({ type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } }),
    "image by address": chatParts({ type: "image_url", image_url: { url: "https://example.com/a.png" } }),
    "image detail": chatParts({
      type: "image_url",
      image_url: { url: `data:image/png;base64,${PIXEL}`, detail: "low" },
    }),
    "PDF file": chatParts({
      type: "file",
      file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${PDF}` },
    }),
    audio: chatParts({ type: "input_audio", input_audio: { data: "AAAA", format: "wav" } }),
    tools: { tools: [CHAT_TOOL] },
    "tool results": chatLoop("sunny"),
    "custom tools": { tools: [{ type: "custom", custom: { name: "shell", description: "d" } }] },
    "`tool_choice` named": { tools: [CHAT_TOOL], tool_choice: { type: "function", function: { name: "weather" } } },
    "`tool_choice` none": { tools: [CHAT_TOOL], tool_choice: "none" },
    "`parallel_tool_calls` false": { tools: [CHAT_TOOL], parallel_tool_calls: false },
    "JSON schema": {
      response_format: { type: "json_schema", json_schema: { name: "city", schema: SCHEMA, strict: true } },
    },
    "JSON mode": { response_format: { type: "json_object" } },
    "`reasoning_effort`": { reasoning_effort: "low" },
    "`max_completion_tokens`": { max_completion_tokens: 100 },
    "`temperature` above 1": { temperature: 1.5 },
    "`top_p`": { top_p: 0.5 },
    "`stop`": { stop: ["END"] },
    "`seed`": { seed: 7 },
    penalties: { frequency_penalty: 0.5, presence_penalty: 0.5 },
    "`logit_bias`": { logit_bias: { "50256": -100 } },
    "`logprobs`": { logprobs: true, top_logprobs: 2 },
    "`n` above 1": { n: 2 },
    "`user`": { user: "u" },
    "`metadata`": { metadata: { a: "b" } },
    "`service_tier`": { service_tier: "flex" },
    "`verbosity`": { verbosity: "low" },
    "`prompt_cache_key`": { prompt_cache_key: "k" },
    "`web_search_options`": { web_search_options: {} },
    "unknown field": { brand_new_field: 1 },
  },
);

// ---- messages --------------------------------------------------------------------------------------

const MESSAGES_TOOL: JsonObject = { name: "weather", description: "d", input_schema: SCHEMA };
const messagesParts = (...content: JsonObject[]): JsonObject => ({ messages: [{ role: "user", content }] });
const base64 = (media_type: string, data: string): JsonObject => ({ type: "base64", media_type, data });
const cached: JsonObject = { cache_control: { type: "ephemeral" } };
const messagesLoop = (result: JsonObject): JsonObject => ({
  tools: [MESSAGES_TOOL],
  messages: [
    { role: "user", content: "Weather?" },
    { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "weather", input: { city: "x" } }] },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", ...result }] },
  ],
});

const MESSAGES = features(
  { max_tokens: 2000, messages: [{ role: "user", content: "Hello" }] },
  {
    text: {},
    "system blocks": { system: [{ type: "text", text: "a" }] },
    "`cache_control`": { system: [{ type: "text", text: "a", ...cached }] },
    "image by value": messagesParts({ type: "image", source: base64("image/png", PIXEL) }),
    "image by address": messagesParts({ type: "image", source: { type: "url", url: "https://example.com/a.png" } }),
    "PDF by value": messagesParts({ type: "document", source: base64("application/pdf", PDF) }),
    "plain-text document": messagesParts({
      type: "document",
      source: { type: "text", media_type: "text/plain", data: "x" },
      title: "t",
    }),
    "document with citations": messagesParts({
      type: "document",
      source: base64("application/pdf", PDF),
      citations: { enabled: true },
    }),
    tools: { tools: [MESSAGES_TOOL] },
    "tool results": messagesLoop({ content: "sunny" }),
    "tool result with an image": messagesLoop({ content: [{ type: "image", source: base64("image/png", PIXEL) }] }),
    "`is_error`": messagesLoop({ content: "broken", is_error: true }),
    "`tool_choice` any": { tools: [MESSAGES_TOOL], tool_choice: { type: "any" } },
    "`tool_choice` none": { tools: [MESSAGES_TOOL], tool_choice: { type: "none" } },
    "`disable_parallel_tool_use`": {
      tools: [MESSAGES_TOOL],
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
    },
    "web search tool": { tools: [{ type: "web_search_20250305", name: "web_search" }] },
    thinking: { thinking: { type: "enabled", budget_tokens: 1024 } },
    "thinking of history": {
      messages: [
        { role: "user", content: "Hello" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm", signature: "c2ln" },
            { type: "text", text: "Hi" },
          ],
        },
        { role: "user", content: "Go on" },
      ],
    },
    "output schema": { output_config: { format: { type: "json_schema", schema: SCHEMA } } },
    "`stop_sequences`": { stop_sequences: ["END"] },
    "`top_k`": { top_k: 40 },
    "`temperature`": { temperature: 0.5 },
    "`metadata.user_id`": { metadata: { user_id: "u" } },
    "`service_tier`": { service_tier: "standard_only" },
    "`context_management`": { context_management: { edits: [] } },
    "unknown field": { brand_new_field: 1 },
  },
);

// ---- responses -------------------------------------------------------------------------------------

const RESPONSES_TOOL: JsonObject = { type: "function", name: "weather", parameters: SCHEMA, strict: true };
const inputParts = (...content: JsonObject[]): JsonObject => ({ input: [{ role: "user", content }] });

const RESPONSES = features(
  { input: "Hello" },
  {
    text: {},
    "`instructions`": { instructions: "a" },
    "image by value": inputParts({ type: "input_image", image_url: `data:image/png;base64,${PIXEL}`, detail: "auto" }),
    "PDF file": inputParts({
      type: "input_file",
      filename: "a.pdf",
      file_data: `data:application/pdf;base64,${PDF}`,
    }),
    tools: { tools: [RESPONSES_TOOL] },
    "tool results": {
      tools: [RESPONSES_TOOL],
      input: [
        { role: "user", content: "Weather?" },
        { type: "function_call", call_id: "call_1", name: "weather", arguments: '{"city":"x"}' },
        { type: "function_call_output", call_id: "call_1", output: "sunny" },
      ],
    },
    "custom tools": { tools: [{ type: "custom", name: "shell" }] },
    "web search tool": { tools: [{ type: "web_search" }] },
    "`tool_choice` required": { tools: [RESPONSES_TOOL], tool_choice: "required" },
    "`parallel_tool_calls` false": { tools: [RESPONSES_TOOL], parallel_tool_calls: false },
    "`text.format` schema": { text: { format: { type: "json_schema", name: "city", schema: SCHEMA, strict: true } } },
    "`text.verbosity`": { text: { verbosity: "low" } },
    "`reasoning.effort`": { reasoning: { effort: "low" } },
    "`reasoning.summary`": { reasoning: { effort: "low", summary: "auto" } },
    "encrypted reasoning of history": {
      input: [
        { role: "user", content: "Hello" },
        { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "c2ln" },
        { role: "assistant", content: [{ type: "output_text", text: "Hi" }] },
        { role: "user", content: "Go on" },
      ],
    },
    "`max_output_tokens`": { max_output_tokens: 100 },
    "`temperature`": { temperature: 0.5 },
    "`top_logprobs`": { top_logprobs: 2 },
    "`metadata`": { metadata: { a: "b" } },
    "`user`": { user: "u" },
    "`prompt_cache_key`": { prompt_cache_key: "k" },
    "`service_tier`": { service_tier: "flex" },
    "`truncation`": { truncation: "auto" },
    "`include`": { include: ["reasoning.encrypted_content"], store: false },
    "`previous_response_id` of a provider": { previous_response_id: "resp_1" },
    "unknown field": { brand_new_field: 1 },
  },
);

// ---- completions -----------------------------------------------------------------------------------

const COMPLETIONS = features(
  { prompt: "Once" },
  {
    text: {},
    "several prompts": { prompt: ["a", "b"] },
    "token prompt": { prompt: [1, 2, 3] },
    "`suffix`": { suffix: "end" },
    "`echo`": { echo: true },
    "`logprobs`": { logprobs: 2 },
    "`best_of`": { best_of: 2 },
    "`n` above 1": { n: 2 },
    "`max_tokens`": { max_tokens: 100 },
    "`temperature`": { temperature: 0.5 },
    "`stop`": { stop: ["END"] },
    "`seed`": { seed: 7 },
    penalties: { frequency_penalty: 0.5, presence_penalty: 0.5 },
    "`logit_bias`": { logit_bias: { "50256": -100 } },
    "`user`": { user: "u" },
    "unknown field": { brand_new_field: 1 },
  },
);

export const FEATURES: Readonly<Partial<Record<DialectId, readonly Feature[]>>> = {
  "openai-chat": CHAT,
  "anthropic-messages": MESSAGES,
  "openai-responses": RESPONSES,
  "openai-completions": COMPLETIONS,
};
