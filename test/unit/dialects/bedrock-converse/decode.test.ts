import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AnswerBlock, foldAnswer, type FoldedAnswer } from "../../../../src/dialects/answer-fold.js";
import { targetCodec } from "../../../../src/dialects/bedrock-converse/codec.js";
import { DecodeError, type EncodedRequest, type WireEvent } from "../../../../src/dialects/codec.js";
import type { AnswerEvent, JsonObject } from "../../../../src/dialects/semantic.js";
import { EventStreamDecoder } from "../../../../src/providers/framing/event-stream.js";
import { eventFrame, exceptionFrame } from "../../providers/framing/frames.js";
import { encode, text, tool, turn } from "./requests.js";
import { readBySdk, sentBySdk, streamBySdk } from "./sdk.js";

type Stream = readonly (readonly [string, JsonObject])[];

const FULL = JSON.parse(
  readFileSync(new URL("../../../fixtures/bedrock-converse/full.json", import.meta.url), "utf8"),
) as { readonly answer: JsonObject; readonly stream: Stream };

const PLAIN: EncodedRequest = { body: {}, renamed: new Map(), formatTool: "", headers: [] };

function wire(stream: Stream): WireEvent[] {
  return stream.map(([event, payload]) => ({ event, data: JSON.stringify(payload) }));
}

function decodeStream(events: readonly WireEvent[], encoded: EncodedRequest = PLAIN): AnswerEvent[] {
  const decoder = targetCodec.streamDecoder(encoded);
  const answer = events.flatMap((event) => [...decoder.push(event)]);
  return [...answer, ...decoder.finish()];
}

function delta(index: number, value: JsonObject): readonly [string, JsonObject] {
  return ["contentBlockDelta", { contentBlockIndex: index, delta: value }];
}

function callStart(index: number, id: string, name: string): readonly [string, JsonObject] {
  return ["contentBlockStart", { contentBlockIndex: index, start: { toolUse: { toolUseId: id, name } } }];
}

function stopOf(index: number): readonly [string, JsonObject] {
  return ["contentBlockStop", { contentBlockIndex: index }];
}

const END: Stream = [
  ["messageStop", { stopReason: "tool_use" }],
  ["metadata", { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 }, metrics: { latencyMs: 1 } }],
];

/** Blocks may never overlap, and nothing follows the end. */
function expectWellFormed(events: readonly AnswerEvent[]): void {
  let open = false;
  for (const [at, { kind }] of events.entries()) {
    if (kind === "block_stop") open = false;
    else if (kind.endsWith("_start")) {
      expect(open, `event ${at}`).toBe(false);
      open = true;
    } else if (["text", "thinking", "arguments", "signature", "encrypted", "annotation"].includes(kind)) {
      expect(open, `event ${at}`).toBe(true);
    } else if (kind === "stop" || kind === "media" || kind === "foreign") expect(open, `event ${at}`).toBe(false);
  }
  expect(events.filter(({ kind }) => kind === "end" || kind === "error")).toHaveLength(1);
  expect(["end", "error"]).toContain(events.at(-1)?.kind);
}

/** Arguments compared by what they mean. */
function comparable(answer: FoldedAnswer): FoldedAnswer {
  const block = (one: AnswerBlock): AnswerBlock =>
    one.kind === "tool_call" ? { ...one, arguments: JSON.stringify(JSON.parse(one.arguments)) } : one;
  return { ...answer, choices: answer.choices.map((choice) => ({ ...choice, blocks: choice.blocks.map(block) })) };
}

describe("a whole answer", () => {
  it("keeps every block, in order", () => {
    const events = targetCodec.decodeAnswer(FULL.answer, PLAIN);
    expectWellFormed(events);
    const answer = foldAnswer(events);
    expect(answer.usage).toEqual({ input: 115, output: 20, cacheRead: 100, cacheWrite: 5, reasoning: -1 });
    expect(answer.choices[0]).toMatchObject({
      stop: "tool_calls",
      native: "tool_use",
      blocks: [
        { kind: "thinking", text: "Two tools will do.", signature: "c2lnbmF0dXJl", origin: "bedrock-converse" },
        { kind: "thinking", text: "", encrypted: "cmVkYWN0ZWQ=" },
        { kind: "text", text: "Let me look. größer 🙂" },
        { kind: "tool_call", id: "tooluse_1", name: "weather", arguments: '{"city":"Kyōto","days":2}' },
        { kind: "tool_call", id: "tooluse_2", name: "clock", arguments: "{}" },
        {
          kind: "text",
          text: "It rains.",
          annotations: [{ kind: "document", title: "Forecast", citedText: "rain all day" }],
        },
      ],
    });
  });

  it("is one that the vendor's SDK reads too", async () => {
    const read = await readBySdk(FULL.answer);
    expect(read.output?.message?.content).toHaveLength(6);
    expect(await sentBySdk({ messages: [], bogus: 1 })).not.toHaveProperty("bogus");
  });

  it.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop_sequence"],
    ["tool_use", "tool_calls"],
    ["max_tokens", "length"],
    ["model_context_window_exceeded", "length"],
    ["content_filtered", "content_filter"],
    ["guardrail_intervened", "content_filter"],
    ["malformed_tool_use", "error"],
    ["something_new", "stop"],
  ])("ends with %s as %s", (native, reason) => {
    const body = { output: { message: { content: [{ text: "a" }] } }, stopReason: native };
    expect(foldAnswer(targetCodec.decodeAnswer(body, PLAIN)).choices[0]).toMatchObject({ stop: reason, native });
  });

  it("says which stop sequence it was", () => {
    const additionalModelResponseFields = { stop_sequence: "END" };
    const body = { output: { message: { content: [] } }, stopReason: "stop_sequence", additionalModelResponseFields };
    expect(foldAnswer(targetCodec.decodeAnswer(body, PLAIN)).choices[0]).toMatchObject({ sequence: "END" });
    const streamed = foldAnswer(
      decodeStream(
        wire([
          [
            "messageStop",
            { stopReason: "stop_sequence", additionalModelResponseFields: { delta: { stop_sequence: "END" } } },
          ],
        ]),
      ),
    );
    expect(streamed.choices[0]).toMatchObject({ stop: "stop_sequence", sequence: "END" });
  });

  it("of a model that calls tools and ends its turn asks for the tools", () => {
    const content = [{ toolUse: { toolUseId: "", name: "x", input: {} } }];
    const body = { output: { message: { content } }, stopReason: "end_turn" };
    expect(foldAnswer(targetCodec.decodeAnswer(body, PLAIN)).choices[0]).toMatchObject({
      stop: "tool_calls",
      blocks: [{ id: "tool_0" }],
    });
  });

  it("keeps images, and carries blocks it does not know", () => {
    const content = [
      { image: { format: "png", source: { bytes: "iVBO" } } },
      { futureBlock: { a: 1 } },
      { toolUse: { toolUseId: "s", name: "web", input: {}, type: "server_tool_use" } },
    ];
    const { choices } = foldAnswer(targetCodec.decodeAnswer({ output: { message: { content } } }, PLAIN));
    expect(choices[0]?.blocks).toMatchObject([
      { kind: "image", source: { data: "iVBO", mediaType: "image/png" } },
      { kind: "foreign", wire: "bedrock-converse", type: "futureBlock", raw: content[1] },
      { kind: "foreign", type: "server_tool_use" },
    ]);
  });

  it("without a message means nothing", () => {
    for (const body of [{}, { output: {} }, { output: { message: { content: "text" } } }]) {
      expect(() => targetCodec.decodeAnswer(body as JsonObject, PLAIN)).toThrow(DecodeError);
    }
  });
});

describe("names", () => {
  it("are the caller's again, and the forced tool's arguments are the answer", () => {
    const renamed = encode({ tools: [tool("get.weather")] }).encoded;
    const named = foldAnswer(decodeStream(wire([callStart(0, "a", "get_weather"), stopOf(0), ...END]), renamed));
    expect(named.choices[0]?.blocks).toMatchObject([{ kind: "tool_call", name: "get.weather", arguments: "{}" }]);
    const format = {
      kind: "schema",
      name: "out",
      description: null,
      schema: { type: "object" },
      strict: null,
    } as const;
    const { encoded } = encode({ format, turns: [turn("user", text("a"))] }, { structuredOutput: "tool" });
    const stream = wire([
      callStart(0, "a", "out"),
      delta(0, { toolUse: { input: '{"a":' } }),
      delta(0, { toolUse: { input: "1}" } }),
      stopOf(0),
      ...END,
    ]);
    const streamed = foldAnswer(decodeStream(stream, encoded));
    expect(streamed.choices[0]).toMatchObject({ stop: "stop", blocks: [{ kind: "text", text: '{"a":1}' }] });
    const content = [{ toolUse: { toolUseId: "a", name: "out", input: { a: 1 } } }];
    const whole = targetCodec.decodeAnswer({ output: { message: { content } }, stopReason: "tool_use" }, encoded);
    expect(foldAnswer(whole).choices).toEqual(streamed.choices);
  });
});

describe("a stream", () => {
  it("means what the whole answer means", () => {
    const events = decodeStream(wire(FULL.stream));
    expectWellFormed(events);
    expect(comparable(foldAnswer(events))).toEqual(
      comparable(foldAnswer(targetCodec.decodeAnswer(FULL.answer, PLAIN))),
    );
  });

  it("is read from its frames, split at every byte, as the vendor's SDK reads it", async () => {
    const bytes = Buffer.concat(FULL.stream.map(([event, payload]) => eventFrame(event, payload)));
    expect((await streamBySdk(bytes)).map((event) => Object.keys(event)[0])).toEqual(FULL.stream.map(([name]) => name));
    const expected = decodeStream(wire(FULL.stream));
    for (let at = 0; at <= bytes.length; at += 7) {
      const frames = new EventStreamDecoder();
      const events = [...frames.push(bytes.subarray(0, at)), ...frames.push(bytes.subarray(at))];
      expect(decodeStream(events)).toEqual(expected);
    }
  });

  it("says usage before the stop, though the wire says it after", () => {
    const kinds = decodeStream(wire([delta(0, { text: "a" }), stopOf(0), ...END])).map(({ kind }) => kind);
    expect(kinds).toEqual(["start", "text_start", "text", "block_stop", "usage", "stop", "end"]);
  });

  it("ends without usage when the wire says none", () => {
    const kinds = decodeStream(wire([delta(0, { text: "a" }), ["messageStop", { stopReason: "end_turn" }]])).map(
      ({ kind }) => kind,
    );
    expect(kinds).toEqual(["start", "text_start", "text", "block_stop", "stop", "end"]);
  });

  it("that ends too early is an error, and no success", () => {
    const events = decodeStream(wire([delta(0, { text: "a" })]));
    expect(events.at(-1)).toMatchObject({ kind: "error", error: { status: 502 } });
    expect(events.some(({ kind }) => kind === "end" || kind === "stop")).toBe(false);
  });

  it.each([
    ["throttlingException", 429, "ThrottlingException"],
    ["modelStreamErrorException", 424, "ModelStreamErrorException"],
    ["validationException", 400, "ValidationException"],
    ["serviceUnavailableException", 503, "ServiceUnavailableException"],
    ["internalServerException", 500, "InternalServerException"],
  ])("broken off by %s is an error", (exception, status, type) => {
    const frames = new EventStreamDecoder().push(
      Buffer.concat([eventFrame("messageStart", { role: "assistant" }), exceptionFrame(exception, { message: "why" })]),
    );
    const events = decodeStream([...frames, ...wire(END)]);
    expect(events.at(-1)).toEqual({ kind: "error", error: { status, type, code: null, message: "why" } });
  });

  it("passes the first block on as it comes, and holds interleaved ones back", () => {
    const decoder = targetCodec.streamDecoder(PLAIN);
    const [first, second, one, two, three] = wire([
      callStart(0, "a", "x"),
      callStart(1, "b", "y"),
      delta(1, { toolUse: { input: '{"b":1}' } }),
      delta(0, { toolUse: { input: '{"a":1}' } }),
      stopOf(1),
    ]) as [WireEvent, WireEvent, WireEvent, WireEvent, WireEvent];
    expect(decoder.push(first).map(({ kind }) => kind)).toEqual(["start", "tool_start"]);
    expect(decoder.push(second)).toEqual([]);
    expect(decoder.push(one)).toEqual([]);
    expect(decoder.push(two)).toEqual([{ kind: "arguments", text: '{"a":1}' }]);
    expect(decoder.push(three)).toEqual([]);
    const [stop] = wire([stopOf(0)]) as [WireEvent];
    expect(decoder.push(stop).map(({ kind }) => kind)).toEqual(["block_stop", "tool_start", "arguments", "block_stop"]);
  });

  it("takes arguments before the name, whole arguments at once, and none", () => {
    const stream: Stream = [
      delta(0, { toolUse: { input: '{"a"' } }),
      callStart(0, "a", "x"),
      delta(0, { toolUse: { input: ":1}" } }),
      stopOf(0),
      callStart(1, "", "y"),
      stopOf(1),
      ...END,
    ];
    const events = decodeStream(wire(stream));
    expectWellFormed(events);
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { id: "a", name: "x", arguments: '{"a":1}' },
      { id: "tool_1", name: "y", arguments: "{}" },
    ]);
  });

  it("carries events and blocks it does not know", () => {
    const start = { contentBlockIndex: 0, start: { toolResult: { toolUseId: "a", type: "web_search_result" } } };
    const events = decodeStream([
      { event: "futureEvent", data: "not json" },
      ...wire([["contentBlockStart", start], delta(0, { toolResult: [{ text: "x" }] as never }), stopOf(0), ...END]),
    ]);
    expectWellFormed(events);
    expect(events).toContainEqual(
      expect.objectContaining({
        block: expect.objectContaining({ type: "web_search_result", wire: "bedrock-converse" }),
      }),
    );
  });

  it("whose payload is no JSON object means nothing", () => {
    const decoder = targetCodec.streamDecoder(PLAIN);
    expect(() => decoder.push({ event: "contentBlockDelta", data: "[" })).toThrow(DecodeError);
  });

  it("costs time linear in the size of a call's arguments", () => {
    const seconds = (size: number): number => {
      const decoder = targetCodec.streamDecoder(PLAIN);
      for (const event of wire([callStart(0, "a", "x")])) decoder.push(event);
      const [fragment] = wire([delta(0, { toolUse: { input: "1" } })]) as [WireEvent];
      const began = performance.now();
      for (let at = 0; at < size; at++) decoder.push(fragment);
      return performance.now() - began;
    };
    seconds(20_000);
    expect(seconds(100_000)).toBeLessThan(20 * Math.max(seconds(20_000), 10));
  });
});

type Part = { readonly block: JsonObject; readonly pieces: readonly JsonObject[]; readonly start: JsonObject | null };

const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });

function cut(said: string, parts: number): string[] {
  const size = Math.max(1, Math.ceil(said.length / parts));
  return Array.from({ length: Math.ceil(said.length / size) }, (_, at) => said.slice(at * size, (at + 1) * size));
}

const part: fc.Arbitrary<Part> = fc.oneof(
  fc.tuple(words, fc.integer({ min: 1, max: 5 })).map(([said, parts]) => ({
    block: { text: said },
    pieces: cut(said, parts).map((piece) => ({ text: piece })),
    start: null,
  })),
  fc.tuple(words, words).map(([said, signature]) => ({
    block: { reasoningContent: { reasoningText: { text: said, signature } } },
    pieces: [{ reasoningContent: { text: said } }, { reasoningContent: { signature } }],
    start: null,
  })),
  fc.uint8Array({ minLength: 1, maxLength: 9 }).map((bytes) => {
    const redactedContent = Buffer.from(bytes).toString("base64");
    return {
      block: { reasoningContent: { redactedContent } },
      pieces: [{ reasoningContent: { redactedContent } }],
      start: null,
    };
  }),
  fc
    .tuple(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })), fc.integer({ min: 1, max: 9 }))
    .map(([object, parts]) => {
      const input = JSON.parse(JSON.stringify(object)) as JsonObject;
      const call = { toolUseId: "id", name: "x" };
      const pieces = Object.keys(input).length === 0 ? [] : cut(JSON.stringify(input), parts);
      return {
        block: { toolUse: { ...call, input } },
        pieces: pieces.map((piece) => ({ toolUse: { input: piece } })),
        start: { toolUse: call },
      };
    }),
);

describe("any answer", () => {
  it("means the same whole and streamed, its blocks interleaved or not", () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.infiniteStream(fc.nat()), (parts, dice) => {
        const queues = parts.map(({ pieces, start }, index) => [
          ...(start === null ? [] : [["contentBlockStart", { contentBlockIndex: index, start }] as const]),
          ...pieces.map((piece) => delta(index, piece)),
          stopOf(index),
        ]);
        // Blocks appear in order; what follows their first event comes in any order.
        const stream: (readonly [string, JsonObject])[] = queues.flatMap((queue) => queue.splice(0, 1));
        const numbers = dice[Symbol.iterator]();
        for (let left = queues.filter(({ length }) => length > 0); left.length > 0; ) {
          const queue = left[(numbers.next().value as number) % left.length];
          stream.push(queue?.shift() as readonly [string, JsonObject]);
          left = left.filter(({ length }) => length > 0);
        }
        const events = decodeStream(wire([...stream, ...END]));
        expectWellFormed(events);
        const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 3 };
        const content = parts.map(({ block }) => block);
        const whole = { output: { message: { role: "assistant", content } }, stopReason: "tool_use", usage };
        expect(comparable(foldAnswer(events))).toEqual(comparable(foldAnswer(targetCodec.decodeAnswer(whole, PLAIN))));
      }),
      { numRuns: 200 },
    );
  });
});

describe("error answers", () => {
  it("have the type of the header, the body or the status, in this order", () => {
    const { decodeError } = targetCodec;
    const body = { __type: "com.amazonaws.bedrock#ValidationException", message: "bad" };
    expect(decodeError(429, body, "", "ThrottlingException:http://internal.amazon.com/coral/")).toEqual({
      status: 429,
      type: "ThrottlingException",
      code: null,
      message: "bad",
    });
    expect(decodeError(400, body, "")).toMatchObject({ type: "ValidationException" });
    expect(decodeError(403, { Message: "no" }, "")).toMatchObject({ type: "AccessDeniedException", message: "no" });
    expect(decodeError(418, null, " teapot ")).toMatchObject({ type: "UnknownException", message: "teapot" });
    expect(decodeError(500, null, "")).toMatchObject({ message: "The upstream answered with status 500." });
    expect(decodeError(400, { __type: "bad type\r\nx: y" }, "").type).toBe("ValidationException");
  });
});
