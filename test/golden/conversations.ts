/** Small conversations in every dialect: answers as upstreams write them, histories as callers send them back. */
import type { JsonObject, JsonValue } from "../../src/dialects/semantic.js";
import type { Wire } from "./cells.js";

/** One block of an answer. */
export type Said =
  | { readonly kind: "thinking"; readonly text: string; readonly proof: string }
  | { readonly kind: "redacted"; readonly data: string }
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "call";
      readonly id: string;
      readonly name: string;
      readonly city: string;
      readonly proof: string;
    };

/** One thing of a conversation, to compare: what it is, and everything that must survive. */
export type Piece = readonly string[];

/** How a wire writes answers, and what it must be sent for them. */
export interface Voice {
  /** Kinds of blocks it has, in the order in which they may stand; null = in any order. */
  readonly order: readonly Said["kind"][] | null;
  /** How many of a kind an answer may hold; not said = any number. */
  readonly most: Readonly<Partial<Record<Said["kind"], number>>>;
  answer(said: readonly Said[], turn: number): JsonObject;
  /** What of an answer the wire wants to see again. */
  expected(said: Said): Piece;
  /** The whole conversation as a request holds it. */
  sent(body: JsonObject): Piece[];
}

const USAGE = { input_tokens: 9, output_tokens: 9 };
const objects = (value: JsonValue | undefined): JsonObject[] => (value ?? []) as JsonObject[];
const text = (value: JsonValue | undefined): string => (typeof value === "string" ? value : "");
const argumentsOf = (said: { city: string }): JsonObject => (said.city === "" ? {} : { city: said.city });

/** The piece that every wire can compare: nothing of it may change. */
function exactly(said: Said): Piece {
  switch (said.kind) {
    case "thinking":
      return ["thinking", said.text, said.proof];
    case "redacted":
      return ["redacted", said.data];
    case "text":
      return ["text", said.text];
    case "call":
      return ["call", said.id, said.name, JSON.stringify(argumentsOf(said)), ""];
  }
}

// ---- openai-chat -------------------------------------------------------------------------------------

const chat: Voice = {
  order: ["text", "call"],
  most: { text: 1 },
  answer: (said, turn) => {
    const calls = said.flatMap((block) => (block.kind === "call" ? [chatCall(block)] : []));
    const spoken = said.find((block) => block.kind === "text");
    const message = {
      role: "assistant",
      content: spoken?.text ?? null,
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
    };
    const finish = calls.length > 0 ? "tool_calls" : "stop";
    return {
      id: `chatcmpl-${turn}`,
      object: "chat.completion",
      created: 1,
      model: "m",
      choices: [{ index: 0, message, finish_reason: finish }],
    };
  },
  expected: exactly,
  sent: (body) => objects(body.messages).flatMap(chatPieces),
};

function chatCall(said: Extract<Said, { kind: "call" }>): JsonObject {
  return { id: said.id, type: "function", function: { name: said.name, arguments: JSON.stringify(argumentsOf(said)) } };
}

function chatPieces(message: JsonObject): Piece[] {
  if (message.role === "tool") return [["result", text(message.tool_call_id), text(message.content)]];
  if (message.role === "user") return [["user", text(message.content)]];
  const pieces: Piece[] = [];
  if (text(message.content) !== "") pieces.push(["text", text(message.content)]);
  for (const call of objects(message.tool_calls)) {
    const { name, arguments: given } = call.function as JsonObject;
    pieces.push(["call", text(call.id), text(name), JSON.stringify(JSON.parse(text(given))), ""]);
  }
  return pieces;
}

// ---- anthropic-messages ------------------------------------------------------------------------------

const messages: Voice = {
  order: null,
  most: {},
  answer: (said, turn) => ({
    id: `msg_${turn}`,
    type: "message",
    role: "assistant",
    model: "m",
    content: said.map(messagesBlock),
    stop_reason: said.some(({ kind }) => kind === "call") ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: USAGE,
  }),
  expected: exactly,
  sent: (body) =>
    objects(body.messages).flatMap((message) => objects(message.content).map((block) => messagesPiece(block, message))),
};

function messagesBlock(said: Said): JsonObject {
  switch (said.kind) {
    case "thinking":
      return { type: "thinking", thinking: said.text, signature: said.proof };
    case "redacted":
      return { type: "redacted_thinking", data: said.data };
    case "text":
      return { type: "text", text: said.text };
    case "call":
      return { type: "tool_use", id: said.id, name: said.name, input: argumentsOf(said) };
  }
}

function messagesPiece(block: JsonObject, { role }: JsonObject): Piece {
  switch (block.type) {
    case "thinking":
      return ["thinking", text(block.thinking), text(block.signature)];
    case "redacted_thinking":
      return ["redacted", text(block.data)];
    case "tool_use":
      return ["call", text(block.id), text(block.name), JSON.stringify(block.input), ""];
    case "tool_result":
      return ["result", text(block.tool_use_id), text(objects(block.content)[0]?.text)];
    default:
      return [role === "user" ? "user" : text(block.type), text(block.text)];
  }
}

// ---- openai-responses --------------------------------------------------------------------------------

const responses: Voice = {
  order: null,
  most: {},
  answer: (said, turn) => ({
    id: `resp_${turn}`,
    object: "response",
    created_at: 1,
    status: "completed",
    error: null,
    incomplete_details: null,
    model: "m",
    output: said.map((block, place) => responsesItem(block, `${turn}_${place}`)),
    usage: { ...USAGE, total_tokens: 18 },
  }),
  expected: exactly,
  sent: (body) => objects(body.input).flatMap(responsesPieces),
};

function responsesItem(said: Said, place: string): JsonObject {
  switch (said.kind) {
    case "thinking": {
      const summary = [{ type: "summary_text", text: said.text }];
      return { type: "reasoning", id: `rs_${place}`, summary, encrypted_content: said.proof };
    }
    case "redacted":
      return { type: "reasoning", id: `rs_${place}`, summary: [], encrypted_content: said.data };
    case "text": {
      const content = [{ type: "output_text", text: said.text, annotations: [] }];
      return { type: "message", id: `msg_${place}`, role: "assistant", status: "completed", content };
    }
    case "call": {
      const { id, name } = said;
      const given = JSON.stringify(argumentsOf(said));
      return { type: "function_call", id: `fc_${place}`, call_id: id, name, arguments: given, status: "completed" };
    }
  }
}

function responsesPieces(item: JsonObject): Piece[] {
  switch (item.type) {
    case "reasoning": {
      const said = text(objects(item.summary)[0]?.text);
      const proof = text(item.encrypted_content);
      return [said === "" ? ["redacted", proof] : ["thinking", said, proof]];
    }
    case "function_call":
      return [["call", text(item.call_id), text(item.name), text(item.arguments), ""]];
    case "function_call_output":
      return [["result", text(item.call_id), text(item.output)]];
    default:
      return objects(item.content).map((part) => [item.role === "user" ? "user" : "text", text(part.text)]);
  }
}

// ---- gemini ------------------------------------------------------------------------------------------

const gemini: Voice = {
  order: ["thinking", "text", "call"],
  most: { thinking: 1, text: 1 },
  // Without a responseId: hosts leave it out, and ids that are made up must differ all the same.
  answer: (said) => ({
    candidates: [{ content: { role: "model", parts: said.map(geminiPart) }, finishReason: "STOP", index: 0 }],
    usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 9, totalTokenCount: 18 },
  }),
  expected: (said) =>
    said.kind === "call" ? ["call", "", said.name, JSON.stringify(argumentsOf(said)), said.proof] : exactly(said),
  sent: (body) =>
    objects(body.contents).flatMap(({ role, parts }) => objects(parts).map((part) => geminiPiece(part, text(role)))),
};

function geminiPart(said: Said): JsonObject {
  if (said.kind === "thinking") return { text: said.text, thought: true, thoughtSignature: said.proof };
  if (said.kind !== "call") return { text: said.kind === "text" ? said.text : "" };
  const signed = said.proof === "" ? {} : { thoughtSignature: said.proof };
  return { functionCall: { name: said.name, args: argumentsOf(said) }, ...signed };
}

function geminiPiece(part: JsonObject, role: string): Piece {
  const call = part.functionCall as JsonObject | undefined;
  const result = part.functionResponse as JsonObject | undefined;
  if (call !== undefined) {
    return ["call", text(call.id), text(call.name), JSON.stringify(call.args), text(part.thoughtSignature)];
  }
  if (result !== undefined) {
    return ["result", text(result.id) || text(result.name), text((result.response as JsonObject).output)];
  }
  if (part.thought === true) return ["thinking", text(part.text), text(part.thoughtSignature)];
  return [role === "user" ? "user" : "text", text(part.text)];
}

// ---- bedrock-converse --------------------------------------------------------------------------------

const bedrock: Voice = {
  order: null,
  most: {},
  answer: (said) => ({
    output: { message: { role: "assistant", content: said.map(bedrockBlock) } },
    stopReason: said.some(({ kind }) => kind === "call") ? "tool_use" : "end_turn",
    usage: { inputTokens: 9, outputTokens: 9, totalTokens: 18 },
    metrics: { latencyMs: 1 },
  }),
  expected: exactly,
  sent: (body) =>
    objects(body.messages).flatMap(({ role, content }) =>
      objects(content).map((block) => bedrockPiece(block, text(role))),
    ),
};

function bedrockBlock(said: Said): JsonObject {
  switch (said.kind) {
    case "thinking":
      return { reasoningContent: { reasoningText: { text: said.text, signature: said.proof } } };
    case "redacted":
      return { reasoningContent: { redactedContent: said.data } };
    case "text":
      return { text: said.text };
    case "call":
      return { toolUse: { toolUseId: said.id, name: said.name, input: argumentsOf(said) } };
  }
}

function bedrockPiece(block: JsonObject, role: string): Piece {
  const thought = block.reasoningContent as JsonObject | undefined;
  const spoken = thought?.reasoningText as JsonObject | undefined;
  const call = block.toolUse as JsonObject | undefined;
  const result = block.toolResult as JsonObject | undefined;
  if (spoken !== undefined) return ["thinking", text(spoken.text), text(spoken.signature)];
  if (thought !== undefined) return ["redacted", text(thought.redactedContent)];
  if (call !== undefined) return ["call", text(call.toolUseId), text(call.name), JSON.stringify(call.input), ""];
  if (result !== undefined) return ["result", text(result.toolUseId), text(objects(result.content)[0]?.text)];
  return [role === "user" ? "user" : "text", text(block.text)];
}

// ---- cohere-chat -------------------------------------------------------------------------------------

/** Its thinking before calls is the plan of the tools, which has no proof. */
const cohere: Voice = {
  order: ["thinking", "text", "call"],
  most: { thinking: 1, text: 1 },
  answer: (said, turn) => {
    const calls = said.flatMap((block) => (block.kind === "call" ? [chatCall(block)] : []));
    const spoken = said.find((block) => block.kind === "text");
    const plan = said.find((block) => block.kind === "thinking");
    const message: JsonObject = { role: "assistant" };
    if (spoken !== undefined) message.content = [{ type: "text", text: spoken.text }];
    if (plan !== undefined) message.tool_plan = plan.text;
    if (calls.length > 0) message.tool_calls = calls;
    return { id: `coh_${turn}`, message, finish_reason: calls.length > 0 ? "TOOL_CALL" : "COMPLETE" };
  },
  expected: (said) => (said.kind === "thinking" ? ["plan", said.text] : exactly(said)),
  sent: (body) =>
    objects(body.messages).flatMap((message) => {
      const plan: Piece[] = text(message.tool_plan) === "" ? [] : [["plan", text(message.tool_plan)]];
      return [...plan, ...chatPieces(message)];
    }),
};

export const VOICES: Readonly<Record<Wire, Voice>> = {
  "openai-chat": chat,
  "anthropic-messages": messages,
  "openai-responses": responses,
  gemini,
  "bedrock-converse": bedrock,
  "cohere-chat": cohere,
};

// ---- callers -----------------------------------------------------------------------------------------

export interface Result {
  readonly callId: string;
  readonly text: string;
}

/** How the callers of a dialect keep a conversation. */
export interface Caller {
  /** Can it keep blocks in any order? */
  readonly anyOrder: boolean;
  request(history: readonly JsonObject[]): JsonObject;
  /** What goes into the history for an answer. */
  answered(answer: JsonObject): JsonObject[];
  callIds(answer: JsonObject): string[];
  results(results: readonly Result[]): JsonObject[];
  user(text: string): JsonObject;
}

function chatMessage({ choices }: JsonObject): JsonObject {
  return objects(choices)[0]!.message as JsonObject;
}

const SCHEMA = { type: "object", properties: { city: { type: "string" } } };
const TOOLS = ["look", "find"];

export const CALLERS: Readonly<Record<"openai-chat" | "anthropic-messages" | "openai-responses", Caller>> = {
  "openai-chat": {
    anyOrder: false,
    request: (history) => ({
      model: "m",
      messages: [...history],
      tools: TOOLS.map((name) => ({ type: "function", function: { name, parameters: SCHEMA } })),
    }),
    answered: (answer) => [chatMessage(answer)],
    callIds: (answer) => objects(chatMessage(answer).tool_calls).map((call) => text(call.id)),
    results: (results) => results.map(({ callId, text: content }) => ({ role: "tool", tool_call_id: callId, content })),
    user: (content) => ({ role: "user", content }),
  },
  "anthropic-messages": {
    anyOrder: true,
    request: (history) => ({
      model: "m",
      max_tokens: 100,
      messages: [...history],
      tools: TOOLS.map((name) => ({ name, input_schema: SCHEMA })),
    }),
    answered: ({ content }) => [{ role: "assistant", content }],
    callIds: ({ content }) =>
      objects(content)
        .filter(({ type }) => type === "tool_use")
        .map(({ id }) => text(id)),
    results: (results) => [
      {
        role: "user",
        content: results.map(({ callId, text: content }) => ({ type: "tool_result", tool_use_id: callId, content })),
      },
    ],
    user: (content) => ({ role: "user", content }),
  },
  "openai-responses": {
    anyOrder: true,
    request: (history) => ({
      model: "m",
      input: [...history],
      store: false,
      include: ["reasoning.encrypted_content"],
      tools: TOOLS.map((name) => ({ type: "function", name, parameters: SCHEMA, strict: false })),
    }),
    answered: ({ output }) => objects(output),
    callIds: ({ output }) =>
      objects(output)
        .filter(({ type }) => type === "function_call")
        .map((item) => text(item.call_id)),
    results: (results) =>
      results.map(({ callId, text: output }) => ({ type: "function_call_output", call_id: callId, output })),
    user: (content) => ({ role: "user", content }),
  },
};
