/** Arguments that come byte by byte cost time in proportion to their length, for every pair of dialects. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { WireEvent } from "../../src/dialects/codec.js";
import { clientCodecOf } from "../../src/dialects/codecs.js";
import { streamDecoderOf } from "../../src/dialects/hub.js";
import { type JsonObject, LossList } from "../../src/dialects/semantic.js";
import { CLIENTS, type Client, contextOf, json, translated, type Wire } from "./cells.js";

const TEXT = 'a\\"é😀 ';

/** JSON of a call's arguments, about so long. */
function argumentsOf(bytes: number): string {
  return JSON.stringify({ text: TEXT.repeat(Math.ceil(bytes / 9)) }).slice(0, bytes - 2) + '"}';
}

/** The frames of one call around its fragments. Gemini streams calls whole, so its thoughts are cut instead. */
interface CallStream {
  readonly before: readonly JsonObject[];
  fragment(text: string): JsonObject;
  readonly after: readonly JsonObject[];
}

const chunk = (delta: JsonObject, finish: string | null = null): JsonObject => ({
  id: "c",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const item = {
  type: "function_call",
  id: "fc_1",
  call_id: "call_1",
  name: "look",
  arguments: "",
  status: "in_progress",
};
const response = { id: "resp_1", object: "response", created_at: 1, model: "m", status: "completed", output: [] };
const parts = (list: JsonObject[], finish: JsonObject = {}): JsonObject => ({
  candidates: [{ content: { role: "model", parts: list }, index: 0, ...finish }],
});
const cohere = (type: string, call: JsonObject): JsonObject => ({
  type,
  index: 0,
  delta: { message: { tool_calls: call } },
});

const STREAMS: Readonly<Record<Wire, CallStream>> = {
  "openai-chat": {
    before: [
      chunk({
        role: "assistant",
        tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "look", arguments: "" } }],
      }),
    ],
    fragment: (text) => chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] }),
    after: [chunk({}, "tool_calls"), { done: "[DONE]" }],
  },
  "openai-responses": {
    before: [
      { type: "response.created", response: { ...response, status: "in_progress" } },
      { type: "response.output_item.added", output_index: 0, item },
    ],
    fragment: (delta) => ({
      type: "response.function_call_arguments.delta",
      item_id: "fc_1",
      output_index: 0,
      delta,
    }),
    after: [
      { type: "response.output_item.done", output_index: 0, item },
      { type: "response.completed", response },
    ],
  },
  "anthropic-messages": {
    before: [
      { type: "message_start", message: { id: "msg_1", model: "m", usage: { input_tokens: 1, output_tokens: 1 } } },
      {
        type: "content_block_start",
        index: 0,
        content_block: { type: "tool_use", id: "toolu_1", name: "look", input: {} },
      },
    ],
    fragment: (text) => ({
      type: "content_block_delta",
      index: 0,
      delta: { type: "input_json_delta", partial_json: text },
    }),
    after: [
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 2 } },
      { type: "message_stop" },
    ],
  },
  gemini: {
    before: [],
    fragment: (text) => parts([{ text, thought: true }]),
    after: [parts([{ functionCall: { name: "look", args: {} } }], { finishReason: "STOP" })],
  },
  "bedrock-converse": {
    before: [
      { event: "messageStart", role: "assistant" },
      {
        event: "contentBlockStart",
        contentBlockIndex: 0,
        start: { toolUse: { toolUseId: "tooluse_1", name: "look" } },
      },
    ],
    fragment: (input) => ({ event: "contentBlockDelta", contentBlockIndex: 0, delta: { toolUse: { input } } }),
    after: [
      { event: "contentBlockStop", contentBlockIndex: 0 },
      { event: "messageStop", stopReason: "tool_use" },
      { event: "metadata", usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 } },
    ],
  },
  "cohere-chat": {
    before: [cohere("tool-call-start", { id: "call_1", type: "function", function: { name: "look", arguments: "" } })],
    fragment: (text) => cohere("tool-call-delta", { function: { arguments: text } }),
    after: [
      { type: "tool-call-end", index: 0 },
      { type: "message-end", delta: { finish_reason: "TOOL_CALL", usage: { tokens: { input_tokens: 1 } } } },
    ],
  },
};

const made = new Map<string, WireEvent[]>();

function wireEvents(wire: Wire, bytes: number): WireEvent[] {
  const known = made.get(`${wire} ${bytes}`);
  if (known !== undefined) return known;
  const { before, fragment, after } = STREAMS[wire];
  const fragments = Array.from(argumentsOf(bytes), fragment);
  const events = [...before, ...fragments, ...after].map(({ done, ...data }) => {
    return {
      event: String(data.event ?? data.type ?? ""),
      data: typeof done === "string" ? done : JSON.stringify(data),
    };
  });
  made.set(`${wire} ${bytes}`, events);
  return events;
}

/** CPU time of this thread alone, in ms: others' work, and waiting for a core, are none of its doing. */
function threadMs(): number {
  try {
    // proc_pid_schedstat(5): nanoseconds on a core come first.
    return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ", 1)[0]) / 1_000_000;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  }
}

/** CPU time of one translation in ms; throws when the stream did not come to a good end. */
function cost(client: Client, wire: Wire, events: readonly WireEvent[]): number {
  const translation = translated(client, wire, json(`${client}/tools.json`), true);
  const encoder = clientCodecOf(client).streamEncoder(contextOf(translation), new LossList());
  const begun = threadMs();
  const decoder = streamDecoderOf(translation);
  let written = 0;
  let last = "";
  for (const event of events) {
    for (const meant of decoder.push(event)) written += encoder.push(meant).length;
  }
  for (const meant of decoder.finish()) {
    written += encoder.push(meant).length;
    last = meant.kind;
  }
  const spent = threadMs() - begun;
  if (last === "error") throw new Error("the stream broke");
  // Completions have no calls; everyone else was told every byte.
  if (client !== "openai-completions" && written < events.length * 20) throw new Error(`only ${written} written`);
  return spent;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] as number;
}

const PAIRS = 3;
const MOST_PAIRS = 9;

/**
 * How much more the double costs. Both sizes are measured in turn, so that what disturbs the machine disturbs both;
 * where they still seem far apart, more pairs are measured: work that grows with the square never comes below.
 */
function growth(client: Client, wire: Wire): { readonly whole: number; readonly ratio: number } {
  const halves: number[] = [];
  const wholes: number[] = [];
  for (;;) {
    halves.push(cost(client, wire, wireEvents(wire, 50_000)));
    wholes.push(cost(client, wire, wireEvents(wire, 100_000)));
    const whole = median(wholes);
    const ratio = whole / Math.max(median(halves), 5);
    const enough = ratio < 3 && whole < 2_000 ? PAIRS : MOST_PAIRS;
    if (halves.length >= enough) return { whole, ratio };
  }
}

describe.each(CLIENTS)("arguments in fragments of one character, for %s callers", (client) => {
  it.each(Object.keys(STREAMS) as Wire[])("from %s", (wire) => {
    const { whole, ratio } = growth(client, wire);
    expect(whole).toBeLessThan(2_000);
    expect(ratio).toBeLessThan(3);
  });
});
