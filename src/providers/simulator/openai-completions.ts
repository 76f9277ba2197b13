/** The simulator on POST /completions. Shape: `Completion` of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { countOf, type JsonObject, objectOf, stringOf } from "./json.js";
import { completionUsage } from "./openai-usage.js";
import { AUTO, countInput, countTokens, HIGHEST, type Prompt, readKnobs } from "./prompt.js";
import type { Turn } from "./turn.js";

/** Reads a completion request: a prompt, a batch of them, or their tokens. */
export function readCompletion(body: JsonObject): Prompt {
  const inputs = promptsOf(body.prompt);
  const texts = inputs.map((input) => (typeof input === "string" ? input : ""));
  const given = inputs.reduce((sum: number, input) => sum + (Array.isArray(input) ? input.length : 0), 0);
  return {
    model: stringOf(body.model),
    stream: body.stream === true,
    body,
    userText: texts.at(-1) ?? "",
    toolResult: null,
    inputTokens: given + texts.reduce((sum, text) => sum + countTokens(text), 0) + countInput([], [body.suffix]),
    tools: [],
    toolChoice: AUTO,
    maxOutputTokens: countOf(body.max_tokens, -1, HIGHEST.tokens),
    // Every prompt of a batch gets its `n` answers, numbered on.
    choices: Math.min(64, inputs.length * Math.max(1, countOf(body.n, 1, HIGHEST.choices))),
    usageAsked: objectOf(body.stream_options).include_usage === true,
    schema: null,
    knobs: readKnobs(body.metadata),
  };
}

/** One entry a prompt: a text, or a list of token numbers. */
function promptsOf(prompt: unknown): readonly unknown[] {
  if (!Array.isArray(prompt)) return [prompt];
  return typeof prompt[0] === "number" || prompt.length === 0 ? [prompt] : prompt;
}

/** Gives a planned turn the shape of a completion. */
export function answerCompletion(prompt: Prompt, turn: Turn): FrameList {
  const finish = turn.stop === "length" ? "length" : "stop";
  if (prompt.stream) return stream(prompt, turn, finish);
  const choices = Array.from({ length: prompt.choices }, (_, index) => choice(index, turn.text, finish));
  const usage = prompt.knobs.usage === "none" ? {} : { usage: completionUsage(turn.usage) };
  return FrameList.whole({ ...head(prompt, turn), choices, ...usage }, turn.usage.outputTokens);
}

function stream(prompt: Prompt, turn: Turn, finish: string): FrameList {
  const list = new FrameList();
  const variant = prompt.knobs.usage;
  const chunk = (only: object, tokens: number, isLast: boolean): void => {
    const everywhere = variant === "on_every_chunk" ? completionUsage(turn.usage, list.dealt + tokens) : undefined;
    const usage = isLast && variant === "with_choices" ? completionUsage(turn.usage) : everywhere;
    const said = usage === undefined ? (prompt.usageAsked ? { usage: null } : {}) : { usage };
    list.data({ ...head(prompt, turn), choices: [only], ...said }, tokens);
  };
  for (let index = 0; index < prompt.choices; index++) {
    for (const piece of turn.pieces) chunk(choice(index, piece, null), 1, false);
    chunk(choice(index, "", finish), prompt.knobs.reasoningTokens, index === prompt.choices - 1);
  }
  if (variant === "after_stop" || (variant === "usual" && prompt.usageAsked)) {
    const choices = variant === "usual" ? [] : [choice(0, "", null)];
    list.data({ ...head(prompt, turn), choices, usage: completionUsage(turn.usage) });
  }
  list.raw("data: [DONE]\n\n");
  return list;
}

function head(prompt: Prompt, turn: Turn): object {
  return {
    id: `cmpl-${turn.id}`,
    object: "text_completion",
    created: turn.created,
    model: prompt.model,
    system_fingerprint: "fp_simulator",
  };
}

function choice(index: number, text: string, finishReason: string | null): object {
  return { text, index, logprobs: null, finish_reason: finishReason };
}
