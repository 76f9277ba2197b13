import { readFileSync } from "node:fs";
import { CohereClientV2 } from "cohere-ai";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { targetCodec } from "../../../../src/dialects/cohere-chat/codec.js";
import { DecodeError, type EncodedRequest } from "../../../../src/dialects/codec.js";
import type { AnswerEvent, JsonObject } from "../../../../src/dialects/semantic.js";
import { assertOrder, assistant, encode, NOTHING_ENCODED, stream, tool } from "../gemini/semantic.js";

const read = (name: string) =>
  (
    JSON.parse(readFileSync(new URL(`../../../fixtures/cohere-chat/${name}.json`, import.meta.url), "utf8")) as {
      events: JsonObject[];
    }
  ).events;
const TOOLS = read("stream-tools");
const CITATIONS = read("stream-citations");

const whole = (body: JsonObject, encoded: EncodedRequest = NOTHING_ENCODED) => {
  const events = targetCodec.decodeAnswer(body, encoded);
  assertOrder(events);
  return foldAnswer(events);
};
const answer = (message: JsonObject, fields: JsonObject = {}): JsonObject => ({
  id: "m",
  finish_reason: "COMPLETE",
  message: { role: "assistant", ...message },
  ...fields,
});
const start = (index: number, id: string, name: string, said = "") => ({
  type: "tool-call-start",
  index,
  delta: { message: { tool_calls: { id, type: "function", function: { name, arguments: said } } } },
});
const delta = (index: number, said: string) => ({
  type: "tool-call-delta",
  index,
  delta: { message: { tool_calls: { function: { arguments: said } } } },
});
const end = (reason = "COMPLETE", usage?: JsonObject) => ({
  type: "message-end",
  delta: { finish_reason: reason, usage },
});

describe("cohere-chat streams", () => {
  it("reads a plan and calls", () => {
    const events = stream(targetCodec, TOOLS);
    assertOrder(events);
    const folded = foldAnswer(events);
    expect(folded.id).toBe("m-1");
    expect(folded.usage).toEqual({ input: 50, output: 9, cacheRead: 16, cacheWrite: -1, reasoning: -1 });
    expect(folded.choices[0]).toMatchObject({
      stop: "tool_calls",
      native: "TOOL_CALL",
      blocks: [
        { kind: "thinking", text: "I will look.", id: "tool_plan", origin: "cohere-chat" },
        { kind: "tool_call", id: "t0", name: "weather", arguments: '{"city":"Rome"}' },
        { kind: "tool_call", id: "t1", name: "now", arguments: "{}" },
      ],
    });
    const sent = encode(targetCodec, "m", { turns: [assistant(...(folded.choices[0]?.blocks ?? []))] });
    expect(sent.body.messages).toMatchObject([{ tool_plan: "I will look.", tool_calls: [{ id: "t0" }, { id: "t1" }] }]);
    expect(sent.losses).toEqual([]);
  });

  it("reads thinking, text and citations that come after the text's end", () => {
    const events = stream(targetCodec, CITATIONS);
    assertOrder(events);
    expect(foldAnswer(events).choices[0]).toMatchObject({
      stop: "stop",
      blocks: [
        { kind: "thinking", text: "Penguins, then.", id: "" },
        {
          kind: "text",
          text: "The emperor is tallest.",
          annotations: [{ kind: "document", title: "Birds", citedText: "emperor", start: 4, end: 11 }],
        },
      ],
    });
  });

  it("agrees with the vendor's own client about the recorded streams", async () => {
    for (const events of [TOOLS, CITATIONS]) {
      const wire = events.map((event) => `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`).join("");
      const fetched = async () => new Response(wire, { headers: { "content-type": "text/event-stream" } });
      const client = new CohereClientV2({ token: "t", fetch: fetched as never });
      const seen = { text: "", thinking: "", plan: "", calls: new Map<number, string>(), finish: "" };
      for await (const event of await client.chatStream({ model: "m", messages: [] })) {
        if (event.type === "content-delta") seen.text += event.delta?.message?.content?.text ?? "";
        if (event.type === "content-delta") seen.thinking += event.delta?.message?.content?.thinking ?? "";
        if (event.type === "tool-plan-delta") seen.plan += event.delta?.message?.toolPlan ?? "";
        if (event.type === "tool-call-start") seen.calls.set(event.index ?? 0, "");
        if (event.type === "tool-call-delta") {
          const at = event.index ?? 0;
          seen.calls.set(at, (seen.calls.get(at) ?? "") + (event.delta?.message?.toolCalls?.function?.arguments ?? ""));
        }
        if (event.type === "message-end") seen.finish = event.delta?.finishReason ?? "";
      }
      const choice = foldAnswer(stream(targetCodec, events)).choices[0];
      const texts = (kind: "text" | "thinking", id = "") =>
        (choice?.blocks ?? [])
          .map((block) => (block.kind === kind && (!("id" in block) || block.id === id) ? block.text : ""))
          .join("");
      const calls = (choice?.blocks ?? []).flatMap((block) => (block.kind === "tool_call" ? [block.arguments] : []));
      expect(seen.text).toBe(texts("text"));
      expect(seen.thinking).toBe(texts("thinking"));
      expect(seen.plan).toBe(texts("thinking", "tool_plan"));
      expect([...seen.calls.values()].map((said) => said || "{}")).toEqual(calls);
      expect(seen.finish).toBe(choice?.native);
    }
  });

  it("puts calls that come interleaved one after another, the first as it comes", () => {
    const events = stream(targetCodec, [
      start(0, "a", "f"),
      start(1, "b", "g"),
      delta(1, '{"x":'),
      delta(0, "{"),
      delta(1, "1}"),
      { type: "tool-call-end", index: 1 },
      delta(0, "}"),
      { type: "tool-call-end", index: 0 },
      end("TOOL_CALL"),
    ]);
    assertOrder(events);
    expect(events.slice(0, 4).map((event) => event.kind)).toEqual(["start", "tool_start", "arguments", "arguments"]);
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { id: "a", arguments: "{}" },
      { id: "b", arguments: '{"x":1}' },
    ]);
  });

  it("takes arguments before the name, whole arguments at once, calls without an id or an end", () => {
    const events = stream(targetCodec, [
      delta(0, '{"x"'),
      start(0, "", "f", ":1}"),
      start(1, "", "g", "{}"),
      end("TOOL_CALL"),
    ]);
    assertOrder(events);
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { id: "call_unnamed_0_0", name: "f", arguments: '{"x":1}' },
      { id: "call_unnamed_0_1", name: "g", arguments: "{}" },
    ]);
  });

  it("gives changed names back, and the format tool's arguments as text", () => {
    const encoded = { ...NOTHING_ENCODED, renamed: new Map([["a_b", "a-b"]]), formatTool: "out" };
    const events = stream(
      targetCodec,
      [start(0, "i", "out"), delta(0, '{"x"'), delta(0, ":1}"), { type: "tool-call-end", index: 0 }, end("TOOL_CALL")],
      encoded,
    );
    expect(foldAnswer(events).choices[0]).toMatchObject({ stop: "stop", blocks: [{ kind: "text", text: '{"x":1}' }] });
    const named = foldAnswer(stream(targetCodec, [start(0, "i", "a_b"), end("TOOL_CALL")], encoded));
    expect(named.choices[0]).toMatchObject({ stop: "tool_calls", blocks: [{ name: "a-b" }] });
  });

  it("is an error when it ends early, when it says so, and in an error frame", () => {
    expect(stream(targetCodec, TOOLS.slice(0, 5)).at(-1)).toMatchObject({ kind: "error", error: { status: 502 } });
    const failed = { type: "message-end", delta: { finish_reason: "ERROR", error: "model broke" } };
    expect(stream(targetCodec, [TOOLS[0], failed, end()]).at(-1)).toMatchObject({
      kind: "error",
      error: { message: "model broke" },
    });
    expect(stream(targetCodec, [TOOLS[0], { message: "too many" }]).at(-1)).toMatchObject({
      kind: "error",
      error: { message: "too many" },
    });
    expect(() => targetCodec.streamDecoder(NOTHING_ENCODED).push({ event: "", data: "x" })).toThrow(DecodeError);
  });

  it("passes over events it does not know, and reads the type from the event's name", () => {
    const decoder = targetCodec.streamDecoder(NOTHING_ENCODED);
    expect(decoder.push({ event: "debug", data: "{}" })).toEqual([]);
    const events = decoder.push({ event: "content-delta", data: '{"delta":{"message":{"content":{"text":"a"}}}}' });
    expect(events.map((event) => event.kind)).toEqual(["start", "text_start", "text"]);
  });

  it("takes a call of 100,000 pieces in linear time", () => {
    const time = (count: number) => {
      const decoder = targetCodec.streamDecoder(NOTHING_ENCODED);
      decoder.push({ event: "", data: JSON.stringify(start(0, "a", "f")) });
      decoder.push({ event: "", data: JSON.stringify(start(1, "b", "g")) });
      const pieces = [0, 1].map((index) => ({ event: "", data: JSON.stringify(delta(index, "x")) }));
      const events: AnswerEvent[] = [];
      const began = process.cpuUsage().user;
      for (let at = 0; at < count; at++) for (const piece of pieces) events.push(...decoder.push(piece));
      events.push(...decoder.push({ event: "", data: JSON.stringify(end("TOOL_CALL")) }));
      const spent = process.cpuUsage().user - began;
      expect(events.filter((event) => event.kind === "arguments")).toHaveLength(2 * count);
      return spent;
    };
    time(5_000);
    expect(time(50_000)).toBeLessThan(Math.max(time(5_000), 5_000) * 10 * 4);
  });
});

describe("cohere-chat whole answers", () => {
  it.each([
    ["COMPLETE", "stop"],
    ["STOP_SEQUENCE", "stop_sequence"],
    ["MAX_TOKENS", "length"],
    ["ERROR", "error"],
    ["TIMEOUT", "error"],
    ["ERROR_TOXIC", "content_filter"],
  ])("reads the finish reason %s", (finish_reason, stop) => {
    expect(whole(answer({ content: [{ type: "text", text: "x" }] }, { finish_reason })).choices[0]).toMatchObject({
      stop,
      native: finish_reason,
    });
  });

  it("reads everything a message holds", () => {
    const plan = { text: "look", type: "PLAN", start: 0, end: 4 };
    const url = {
      text: "a",
      type: "TEXT_CONTENT",
      sources: [{ type: "tool", id: "t", tool_output: { url: "https://a.example", title: "A" } }],
    };
    const lost = { text: "?", content_index: 9 };
    const folded = whole(
      answer(
        {
          tool_plan: "look",
          content: [
            { type: "thinking", thinking: "t" },
            { type: "text", text: "a" },
          ],
          tool_calls: [{ id: "i", type: "function", function: { name: "f" } }],
          citations: [plan, url, lost],
        },
        {
          finish_reason: "TOOL_CALL",
          usage: { billed_units: { input_tokens: 3, output_tokens: 4 } },
          logprobs: [{ text: "ab", token_ids: [1, 2], logprobs: [-1, -2] }],
        },
      ),
    );
    expect(folded.choices[0]).toMatchObject({
      stop: "tool_calls",
      blocks: [
        { kind: "thinking", id: "tool_plan" },
        { kind: "thinking", id: "", text: "t" },
        { kind: "text", text: "a", annotations: [{ kind: "url", url: "https://a.example", title: "A" }] },
        { kind: "tool_call", arguments: "{}" },
        { kind: "foreign", type: "citation", raw: plan },
        { kind: "foreign", type: "citation", raw: lost },
      ],
      logprobs: { content: [{ token: "ab", logprob: -3 }] },
    });
    expect(folded.usage).toMatchObject({ input: 3, output: 4, cacheRead: -1 });
  });

  it("refuses what is no answer, and reads error bodies", () => {
    expect(() => targetCodec.decodeAnswer({ message: "no" }, NOTHING_ENCODED)).toThrow(DecodeError);
    expect(targetCodec.decodeError(429, { message: "slow down", id: "e" }, "")).toEqual({
      status: 429,
      type: "rate_limit_error",
      code: null,
      message: "slow down",
    });
    expect(targetCodec.decodeError(502, null, "<b>")).toMatchObject({ type: "api_error", message: "<b>" });
    expect(targetCodec.decodeError(500, null, "")).toMatchObject({ message: "HTTP status 500" });
  });
});

describe("cohere-chat streams fold to whole answers", () => {
  const item = fc.record({ type: fc.constantFrom("text", "thinking"), said: fc.string() });
  const called = fc.record({
    id: fc.constantFrom("", "i"),
    name: fc.constantFrom("f", "out"),
    said: fc.constantFrom("", "{}", '{"x":1}'),
  });

  it("whatever they hold and however the pieces are cut", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.array(item, { maxLength: 4 }),
        fc.array(called, { maxLength: 4 }),
        fc.nat(9),
        (plan, items, calls, cut) => {
          const encoded = encode(targetCodec, "m", { tools: [tool("f")] });
          const usage = { tokens: { input_tokens: 1, output_tokens: 2 } };
          const events: unknown[] = [{ type: "message-start", id: "m", delta: {} }];
          for (const piece of [plan.slice(0, cut), plan.slice(cut)])
            events.push({ type: "tool-plan-delta", delta: { message: { tool_plan: piece } } });
          for (const [index, { type, said }] of items.entries()) {
            events.push({
              type: "content-start",
              index,
              delta: { message: { content: { type, [type]: said.slice(0, cut) } } },
            });
            events.push({ type: "content-delta", index, delta: { message: { content: { [type]: said.slice(cut) } } } });
            events.push({ type: "content-end", index });
          }
          for (const [index, { id, name, said }] of calls.entries()) {
            events.push(start(index, id, name, said.slice(0, cut)), delta(index, said.slice(cut)), {
              type: "tool-call-end",
              index,
            });
          }
          events.push(end("TOOL_CALL", usage));
          const message = {
            tool_plan: plan,
            content: items.map(({ type, said }) => ({ type, [type]: said })),
            tool_calls: calls.map(({ id, name, said }) => ({
              id,
              type: "function",
              function: { name, arguments: said },
            })),
          };
          const formed = { ...encoded, formatTool: "out" };
          const streamed = stream(targetCodec, events, formed);
          assertOrder(streamed);
          expect(foldAnswer(streamed)).toEqual(whole(answer(message, { finish_reason: "TOOL_CALL", usage }), formed));
        },
      ),
    );
  });
});
