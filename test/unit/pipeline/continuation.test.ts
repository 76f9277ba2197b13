import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CHAT_DIALECT } from "../../../src/dialects/registry.js";
import type { AnswerEvent } from "../../../src/dialects/semantic.js";
import { Continuation } from "../../../src/pipeline/continuation.js";
import type { Exchange } from "../../../src/pipeline/exchange.js";

function begin(): Continuation {
  const body = Buffer.from(JSON.stringify({ model: "m", messages: [{ role: "user", content: "Say it." }] }));
  const route = { method: "POST", path: "/v1/chat/completions", operation: "chat", dialect: CHAT_DIALECT } as const;
  const view = CHAT_DIALECT.readRequest(body, "chat", null);
  // The continuation reads nothing else of an exchange.
  return new Continuation({ route, body, view } as unknown as Exchange);
}

const START: AnswerEvent = { kind: "start", id: "1", model: "m", created: 0 };

function textBlock(text: string): AnswerEvent[] {
  return [
    { kind: "text_start" },
    ...Array.from(text, (letter): AnswerEvent => ({ kind: "text", text: letter })),
    { kind: "block_stop" },
  ];
}

function thinkingBlock(text: string): AnswerEvent[] {
  return [{ kind: "thinking_start", id: "", origin: "" }, { kind: "thinking", text }, { kind: "block_stop" }];
}

function answer(...blocks: readonly AnswerEvent[][]): AnswerEvent[] {
  const usage = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
  const end: AnswerEvent[] = [
    { kind: "usage", usage },
    { kind: "stop", reason: "stop", sequence: null, native: "" },
    { kind: "end" },
  ];
  return [START, ...blocks.flat(), ...end];
}

/** What the caller is told must be one answer: one start, blocks that never overlap, one stop, one end. */
function textOfOne(events: readonly AnswerEvent[]): string {
  let open = false;
  let text = "";
  const kinds = events.map(({ kind }) => kind);
  for (const event of events) {
    const { kind } = event;
    if (kind.endsWith("_start")) {
      expect(open).toBe(false);
      open = true;
    } else if (kind === "block_stop") {
      expect(open).toBe(true);
      open = false;
    } else if (kind === "text" || kind === "thinking") expect(open).toBe(true);
    else if (kind !== "usage") expect(open).toBe(false);
    if (kind === "text") text += event.text;
  }
  expect(kinds.filter((kind) => kind === "start" || kind === "stop" || kind === "end")).toEqual([
    "start",
    "stop",
    "end",
  ]);
  expect([kinds[0], kinds.at(-1)]).toEqual(["start", "end"]);
  return text;
}

const WHOLE = "level";
const blocks = fc.tuple(fc.constantFrom("", "hm"), fc.constantFrom("", "well"));

function blocksFor(text: string, [before, after]: readonly [string, string]): AnswerEvent[][] {
  return [
    ...(before === "" ? [] : [thinkingBlock(before)]),
    ...(text === "" ? [] : [textBlock(text)]),
    ...(after === "" || text !== "" ? [] : [thinkingBlock(after)]),
  ];
}

describe("a stream that is broken anywhere, any number of times", () => {
  it("is one whole answer to its caller", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(blocks, fc.nat(14)), { maxLength: 4 }), blocks, (attempts, last) => {
        const continuation = begin();
        const told: AnswerEvent[] = [];
        const said = () => told.map((event) => (event.kind === "text" ? event.text : "")).join("");
        for (const [shape, cut] of attempts) {
          const events = answer(...blocksFor(WHOLE.slice(said().length), shape));
          for (const event of events.slice(0, cut)) told.push(...continuation.adapt(event));
          if (continuation.stopped) break;
          expect(continuation.possible).toBe(true);
          expect(continuation.prepare()).toBe(true);
        }
        if (!continuation.stopped) {
          for (const event of answer(...blocksFor(WHOLE.slice(said().length), last))) {
            told.push(...continuation.adapt(event));
          }
        } else if (told.at(-1)?.kind !== "end") told.push({ kind: "end" });
        expect(textOfOne(told)).toBe(WHOLE);
      }),
    );
  });
});

describe("what cannot be gone on with", () => {
  it.each<AnswerEvent>([
    { kind: "tool_start", id: "1", name: "look", signature: "", flavour: "function" },
    { kind: "refusal_start" },
    { kind: "choice", index: 1 },
    { kind: "stop", reason: "stop", sequence: null, native: "" },
  ])("$kind", (event) => {
    const continuation = begin();
    for (const one of [START, ...textBlock("a")]) continuation.adapt(one);
    expect(continuation.possible).toBe(true);
    continuation.adapt(event);
    expect(continuation.possible).toBe(false);
    continuation.restart();
    expect(continuation.possible).toBe(true);
  });

  it("a text that is too long", () => {
    const continuation = begin();
    continuation.adapt({ kind: "text", text: "x".repeat(262_144) });
    expect(continuation.possible).toBe(true);
    continuation.adapt({ kind: "text", text: "x" });
    expect(continuation.possible).toBe(false);
  });
});
