/** Property: any request of this dialect comes out of the hub as it went in. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../../../src/dialects/semantic.js";
import { decode, encode, traits } from "./support.js";

// ---- property: what goes in comes out ------------------------------------------------------------

const words = fc.string({ minLength: 1, maxLength: 12 });
// As JSON says it: a value such as -0 does not survive being written down.
const json = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
const schema = fc.dictionary(
  fc.string({ maxLength: 5 }).filter((name) => name !== "__proto__"),
  json,
);
const cache = fc.constantFrom<JsonObject>(
  {},
  {},
  { cache_control: { type: "ephemeral" } },
  { cache_control: { type: "ephemeral", ttl: "1h" } },
  { cache_control: { type: "ephemeral", ttl: "5m", scope: "x" } },
);
/** A field that this release has never heard of. */
const unknown = fc.oneof(
  { weight: 4, arbitrary: fc.constant<JsonObject>({}) },
  { weight: 1, arbitrary: json.map((value): JsonObject => ({ x_next: value })) },
);

function block(...parts: (JsonObject | fc.Arbitrary<JsonObject>)[]): fc.Arbitrary<JsonObject> {
  const all = parts.map((part) => (part instanceof fc.Arbitrary ? part : fc.constant(part)));
  return fc.tuple(...all).map((fields) => Object.assign({}, ...fields) as JsonObject);
}

function field(name: string, value: fc.Arbitrary<JsonValue>): fc.Arbitrary<JsonObject> {
  return value.map((drawn) => ({ [name]: drawn }));
}

const textBlock = block({ type: "text" }, field("text", words), cache, unknown);
const imageBlock = block(
  { type: "image" },
  field(
    "source",
    fc.constantFrom<JsonValue>(
      { type: "base64", media_type: "image/png", data: "aGk=" },
      { type: "url", url: "https://e.x/a" },
      { type: "file", file_id: "f" },
    ),
  ),
  cache,
  unknown,
);
const documentBlock = block(
  { type: "document" },
  field(
    "source",
    fc.constantFrom<JsonValue>(
      { type: "base64", media_type: "application/pdf", data: "aGk=" },
      { type: "text", media_type: "text/plain", data: "d" },
      { type: "text", media_type: "text/markdown", data: "d" },
      { type: "content", content: "words" },
      { type: "content", content: [{ type: "text", text: "w" }] },
      { type: "url", url: "https://e.x/a" },
      { type: "future", x: 1 },
    ),
  ),
  fc.constantFrom<JsonObject>({}, { title: "t" }, { context: "c", citations: { enabled: true } }),
  cache,
  unknown,
);
const foreign = block({ type: "hologram" }, unknown, cache);
const result = block(
  { type: "tool_result", tool_use_id: "t1" },
  fc.oneof(
    fc.constant<JsonObject>({}),
    field(
      "content",
      fc.array(fc.oneof(textBlock, imageBlock, documentBlock, foreign), {
        minLength: 1,
        maxLength: 3,
      }) as fc.Arbitrary<JsonValue>,
    ),
  ),
  fc.constantFrom<JsonObject>({}, { is_error: true }),
  cache,
  unknown,
);
const thinking = block({ type: "thinking" }, field("thinking", words), field("signature", words), unknown);
const redacted = block({ type: "redacted_thinking" }, field("data", words), unknown);
const toolUse = block(
  { type: "tool_use", id: "t1", name: "f" },
  field("input", schema as fc.Arbitrary<JsonValue>),
  cache,
  unknown,
);
const userTurn = block(
  { role: "user" },
  field(
    "content",
    fc.array(fc.oneof(textBlock, imageBlock, documentBlock, result, foreign), {
      maxLength: 4,
    }) as fc.Arbitrary<JsonValue>,
  ),
  unknown,
);
const assistantTurn = block(
  { role: "assistant" },
  field(
    "content",
    fc.array(fc.oneof(textBlock, thinking, redacted, toolUse, foreign), { maxLength: 4 }) as fc.Arbitrary<JsonValue>,
  ),
  unknown,
);
const systemTurn = block(
  { role: "system" },
  field("content", fc.array(textBlock, { minLength: 1, maxLength: 2 }) as fc.Arbitrary<JsonValue>),
);
const tool = block({ name: "f" }, field("input_schema", schema as fc.Arbitrary<JsonValue>), cache, unknown);
const body = block(
  { model: "claude-x", max_tokens: 9 },
  field(
    "messages",
    fc.array(fc.oneof(userTurn, assistantTurn, systemTurn), { maxLength: 5 }) as fc.Arbitrary<JsonValue>,
  ),
  fc.oneof(
    fc.constant<JsonObject>({}),
    field("system", fc.array(textBlock, { minLength: 1, maxLength: 2 }) as fc.Arbitrary<JsonValue>),
  ),
  fc.oneof(
    fc.constant<JsonObject>({}),
    field("tools", fc.array(tool, { minLength: 1, maxLength: 2 }) as fc.Arbitrary<JsonValue>),
  ),
  fc.constantFrom<JsonObject>(
    {},
    { thinking: { type: "adaptive", display: "summarized" } },
    { thinking: { type: "z" } },
  ),
  fc.constantFrom<JsonObject>({}, { tool_choice: { type: "any", disable_parallel_tool_use: false } }),
  fc.constantFrom<JsonObject>(
    {},
    { output_config: { effort: "max" } },
    { output_config: { format: { type: "grammar" } } },
  ),
  fc.constantFrom<JsonObject>({}, { metadata: { user_id: "u" } }, { metadata: { other: null } }, { service_tier: "x" }),
  unknown,
);

describe("decode, then encode", () => {
  it("gives any request of this dialect back", () => {
    fc.assert(
      fc.property(body, (sent) => {
        const { body: back, losses } = encode(decode(sent), traits("claude-x"));
        expect(back).toEqual(sent);
        expect(losses).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });
});
