/**
 * What do the dialects cost on the hot path? Microseconds per call, the best of nine rounds (the least disturbed):
 * `npx tsx bench/dialects.ts`.
 */
import type { DialectId, RequestView } from "../src/dialects/dialect.js";
import { scanTopLevel } from "../src/dialects/json-scan.js";
import { keyTable } from "../src/dialects/json-text.js";
import { dialectOf } from "../src/dialects/registry.js";
import { StreamTap } from "../src/dialects/stream-tap.js";
import { UsageTally } from "../src/dialects/usage-tally.js";

const ROUNDS = 9;
const ROUND_MS = 40;

function measure(name: string, job: () => unknown): void {
  for (let run = 0; run < 2000; run++) job();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    let runs = 0;
    while (performance.now() - begin < ROUND_MS) {
      for (let run = 0; run < 50; run++) job();
      runs += 50;
    }
    rounds.push(((performance.now() - begin) * 1000) / runs);
  }
  rounds.sort((a, b) => a - b);
  console.log(`${name.padEnd(56)} ${(rounds[0] as number).toFixed(2).padStart(9)} µs`);
}

const PROSE = "A long walk along the river in the evening light, and nobody to ask the way; ";
/** Text as tools and code have it: many escapes. The scan's slow case. */
const QUOTED = 'She said \\"no\\" to the third proposal,\\nand the room fell silent. ';

function body(bytes: number, modelFirst: boolean, sentence: string): Buffer {
  const tool = {
    type: "function",
    function: { name: "look_up", parameters: { type: "object", properties: { a: { type: "string" } } } },
  };
  const tools = JSON.stringify(Array.from({ length: Math.ceil(bytes / 9000) }, () => tool));
  const messages: string[] = [];
  let length = tools.length;
  while (length < bytes - 100) {
    const content = sentence.repeat(Math.max(1, Math.min(20, Math.floor((bytes - length - 100) / sentence.length))));
    messages.push(`{"role":"user","content":"${content}"}`);
    length += content.length + 30;
  }
  const rest = `"messages":[${messages.join(",")}],"tools":${tools},"temperature":0.7,"stream":true`;
  return Buffer.from(modelFirst ? `{"model":"gpt-4o-mini",${rest}}` : `{${rest},"model":"gpt-4o-mini"}`);
}

const KEYS = keyTable(["model", "max_completion_tokens", "max_tokens", "messages", "stream", "stream_options"]);
const chat = dialectOf("openai-chat");

for (const size of [1_000, 27_000, 150_000]) {
  for (const [kind, sentence] of Object.entries({ prose: PROSE, quoted: QUOTED })) {
    for (const first of kind === "prose" ? [true, false] : [false]) {
      const bytes = body(size, first, sentence);
      const name = `${Math.round(bytes.length / 1000)} KB of ${kind}, model ${first ? "first" : "last"}`;
      measure(`scan, ${name}`, () => scanTopLevel(bytes, KEYS));
      measure(`readRequest, ${name}`, () => chat.readRequest(bytes, "chat", null));
      const view = chat.readRequest(bytes, "chat", null) as RequestView;
      measure(`spliceRequest, ${name}`, () => chat.spliceRequest(bytes, view, "other-model"));
      if (!first) measure(`JSON.parse, ${name}`, () => JSON.parse(bytes.toString("utf8")));
    }
  }
}

const chatChunk = (fields: object) =>
  `data: ${JSON.stringify({
    id: "chatcmpl-ABCDEFGHIJ0123456789",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "gpt-4o-mini-2024-07-18",
    system_fingerprint: "fp_abc",
    ...fields,
  })}\n\n`;
const delta = (index: number) =>
  chatChunk({
    choices: [{ index: 0, delta: { content: ` token${index}` }, logprobs: null, finish_reason: null }],
    usage: null,
  });
const FIFTY = Array.from({ length: 50 }, (_, index) => index);
const STREAMS: Readonly<Partial<Record<DialectId, readonly string[]>>> = {
  "openai-chat": [
    ...FIFTY.map(delta),
    chatChunk({ choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }], usage: null }),
    chatChunk({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 50, total_tokens: 60 } }),
    "data: [DONE]\n\n",
  ],
  "anthropic-messages": [
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":10,"output_tokens":1}}}\n\n',
    ...FIFTY.map(
      (index) =>
        `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token${index}"}}\n\n`,
    ),
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":50}}\n\n',
    'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  ],
};

for (const [id, frames] of Object.entries(STREAMS)) {
  const dialect = dialectOf(id as DialectId);
  const whole = Buffer.from(frames.join(""));
  const single = frames.map((frame) => Buffer.from(frame));
  for (const usageAsked of [true, false]) {
    const view = {
      model: "m",
      modelSpan: null,
      stream: true,
      usageAsked,
      streamOptionsSpan: null,
      maxOutputTokens: -1,
    };
    const run = (batches: readonly Buffer[]) => {
      const tap = new StreamTap(dialect.streamObserver(view, new UsageTally()), 1 << 20);
      for (const batch of batches) tap.push(batch);
      tap.end();
      if (!tap.terminal) throw new Error("the terminator was not seen");
    };
    const name = `${id}, ${frames.length} frames, usage ${usageAsked ? "shown" : "hidden"}`;
    measure(`StreamTap, one batch, ${name}`, () => run([whole]));
    measure(`StreamTap, one by one, ${name}`, () => run(single));
  }
  const datas = frames.map((frame) => frame.slice(frame.indexOf("data: ") + 6)).filter((data) => data.startsWith("{"));
  measure(`JSON.parse of every frame, ${id}`, () => datas.map((data) => JSON.parse(data)));
}

const answer = Buffer.from(
  JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content: PROSE.repeat(15) }, finish_reason: "stop" }],
    usage: { prompt_tokens: 10, completion_tokens: 50, total_tokens: 60 },
  }),
);
measure(`answerObserver, ${answer.length} bytes`, () => {
  const observer = chat.answerObserver("chat", new UsageTally());
  observer.feed(answer);
  observer.finish();
});
const vectors = Buffer.from(
  JSON.stringify({
    object: "list",
    data: [{ embedding: Array.from({ length: 1536 }, (_, index) => Math.sin(index)) }],
    model: "e",
    usage: { prompt_tokens: 8, total_tokens: 8 },
  }),
);
measure(`answerObserver, embeddings of ${vectors.length} bytes`, () => {
  const observer = dialectOf("openai-embeddings").answerObserver("embeddings", new UsageTally());
  observer.feed(vectors);
  observer.finish();
});
