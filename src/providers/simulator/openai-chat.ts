/** The simulator on POST /chat/completions. Shapes: `ChatCompletion` and `ChatCompletionChunk` of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { countOf, type JsonObject, listOf, objectOf, stringOf } from "./json.js";
import { completionUsage } from "./openai-usage.js";
import { countInput, HIGHEST, openaiToolChoice, type Prompt, readKnobs, textOf, toolsOf } from "./prompt.js";
import type { SimulatedCall, Turn } from "./turn.js";

/** Reads a chat request. */
export function readChat(body: JsonObject): Prompt {
  const messages = listOf(body.messages).map(objectOf);
  const last = messages.at(-1);
  const format = objectOf(body.response_format);
  return {
    model: stringOf(body.model),
    stream: body.stream === true,
    body,
    userText: textOf(messages.findLast((message) => message.role === "user")?.content),
    toolResult: last?.role === "tool" ? textOf(last.content) : null,
    inputTokens: countInput(messages, [body.tools]),
    tools: toolsOf(body.tools, (tool) => {
      const named = objectOf(tool.function);
      return { name: named.name, schema: named.parameters };
    }),
    toolChoice: openaiToolChoice(body.tool_choice),
    maxOutputTokens: countOf(body.max_completion_tokens ?? body.max_tokens, -1, HIGHEST.tokens),
    choices: Math.max(1, countOf(body.n, 1, HIGHEST.choices)),
    usageAsked: objectOf(body.stream_options).include_usage === true,
    schema: schemaOf(format),
    knobs: readKnobs(body.metadata),
  };
}

function schemaOf(format: JsonObject): JsonObject | null {
  if (format.type === "json_schema") return objectOf(objectOf(format.json_schema).schema);
  return format.type === "json_object" ? {} : null;
}

const FINISH = { stop: "stop", length: "length", tool: "tool_calls" } as const;

/** Gives a planned turn the shape of a chat answer. */
export function answerChat(prompt: Prompt, turn: Turn): FrameList {
  return prompt.stream
    ? new ChatStream(prompt, turn).write()
    : FrameList.whole(whole(prompt, turn), turn.usage.outputTokens);
}

function whole(prompt: Prompt, turn: Turn): object {
  const calls = turn.calls.map((call) => ({
    ...callHead(call),
    function: { name: call.name, arguments: call.arguments },
  }));
  const message = {
    role: "assistant",
    content: calls.length > 0 ? null : turn.text,
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
    refusal: null,
    annotations: [],
  };
  return {
    id: `chatcmpl-${turn.id}`,
    object: "chat.completion",
    created: turn.created,
    model: prompt.model,
    choices: Array.from({ length: prompt.choices }, (_, index) => ({
      index,
      message,
      logprobs: null,
      finish_reason: FINISH[turn.stop],
    })),
    ...(prompt.knobs.usage === "none" ? {} : { usage: completionUsage(turn.usage) }),
    service_tier: "default",
    system_fingerprint: "fp_simulator",
  };
}

function callHead(call: SimulatedCall): { id: string; type: "function" } {
  return { id: `call_${call.id}`, type: "function" };
}

class ChatStream {
  readonly #list = new FrameList();
  readonly #prompt: Prompt;
  readonly #turn: Turn;

  constructor(prompt: Prompt, turn: Turn) {
    this.#prompt = prompt;
    this.#turn = turn;
  }

  write(): FrameList {
    const { knobs, choices, usageAsked } = this.#prompt;
    for (let index = 0; index < choices; index++) this.#choice(index, index === choices - 1);
    const usage = completionUsage(this.#turn.usage);
    if (knobs.usage === "usual" && usageAsked) this.#list.data({ ...this.#head(), choices: [], usage });
    if (knobs.usage === "after_stop") {
      this.#list.data({ ...this.#head(), choices: [choice(0, {}, null)], usage });
    }
    this.#list.raw("data: [DONE]\n\n");
    return this.#list;
  }

  #choice(index: number, last: boolean): void {
    const { calls, pieces, stop } = this.#turn;
    const content = calls.length > 0 ? null : "";
    this.#chunk(choice(index, { role: "assistant", content, refusal: null }, null), this.#prompt.knobs.reasoningTokens);
    for (const piece of pieces) this.#chunk(choice(index, { content: piece }, null), 1);
    for (const [number, call] of calls.entries()) {
      const start = { index: number, ...callHead(call), function: { name: call.name, arguments: "" } };
      this.#chunk(choice(index, { tool_calls: [start] }, null), 1);
      for (const piece of call.pieces) {
        const more = { index: number, function: { arguments: piece } };
        this.#chunk(choice(index, { tool_calls: [more] }, null), 1);
      }
    }
    const withUsage = last && this.#prompt.knobs.usage === "with_choices";
    this.#chunk(choice(index, {}, FINISH[stop]), 0, withUsage ? completionUsage(this.#turn.usage) : undefined);
  }

  #chunk(only: object, tokens: number, usage?: object): void {
    const { knobs, usageAsked } = this.#prompt;
    const chunk: Record<string, unknown> = { ...this.#head(), choices: [only] };
    if (usage !== undefined) chunk.usage = usage;
    else if (knobs.usage === "on_every_chunk") {
      chunk.usage = completionUsage(this.#turn.usage, this.#list.dealt + tokens);
    } else if (usageAsked) chunk.usage = null;
    this.#list.data(chunk, tokens);
  }

  #head(): object {
    return {
      id: `chatcmpl-${this.#turn.id}`,
      object: "chat.completion.chunk",
      created: this.#turn.created,
      model: this.#prompt.model,
      service_tier: "default",
      system_fingerprint: "fp_simulator",
    };
  }
}

function choice(index: number, delta: object, finishReason: string | null): object {
  return { index, delta, logprobs: null, finish_reason: finishReason };
}
