/** The simulator on POST /messages and /messages/count_tokens. Shapes: `Message` and `RawMessageStreamEvent` of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { countOf, isObject, type JsonObject, listOf, objectOf, stringOf } from "./json.js";
import { AUTO, countInput, HIGHEST, type Prompt, readKnobs, type ToolChoice, textOf, toolsOf } from "./prompt.js";
import type { SimulatedCall, SimulatedUsage, Turn } from "./turn.js";

/** Reads a messages request. */
export function readMessages(body: JsonObject): Prompt {
  const messages = listOf(body.messages).map(objectOf);
  const users = messages.filter((message) => message.role === "user");
  const results = blocks(messages.at(-1)).filter((block) => block.type === "tool_result");
  const format = objectOf(objectOf(body.output_config).format ?? body.output_format);
  return {
    model: stringOf(body.model),
    stream: body.stream === true,
    body,
    userText: spokenText(users.findLast((message) => spokenText(message) !== "")),
    toolResult: results.length > 0 ? textOf(results) : null,
    inputTokens: countInput(messages, [body.system === undefined ? null : textOf(body.system), body.tools]),
    tools: toolsOf(body.tools, (tool) => ({ name: tool.name, schema: tool.input_schema })),
    toolChoice: toolChoiceOf(objectOf(body.tool_choice)),
    maxOutputTokens: countOf(body.max_tokens, -1, HIGHEST.tokens),
    choices: 1,
    usageAsked: true,
    schema: format.type === "json_schema" ? objectOf(format.schema) : null,
    knobs: readKnobs(body.metadata),
  };
}

function blocks(message: JsonObject | undefined): readonly JsonObject[] {
  return listOf(message?.content).filter(isObject);
}

function spokenText(message: JsonObject | undefined): string {
  if (typeof message?.content === "string") return message.content;
  return textOf(blocks(message).filter((block) => block.type === "text"));
}

function toolChoiceOf(choice: JsonObject): ToolChoice {
  if (choice.type === "none") return { mode: "none", name: null };
  if (choice.type === "any") return { mode: "required", name: null };
  return choice.type === "tool" ? { mode: "required", name: stringOf(choice.name) } : AUTO;
}

/** The answer of /messages/count_tokens. */
export function answerCount(_prompt: Prompt, turn: Turn): FrameList {
  return FrameList.whole({ input_tokens: turn.usage.inputTokens }, 0);
}

/** Gives a planned turn the shape of a message. */
export function answerMessages(prompt: Prompt, turn: Turn): FrameList {
  if (prompt.stream) return stream(prompt, turn);
  const text = { type: "text", text: turn.text };
  const content = turn.calls.length > 0 ? turn.calls.map((call) => toolUse(call, JSON.parse(call.arguments))) : [text];
  const usage = prompt.knobs.usage === "none" ? {} : { usage: messageUsage(turn.usage, turn.usage.outputTokens) };
  return FrameList.whole({ ...message(prompt, turn, content, STOP[turn.stop]), ...usage }, turn.usage.outputTokens);
}

const STOP = { stop: "end_turn", length: "max_tokens", tool: "tool_use" } as const;

function message(prompt: Prompt, turn: Turn, content: readonly object[], stopReason: string | null): object {
  return {
    id: `msg_${turn.id.slice(0, 24)}`,
    type: "message",
    role: "assistant",
    model: prompt.model,
    content,
    stop_reason: stopReason,
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
  };
}

function messageUsage(usage: SimulatedUsage, outputTokens: number): object {
  return {
    input_tokens: usage.inputTokens - usage.cacheReadTokens - usage.cacheWriteTokens,
    cache_creation_input_tokens: usage.cacheWriteTokens,
    cache_read_input_tokens: usage.cacheReadTokens,
    cache_creation: { ephemeral_5m_input_tokens: usage.cacheWriteTokens, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: null,
    server_tool_use: null,
    service_tier: "standard",
    inference_geo: null,
    speed: null,
  };
}

function toolUse(call: SimulatedCall, input: unknown): object {
  return { type: "tool_use", id: `toolu_${call.id}`, name: call.name, input, caller: { type: "direct" } };
}

function stream(prompt: Prompt, turn: Turn): FrameList {
  const list = new FrameList();
  const usage = prompt.knobs.usage === "none" ? {} : { usage: messageUsage(turn.usage, 0) };
  const start = { ...message(prompt, turn, [], null), ...usage };
  list.event("message_start", { message: start }, prompt.knobs.reasoningTokens);
  if (turn.calls.length === 0) {
    const delta = (piece: string) => ({ type: "text_delta", text: piece });
    writeBlock(list, {
      index: 0,
      block: { type: "text", text: "" },
      pieces: turn.pieces,
      delta,
      first: 0,
    });
  }
  for (const [index, call] of turn.calls.entries()) {
    const delta = (piece: string) => ({ type: "input_json_delta", partial_json: piece });
    writeBlock(list, { index, block: toolUse(call, {}), pieces: call.pieces, delta, first: 1 });
  }
  writeEnd(list, prompt, turn);
  return list;
}

interface Block {
  readonly index: number;
  readonly block: object;
  readonly pieces: readonly string[];
  readonly delta: (piece: string) => object;
  /** Tokens that the block's first event deals out. */
  readonly first: number;
}

function writeBlock(list: FrameList, part: Block): void {
  const { index } = part;
  list.event("content_block_start", { index, content_block: part.block }, part.first);
  if (index === 0) list.event("ping", {});
  for (const piece of part.pieces) {
    list.event("content_block_delta", { index, delta: part.delta(piece) }, 1);
  }
  list.event("content_block_stop", { index });
}

function writeEnd(list: FrameList, prompt: Prompt, turn: Turn): void {
  const variant = prompt.knobs.usage;
  const stop = { stop_reason: STOP[turn.stop], stop_sequence: null, stop_details: null, container: null };
  const silent = { stop_reason: null, stop_sequence: null, stop_details: null, container: null };
  const final = deltaUsage(turn.usage, turn.usage.outputTokens);
  if (variant === "on_every_chunk") {
    // Cumulative counts in several events: whoever adds them up instead of setting them counts too much.
    for (const part of [0.5, 1]) {
      const usage = deltaUsage(turn.usage, Math.floor(turn.usage.outputTokens * part));
      list.event("message_delta", { delta: silent, usage });
    }
  }
  if (variant === "after_stop") {
    list.event("message_delta", { delta: stop, usage: { output_tokens: 0 } });
    list.event("message_delta", { delta: silent, usage: final });
  } else {
    list.event("message_delta", { delta: stop, ...(variant === "none" ? {} : { usage: final }) });
  }
  list.event("message_stop", {});
}

function deltaUsage(usage: SimulatedUsage, outputTokens: number): object {
  return {
    input_tokens: usage.inputTokens - usage.cacheReadTokens - usage.cacheWriteTokens,
    cache_creation_input_tokens: usage.cacheWriteTokens,
    cache_read_input_tokens: usage.cacheReadTokens,
    output_tokens: outputTokens,
    output_tokens_details: null,
    server_tool_use: null,
  };
}
