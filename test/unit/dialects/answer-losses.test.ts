/** What each caller's dialect cannot say of an answer is named, whole and streamed alike. */
import { describe, expect, it } from "vitest";
import type { DialectId } from "../../../src/dialects/dialect.js";
import { type AnswerEvent, LossList } from "../../../src/dialects/semantic.js";
import { ANSWER_FEATURES, answerLosses } from "../../generated/answer-features.js";

const LOST: Readonly<Partial<Record<DialectId, Readonly<Record<string, readonly string[]>>>>> = {
  "openai-chat": {
    "citation of a page": ["citation_location"],
    "citation without a source": ["annotations"],
    video: ["video"],
    "stop sequence": ["stop_sequence"],
    "paused turn": ["stop_reason"],
    "what no event can say": ["trace"],
  },
  "anthropic-messages": {
    refusal: ["refusal"],
    "citation behind some words": ["citation_offsets"],
    "citation without a source": ["annotations"],
    "image by value": ["image"],
    "image by address": ["image"],
    sound: ["audio"],
    video: ["video"],
    "log probabilities": ["logprobs"],
    "second candidate": ["n"],
    "turn that failed": ["stop_reason"],
    "call of `openai-responses`' own tool": ["web_search_call"],
    "grounding of `gemini`": ["grounding_metadata"],
    "what no event can say": ["trace"],
  },
  "openai-responses": {
    "citation of a page": ["citation_location"],
    "citation without a source": ["annotations"],
    "image by address": ["image"],
    sound: ["audio"],
    video: ["video"],
    "second candidate": ["n"],
    "stop sequence": ["stop_sequence"],
    "paused turn": ["stop_reason"],
    "result of `anthropic-messages`' own tool": ["web_search_tool_result"],
    "grounding of `gemini`": ["grounding_metadata"],
    "what no event can say": ["trace"],
  },
  "openai-completions": {
    refusal: ["refusal"],
    thinking: ["thinking"],
    "thinking with a signature": ["thinking"],
    "tool call": ["tool_calls"],
    "tool call with a signature": ["tool_calls"],
    "free-text tool call": ["tool_calls"],
    "citation of an address": ["annotations"],
    "citation behind some words": ["annotations"],
    "citation of a page": ["annotations"],
    "citation without a source": ["annotations"],
    "image by value": ["image"],
    "image by address": ["image"],
    sound: ["audio"],
    video: ["video"],
    "stop sequence": ["stop_sequence"],
    "paused turn": ["stop_reason"],
    "turn that failed": ["stop_reason"],
    "result of `anthropic-messages`' own tool": ["web_search_tool_result"],
    "call of `openai-responses`' own tool": ["web_search_call"],
    "grounding of `gemini`": ["grounding_metadata"],
    "what no event can say": ["trace"],
  },
};

describe.each(Object.keys(LOST) as DialectId[])("answers for %s callers", (client) => {
  it.each(Object.entries(ANSWER_FEATURES))("%s", (name, said) => {
    const names = LOST[client]?.[name] ?? [];
    expect(answerLosses(client, said)).toEqual({ whole: names, streamed: names });
  });

  it("a block whose content other events say is no loss", () => {
    const raw = { citationMetadata: {} };
    const block = { kind: "foreign", wire: "gemini", type: "citationMetadata", raw, told: true } as const;
    expect(answerLosses(client, [{ kind: "foreign", block }])).toEqual({ whole: [], streamed: [] });
  });
});

describe("the legacy form of calls", () => {
  const call = (signature: string): AnswerEvent[] => [
    { kind: "tool_start", id: "c", name: "look", signature, flavour: "function" },
    { kind: "block_stop" },
  ];
  const legacy = { functions: [{ name: "look", parameters: {} }] };

  it.each([
    ["has one call", [...call("")], []],
    ["has no place for further calls", [...call(""), ...call("")], ["tool_calls"]],
    ["has no place for a signature", [...call("c2ln")], ["tool_call_signature"]],
  ])("%s", (_name, said, names) => {
    expect(answerLosses("openai-chat", said, legacy)).toEqual({ whole: names, streamed: names });
  });
});

describe("sounds of chat answers", () => {
  const sound = (data: string | null): AnswerEvent => ({
    kind: "media",
    source: { data, url: data === null ? "https://example.com/a.wav" : null, fileId: null, mediaType: "audio/wav" },
  });

  it.each([
    ["one by value", [sound("AA==")], []],
    ["two", [sound("AA=="), sound("AA==")], ["audio"]],
    ["by address", [sound(null)], ["audio"]],
  ])("%s", (_name, said, names) => {
    expect(answerLosses("openai-chat", said)).toEqual({ whole: names, streamed: names });
  });
});

describe("a list of losses", () => {
  it("names each once, what was known before first, and no more than 32", () => {
    const losses = new LossList(["seed", "n"]);
    for (const name of ["n", "image", "image"]) losses.add(name);
    expect(losses.names).toEqual(["seed", "n", "image"]);
    for (let count = 0; count < 40; count++) losses.add(`name_${count}`);
    expect(losses.size).toBe(32);
  });
});
