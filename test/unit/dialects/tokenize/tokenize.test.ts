import { describe, expect, it } from "vitest";
import { renderTokens } from "../../../../src/dialects/tokenize/answer.js";
import { tokenize } from "../../../../src/dialects/tokenize/dialect.js";
import { isFailure } from "../../../../src/errors.js";

const bytes = (value: unknown): Buffer => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const read = (value: unknown, model: string | null = null) => tokenize.readRequest(bytes(value), "tokenize", model);

describe("tokenize requests", () => {
  it.each([
    { model: "m", prompt: "Hello" },
    { model: "m", prompt: "" },
    { model: "m", prompt: "Hello", add_special_tokens: false, return_token_strs: true },
    { model: "m", messages: [{ role: "user", content: "Hello" }], add_generation_prompt: true },
    { model: "m", prompt: null, messages: [] },
  ])("are read: %j", (body) => {
    expect(read(body)).toMatchObject({ model: "m", stream: false, usageAsked: true, maxOutputTokens: -1 });
  });

  it("take their model from elsewhere", () => {
    expect(read({ prompt: "Hello" }, "other")).toMatchObject({ model: "other", modelSpan: null });
  });

  it.each([
    ["no JSON", null],
    [{ prompt: "Hello" }, "model"],
    [{ model: "m" }, "prompt"],
    [{ model: "m", prompt: null }, "prompt"],
    [{ model: "m", prompt: ["a", "b"] }, "prompt"],
    [{ model: "m", prompt: 7 }, "prompt"],
    [{ model: "m", messages: "Hello" }, "messages"],
    ['{"model":"m","prompt":"a","prompt":"b"}', "prompt"],
  ])("are refused: %j", (body, param) => {
    const refused = read(body);
    expect(isFailure(refused) && [refused.code, refused.param]).toEqual(["invalid_request_error", param]);
  });

  it("keep every byte but the model's name", () => {
    const body = bytes('{ "prompt":"a" , "model": "m", "odd":1e2}');
    const view = tokenize.readRequest(body, "tokenize", null);
    if (isFailure(view)) throw new Error(view.message);
    expect(tokenize.spliceRequest(body, view, "other").toString()).toBe(
      '{ "prompt":"a" , "model": "other", "odd":1e2}',
    );
  });

  it("have the prompt's text to the last character, or that of the messages and tools", () => {
    const text = (value: unknown): string => tokenize.requestText(bytes(value), "tokenize");
    expect(text({ prompt: " a\n\n" })).toBe(" a\n\n");
    const messages = [
      { role: "system", content: "one" },
      { role: "user", content: [{ type: "text", text: "two" }] },
    ];
    expect(text({ messages, tools: [{ a: 1 }] })).toBe('one\ntwo\n[{"a":1}]');
  });
});

it("answers of the gateway's own have every member", () => {
  expect(JSON.parse(renderTokens({ count: 2, tokens: [1, 2], strings: ["a", "b"] }))).toEqual({
    count: 2,
    max_model_len: null,
    tokens: [1, 2],
    token_strs: ["a", "b"],
  });
  expect(JSON.parse(renderTokens({ count: 9, tokens: null, strings: null }))).toMatchObject({ tokens: null });
});
