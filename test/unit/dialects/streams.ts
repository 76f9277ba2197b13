/** Streams for the tests: what each dialect sends, as frames without a decision on line ends. */
import type { DialectId, RequestView } from "../../../src/dialects/dialect.js";
import { dialectOf } from "../../../src/dialects/registry.js";
import { StreamTap } from "../../../src/dialects/stream-tap.js";
import { UsageTally } from "../../../src/dialects/usage-tally.js";

export function viewOf(usageAsked: boolean): RequestView {
  return { model: "m", modelSpan: null, stream: true, usageAsked, streamOptionsSpan: null, maxOutputTokens: -1 };
}

export interface Outcome {
  readonly output: string;
  readonly tally: UsageTally;
  readonly terminal: boolean;
  readonly failed: boolean;
  readonly oversize: boolean;
}

export interface TapOptions {
  readonly dialect?: DialectId;
  readonly usageAsked?: boolean;
  readonly maxEventBytes?: number;
}

/** Runs batches through a tap and gathers everything that can be seen of it. */
export function runTap(batches: readonly Buffer[], options: TapOptions = {}): Outcome {
  const tally = new UsageTally();
  const dialect = dialectOf(options.dialect ?? "openai-chat");
  const observer = dialect.streamObserver(viewOf(options.usageAsked ?? true), tally);
  const tap = new StreamTap(observer, options.maxEventBytes ?? 1 << 20);
  const out: Buffer[] = [];
  for (const batch of batches) {
    const ready = tap.push(batch);
    if (ready !== null) out.push(Buffer.from(ready));
  }
  const rest = tap.end();
  if (rest !== null) out.push(Buffer.from(rest));
  const { terminal, failed, oversize } = tap;
  return { output: Buffer.concat(out).toString("latin1"), tally, terminal, failed, oversize };
}

/** A frame of the chat family. */
export function chunk(fields: Readonly<Record<string, unknown>>): string {
  return `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", model: "up-1", ...fields })}`;
}

export function choice(delta: Readonly<Record<string, unknown>>, finish: string | null): Record<string, unknown> {
  return { index: 0, delta, logprobs: null, finish_reason: finish };
}

export const CHAT_USAGE = {
  prompt_tokens: 12,
  completion_tokens: 34,
  total_tokens: 46,
  prompt_tokens_details: { cached_tokens: 5, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 7 },
};

export const CHAT_FRAMES = [
  ": hello",
  chunk({ choices: [choice({ role: "assistant", content: "" }, null)], usage: null }),
  chunk({ choices: [choice({ content: 'say "usage":{ and "error":"x" é😀' }, null)], usage: null }),
  chunk({ choices: [choice({ content: "[DONE]" }, null)] }),
  chunk({ choices: [choice({}, "stop")], usage: null }),
  chunk({ choices: [], usage: CHAT_USAGE }),
  "data: [DONE]",
];

export const MESSAGES_FRAMES = [
  `event: message_start\ndata: ${JSON.stringify({
    type: "message_start",
    message: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "up-2",
      content: [],
      usage: { input_tokens: 10, cache_creation_input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 1 },
    },
  })}`,
  'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
  'event: ping\ndata: {"type": "ping"}',
  'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi é"}}',
  'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
  'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":25}}',
  'event: message_stop\ndata: {"type":"message_stop"}',
];

export const RESPONSE = {
  id: "resp_1",
  object: "response",
  status: "completed",
  error: null,
  incomplete_details: null,
  model: "up-3",
  output: [{ type: "message", content: [{ type: "output_text", text: 'Hi "usage":{' }] }],
  usage: {
    input_tokens: 20,
    input_tokens_details: { cached_tokens: 8 },
    output_tokens: 9,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 29,
  },
};

export function responsesFrames(type: string, response: Readonly<Record<string, unknown>>): string[] {
  const frame = (event: Readonly<Record<string, unknown>>) => `event: ${event.type}\ndata: ${JSON.stringify(event)}`;
  const started = { ...RESPONSE, status: "in_progress", output: [], usage: null };
  return [
    frame({ type: "response.created", sequence_number: 0, response: started }),
    frame({ type: "response.in_progress", sequence_number: 1, response: started }),
    frame({ type: "response.output_text.delta", sequence_number: 2, item_id: "msg_1", delta: "Hi é", logprobs: [] }),
    frame({ type, sequence_number: 3, response }),
  ];
}
