/** The clients in front of the gateway, unmodified, each holding a conversation as its users do. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import {
  APICallError,
  generateText,
  jsonSchema,
  type LanguageModel,
  type LanguageModelUsage,
  type ModelMessage,
  Output,
  streamText,
  tool,
} from "ai";
import OpenAI from "openai";
import type { DialectId } from "../../src/dialects/dialect.js";
import type { JsonObject } from "../../src/dialects/semantic.js";
import { CITY, IMAGE, type Kept } from "../fake-upstream/vendor-talk.js";
import { KEY } from "./gateway.js";

// It does not know the models of these tests, and would say so at every call.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly args: JsonObject;
}

export interface ToolResult extends ToolCall {
  readonly said: string;
}

/** What a client made of an answer; cached tokens are part of the input. */
export interface Reply {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly usage: { readonly input: number; readonly output: number; readonly cached: number };
}

export interface Ask {
  readonly prompt: string;
  readonly system?: string;
  /** With the picture that the upstream knows. */
  readonly image?: boolean;
}

/** A conversation that keeps what the client keeps of its answers. */
export interface Talk {
  ask(ask: Ask): Promise<Reply>;
  answer(results: readonly ToolResult[]): Promise<Reply>;
}

export interface Setting {
  /** Where the client's base is; clients of one dialect take the version root, others the host. */
  readonly url: string;
  readonly model: string;
  readonly streamed: boolean;
  /** Two tools, and thinking; or an answer in the form of `CITY`. */
  readonly wants?: "tools" | "form";
  /** Sees every answer of the gateway. */
  readonly fetch: typeof fetch;
}

export interface Failed {
  /** The error's class. */
  readonly kind: string;
  readonly status: number | undefined;
  readonly message: string;
  readonly retryAfter: string | null | undefined;
}

export interface ClientKind {
  readonly name: string;
  readonly dialect: DialectId;
  readonly keeps: Kept;
  open(setting: Setting): Talk;
  /** Classes of its errors, by status. */
  readonly errors: Readonly<Record<number, string>>;
  /** What an error says; null = it is none of the client's own. */
  failed(error: unknown): Failed | null;
}

const DESCRIPTION = "Tells it.";
const NOTHING = { type: "object", properties: {}, additionalProperties: false } as const;
const TOOLS = [
  { name: "now", schema: NOTHING },
  { name: "weather", schema: CITY },
] as const;
const IMAGE_URL = `data:image/png;base64,${IMAGE}`;
const MAX_TOKENS = 4000;

function callOf(id: string, name: string, written: string): ToolCall {
  return { id, name, args: JSON.parse(written) as JsonObject };
}

// ---- openai, chat ----------------------------------------------------------------------------------

type ChatMessage = OpenAI.ChatCompletionMessage & { reasoning_content?: string; reasoning_details?: unknown[] };

/** Adds a delta to a message, as users of these fields do who know that the client itself keeps the last one only. */
function addDelta(message: ChatMessage, delta: OpenAI.ChatCompletionChunk.Choice.Delta): void {
  const { content, tool_calls = [], ...more } = delta as typeof delta & ChatMessage;
  message.content = content ? (message.content ?? "") + content : message.content;
  const { reasoning_content: thought, reasoning_details: details } = more;
  if (thought) message.reasoning_content = (message.reasoning_content ?? "") + thought;
  if (details) message.reasoning_details = [...(message.reasoning_details ?? []), ...details];
  for (const { index, ...part } of tool_calls as (OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall & object)[]) {
    message.tool_calls ??= [];
    const call = message.tool_calls[index] as OpenAI.ChatCompletionMessageFunctionToolCall | undefined;
    if (call === undefined) message.tool_calls[index] = part as never;
    else call.function.arguments += part.function?.arguments ?? "";
  }
}

async function chatAnswer(client: OpenAI, body: OpenAI.ChatCompletionCreateParams, streamed: boolean) {
  if (!streamed) {
    const { choices, usage } = await client.chat.completions.create({ ...body, stream: false });
    return { message: choices[0]?.message as ChatMessage, usage };
  }
  const message: ChatMessage = { role: "assistant", content: null, refusal: null };
  let usage: OpenAI.CompletionUsage | undefined;
  const stream_options = { include_usage: true };
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true, stream_options })) {
    if (chunk.choices[0] !== undefined) addDelta(message, chunk.choices[0].delta);
    usage = chunk.usage ?? usage;
  }
  return { message, usage };
}

function chatTalk({ url, model, streamed, wants, fetch }: Setting): Talk {
  const client = new OpenAI({ apiKey: KEY, baseURL: `${url}/v1`, maxRetries: 0, fetch });
  const messages: OpenAI.ChatCompletionMessageParam[] = [];
  const tools: OpenAI.ChatCompletionTool[] = TOOLS.map(({ name, schema }) => {
    return { type: "function", function: { name, description: DESCRIPTION, parameters: { ...schema } } };
  });
  const form = { type: "json_schema", json_schema: { name: "place", schema: CITY, strict: true } } as const;
  const wanted = wants === "tools" ? { tools, reasoning_effort: "medium" as const } : {};
  const next = async (): Promise<Reply> => {
    const body = { model, messages, max_completion_tokens: MAX_TOKENS, store: false, ...wanted };
    const { message, usage } = await chatAnswer(
      client,
      wants === "form" ? { ...body, response_format: form } : body,
      streamed,
    );
    messages.push(message);
    const calls = (message.tool_calls ?? []).map((call) => {
      if (call.type !== "function") throw new Error("not a function");
      return callOf(call.id, call.function.name, call.function.arguments);
    });
    const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
    return {
      text: message.content ?? "",
      calls,
      usage: { input: usage?.prompt_tokens ?? -1, output: usage?.completion_tokens ?? -1, cached },
    };
  };
  return {
    ask: ({ prompt, system, image = false }) => {
      if (system !== undefined) messages.push({ role: "system", content: system });
      const picture = { type: "image_url" as const, image_url: { url: IMAGE_URL } };
      messages.push({ role: "user", content: image ? [picture, { type: "text", text: prompt }] : prompt });
      return next();
    },
    answer: (results) => {
      for (const { id, said } of results) messages.push({ role: "tool", tool_call_id: id, content: said });
      return next();
    },
  };
}

// ---- openai, responses -----------------------------------------------------------------------------

function responsesTalk({ url, model, streamed, wants, fetch }: Setting): Talk {
  const client = new OpenAI({ apiKey: KEY, baseURL: `${url}/v1`, maxRetries: 0, fetch });
  const input: OpenAI.Responses.ResponseInputItem[] = [];
  let instructions: string | null = null;
  const tools: OpenAI.Responses.Tool[] = TOOLS.map(({ name, schema }) => {
    return { type: "function", name, description: DESCRIPTION, parameters: { ...schema }, strict: false };
  });
  const wanted: Partial<OpenAI.Responses.ResponseCreateParams> = {};
  if (wants === "tools") Object.assign(wanted, { tools, reasoning: { effort: "medium", summary: "auto" } });
  if (wants === "form") wanted.text = { format: { type: "json_schema", name: "place", schema: CITY, strict: true } };
  const next = async (): Promise<Reply> => {
    const include: OpenAI.Responses.ResponseIncludable[] = ["reasoning.encrypted_content"];
    const known = { model, input, instructions, max_output_tokens: MAX_TOKENS, store: false, include };
    const body = { ...(wanted as object), ...known };
    const response: OpenAI.Responses.Response = streamed
      ? await client.responses.stream(body).finalResponse()
      : await client.responses.create(body);
    // The client's own type of answers is not its type of input, though the vendor takes one as the other.
    input.push(...(response.output as OpenAI.Responses.ResponseInputItem[]));
    const calls = response.output.filter((item) => item.type === "function_call");
    return {
      text: response.output_text,
      calls: calls.map((call) => callOf(call.call_id, call.name, call.arguments)),
      usage: {
        input: response.usage?.input_tokens ?? -1,
        output: response.usage?.output_tokens ?? -1,
        cached: response.usage?.input_tokens_details.cached_tokens ?? 0,
      },
    };
  };
  return {
    ask: ({ prompt, system, image = false }) => {
      instructions = system ?? null;
      const picture = { type: "input_image" as const, image_url: IMAGE_URL, detail: "auto" as const };
      const said = { type: "input_text" as const, text: prompt };
      input.push({ role: "user", content: image ? [picture, said] : prompt });
      return next();
    },
    answer: (results) => {
      for (const { id, said } of results) input.push({ type: "function_call_output", call_id: id, output: said });
      return next();
    },
  };
}

// ---- anthropic -------------------------------------------------------------------------------------

function messagesTalk({ url, model, streamed, wants, fetch }: Setting): Talk {
  const client = new Anthropic({ apiKey: KEY, authToken: null, baseURL: url, maxRetries: 0, fetch });
  const messages: Anthropic.MessageParam[] = [];
  let system: string | undefined;
  const tools: Anthropic.Tool[] = TOOLS.map(({ name, schema }) => {
    return { name, description: DESCRIPTION, input_schema: schema as unknown as Anthropic.Tool.InputSchema };
  });
  const thinking = { type: "enabled", budget_tokens: 2048 } as const;
  const next = async (): Promise<Reply> => {
    const body: Anthropic.MessageCreateParamsNonStreaming = { model, messages, max_tokens: MAX_TOKENS };
    if (system !== undefined) body.system = system;
    if (wants === "tools") Object.assign(body, { tools, thinking });
    if (wants === "form") body.output_config = { format: { type: "json_schema", schema: { ...CITY } } };
    const message = streamed ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
    messages.push({ role: "assistant", content: message.content });
    const { usage } = message;
    const cached = usage.cache_read_input_tokens ?? 0;
    const texts = message.content.filter((block) => block.type === "text");
    const calls = message.content.filter((block) => block.type === "tool_use");
    return {
      text: texts.map((block) => block.text).join(""),
      calls: calls.map(({ id, name, input }) => ({ id, name, args: input as JsonObject })),
      usage: {
        input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
        output: usage.output_tokens,
        cached,
      },
    };
  };
  return {
    ask: (ask) => {
      system = ask.system;
      const source = { type: "base64", media_type: "image/png", data: IMAGE } as const;
      const said = { type: "text" as const, text: ask.prompt };
      messages.push({ role: "user", content: ask.image === true ? [{ type: "image", source }, said] : ask.prompt });
      return next();
    },
    answer: (results) => {
      const content = results.map(({ id, said }) => {
        return { type: "tool_result" as const, tool_use_id: id, content: said };
      });
      messages.push({ role: "user", content });
      return next();
    },
  };
}

// ---- ai --------------------------------------------------------------------------------------------

/** How each of its providers is told to think, and to keep nothing at the vendor's. */
const THINKING = {
  openai: { store: false, reasoningEffort: "medium", reasoningSummary: "auto", forceReasoning: true },
  anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } },
} as const;

interface AiAnswer {
  readonly text: string;
  readonly toolCalls: readonly { toolCallId: string; toolName: string; input: unknown }[];
  readonly usage: LanguageModelUsage;
  readonly messages: readonly ModelMessage[];
}

async function aiAnswer(options: Parameters<typeof generateText>[0], streamed: boolean): Promise<AiAnswer> {
  if (!streamed) {
    const { text, toolCalls, usage, response } = await generateText(options);
    return { text, toolCalls, usage, messages: response.messages };
  }
  const result = streamText({ ...(options as Parameters<typeof streamText>[0]), onError: () => {} });
  for await (const part of result.fullStream) if (part.type === "error") throw part.error;
  const { messages } = await result.response;
  return { text: await result.text, toolCalls: await result.toolCalls, usage: await result.usage, messages };
}

function aiTalk(of: (setting: Setting) => LanguageModel, setting: Setting): Talk {
  const { streamed, wants } = setting;
  const model = of(setting);
  const messages: ModelMessage[] = [];
  let system: string | undefined;
  const tools = Object.fromEntries(
    TOOLS.map(({ name, schema }) => [name, tool({ description: DESCRIPTION, inputSchema: jsonSchema(schema) })]),
  );
  const next = async (): Promise<Reply> => {
    const options = { model, messages, maxOutputTokens: MAX_TOKENS, maxRetries: 0 };
    if (system !== undefined) Object.assign(options, { system });
    if (wants === "tools") Object.assign(options, { tools, providerOptions: THINKING });
    if (wants === "form") Object.assign(options, { output: Output.object({ schema: jsonSchema(CITY) }) });
    const said = await aiAnswer(options, streamed);
    messages.push(...said.messages);
    const { inputTokens: input = -1, outputTokens: output = -1, inputTokenDetails } = said.usage;
    const calls = said.toolCalls.map(({ toolCallId: id, toolName: name, input: args }) => {
      return { id, name, args: args as JsonObject };
    });
    return { text: said.text, calls, usage: { input, output, cached: inputTokenDetails.cacheReadTokens ?? 0 } };
  };
  return {
    ask: (ask) => {
      system = ask.system;
      const picture = { type: "file" as const, mediaType: "image/png", data: IMAGE };
      const said = { type: "text" as const, text: ask.prompt };
      messages.push({ role: "user", content: ask.image === true ? [picture, said] : ask.prompt });
      return next();
    },
    answer: (results) => {
      const content = results.map(({ id, name, said }) => {
        const output = { type: "text" as const, value: said };
        return { type: "tool-result" as const, toolCallId: id, toolName: name, output };
      });
      messages.push({ role: "tool", content });
      return next();
    },
  };
}

const openai = ({ url, fetch }: Setting) => createOpenAI({ apiKey: KEY, baseURL: `${url}/v1`, fetch });
const anthropic = ({ url, fetch }: Setting) => createAnthropic({ apiKey: KEY, baseURL: `${url}/v1`, fetch });

// ---- errors ----------------------------------------------------------------------------------------

function sdkFailed(error: unknown): Failed | null {
  if (!(error instanceof OpenAI.APIError) && !(error instanceof Anthropic.APIError)) return null;
  const { status, message, headers } = error;
  return { kind: error.constructor.name, status, message, retryAfter: headers?.get("retry-after") };
}

/** Inside a stream, `ai` hands on the error as it came, which is no class of its own. */
function aiFailed(error: unknown): Failed | null {
  if (APICallError.isInstance(error)) {
    const { statusCode: status, message, responseHeaders } = error;
    return { kind: error.name, status, message, retryAfter: responseHeaders?.["retry-after"] };
  }
  return { kind: "", status: undefined, message: JSON.stringify(error) + String(error), retryAfter: undefined };
}

const SDK = { errors: { 400: "BadRequestError", 429: "RateLimitError" }, failed: sdkFailed };
const AI = { errors: { 400: "AI_APICallError", 429: "AI_APICallError" }, failed: aiFailed };

export const CLIENTS: readonly ClientKind[] = [
  { name: "openai, chat", dialect: "openai-chat", keeps: "everything", open: chatTalk, ...SDK },
  { name: "openai, responses", dialect: "openai-responses", keeps: "everything", open: responsesTalk, ...SDK },
  { name: "anthropic", dialect: "anthropic-messages", keeps: "everything", open: messagesTalk, ...SDK },
  {
    name: "ai, openai()",
    dialect: "openai-responses",
    keeps: "everything",
    open: (setting) => aiTalk((of) => openai(of)(of.model), setting),
    ...AI,
  },
  {
    name: "ai, openai.chat()",
    dialect: "openai-chat",
    keeps: "nothing",
    open: (setting) => aiTalk((of) => openai(of).chat(of.model), setting),
    ...AI,
  },
  {
    name: "ai, anthropic()",
    dialect: "anthropic-messages",
    keeps: "everything",
    open: (setting) => aiTalk((of) => anthropic(of)(of.model), setting),
    ...AI,
  },
];
