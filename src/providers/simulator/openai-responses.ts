/** The simulator on POST /responses and /responses/input_tokens. Shapes: `Response` and `ResponseStreamEvent` of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { countOf, type JsonObject, listOf, objectOf, stringOf } from "./json.js";
import { responseUsage } from "./openai-usage.js";
import { countInput, HIGHEST, openaiToolChoice, type Prompt, readKnobs, textOf, toolsOf } from "./prompt.js";
import type { SimulatedCall, Turn } from "./turn.js";

/** Reads a responses request: input as a text or as items. */
export function readResponses(body: JsonObject): Prompt {
  const input = body.input;
  const items = typeof input === "string" ? [{ role: "user", content: input }] : listOf(input).map(objectOf);
  const last: JsonObject | undefined = items.at(-1);
  const format = objectOf(objectOf(body.text).format);
  const isResult = stringOf(last?.type).endsWith("call_output");
  return {
    model: stringOf(body.model),
    stream: body.stream === true,
    body,
    userText: textOf(items.findLast((item: JsonObject) => item.role === "user")?.content),
    toolResult: isResult ? textOf(last?.output) : null,
    inputTokens: countInput(items, [body.instructions, body.tools]),
    tools: toolsOf(body.tools, (tool) => ({
      name: tool.type === "function" ? tool.name : null,
      schema: tool.parameters,
    })),
    toolChoice: openaiToolChoice(body.tool_choice),
    maxOutputTokens: countOf(body.max_output_tokens, -1, HIGHEST.tokens),
    choices: 1,
    usageAsked: true,
    schema: format.type === "json_schema" ? objectOf(format.schema) : format.type === "json_object" ? {} : null,
    knobs: readKnobs(body.metadata),
  };
}

/** The answer of /responses/input_tokens. */
export function answerInputTokens(_prompt: Prompt, turn: Turn): FrameList {
  return FrameList.whole({ object: "response.input_tokens", input_tokens: turn.usage.inputTokens }, 0);
}

/** Gives a planned turn the shape of a response. */
export function answerResponses(prompt: Prompt, turn: Turn): FrameList {
  if (prompt.stream) return new ResponseStream(prompt, turn).write();
  return FrameList.whole(response(prompt, turn, true), turn.usage.outputTokens);
}

function messageItem(turn: Turn, done: boolean): object {
  const status = done ? (turn.stop === "length" ? "incomplete" : "completed") : "in_progress";
  const content = done ? [textPart(turn.text)] : [];
  return { id: `msg_${turn.id}`, type: "message", status, role: "assistant", content };
}

function textPart(text: string): object {
  return { type: "output_text", annotations: [], logprobs: [], text };
}

function callItem(call: SimulatedCall, done: boolean): object {
  return {
    id: `fc_${call.id}`,
    type: "function_call",
    status: done ? "completed" : "in_progress",
    call_id: `call_${call.id}`,
    name: call.name,
    arguments: done ? call.arguments : "",
  };
}

function outputOf(turn: Turn): object[] {
  return turn.calls.length > 0 ? turn.calls.map((call) => callItem(call, true)) : [messageItem(turn, true)];
}

/** The response object; unfinished, it has no output and no usage yet. */
function response(prompt: Prompt, turn: Turn, done: boolean): object {
  const { body } = prompt;
  const incomplete = done && turn.stop === "length";
  return {
    id: `resp_${turn.id}`,
    object: "response",
    created_at: turn.created,
    status: incomplete ? "incomplete" : done ? "completed" : "in_progress",
    background: false,
    completed_at: done && !incomplete ? turn.created : null,
    error: null,
    incomplete_details: incomplete ? { reason: "max_output_tokens" } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: null,
    model: prompt.model,
    output: done ? outputOf(turn) : [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: null, summary: null, ...objectOf(body.reasoning) },
    safety_identifier: null,
    service_tier: "default",
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: { type: "text" }, verbosity: "medium", ...objectOf(body.text) },
    tool_choice: body.tool_choice ?? "auto",
    tools: listOf(body.tools),
    top_logprobs: 0,
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? "disabled",
    usage: done && prompt.knobs.usage !== "none" ? responseUsage(turn.usage) : null,
    user: null,
    metadata: objectOf(body.metadata),
  };
}

class ResponseStream {
  readonly #list = new FrameList();
  readonly #prompt: Prompt;
  readonly #turn: Turn;
  #sequence = 0;

  constructor(prompt: Prompt, turn: Turn) {
    this.#prompt = prompt;
    this.#turn = turn;
  }

  write(): FrameList {
    const begun = response(this.#prompt, this.#turn, false);
    this.#event("response.created", { response: begun }, this.#prompt.knobs.reasoningTokens);
    this.#event("response.in_progress", { response: begun });
    if (this.#turn.calls.length === 0) this.#message();
    for (const [index, call] of this.#turn.calls.entries()) this.#call(index, call);
    const type = this.#turn.stop === "length" ? "response.incomplete" : "response.completed";
    this.#event(type, { response: response(this.#prompt, this.#turn, true) });
    return this.#list;
  }

  #message(): void {
    const place = { item_id: `msg_${this.#turn.id}`, output_index: 0, content_index: 0 };
    this.#event("response.output_item.added", { output_index: 0, item: messageItem(this.#turn, false) });
    this.#event("response.content_part.added", { ...place, part: textPart("") });
    for (const piece of this.#turn.pieces) {
      this.#event("response.output_text.delta", { ...place, delta: piece, logprobs: [] }, 1);
    }
    this.#event("response.output_text.done", { ...place, text: this.#turn.text, logprobs: [] });
    this.#event("response.content_part.done", { ...place, part: textPart(this.#turn.text) });
    this.#event("response.output_item.done", { output_index: 0, item: messageItem(this.#turn, true) });
  }

  #call(index: number, call: SimulatedCall): void {
    const place = { item_id: `fc_${call.id}`, output_index: index };
    this.#event("response.output_item.added", { output_index: index, item: callItem(call, false) }, 1);
    for (const piece of call.pieces) {
      this.#event("response.function_call_arguments.delta", { ...place, delta: piece }, 1);
    }
    const whole = { ...place, name: call.name, arguments: call.arguments };
    this.#event("response.function_call_arguments.done", whole);
    this.#event("response.output_item.done", { output_index: index, item: callItem(call, true) });
  }

  #event(type: string, rest: object, tokens = 0): void {
    this.#list.event(type, { sequence_number: this.#sequence++, ...rest }, tokens);
  }
}
