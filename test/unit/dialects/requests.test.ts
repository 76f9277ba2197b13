import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DialectId, Operation, RequestView } from "../../../src/dialects/dialect.js";
import { dialectOf } from "../../../src/dialects/registry.js";
import { isFailure } from "../../../src/errors.js";
import { jsonString, jsonValue, type Members, objectText, whiteSpace } from "./json-text.js";

interface Call {
  readonly dialect?: DialectId;
  readonly operation?: Operation;
  readonly override?: string | null;
}

function read(body: string | Buffer, call: Call = {}) {
  const dialect = dialectOf(call.dialect ?? "openai-chat");
  return dialect.readRequest(Buffer.from(body), call.operation ?? "chat", call.override ?? null);
}

function view(body: string | Buffer, call: Call = {}): RequestView {
  const result = read(body, call);
  if (isFailure(result)) throw new Error(`${result.message} (${result.param})`);
  return result;
}

function splice(text: string, target: string, call: Call = {}): string {
  const body = Buffer.from(text);
  return dialectOf(call.dialect ?? "openai-chat")
    .spliceRequest(body, view(text, call), target)
    .toString("utf8");
}

const RESPONSES: Call = { dialect: "openai-responses", operation: "responses" };
const MESSAGES: Call = { dialect: "anthropic-messages", operation: "messages" };
const COUNT: Call = { dialect: "anthropic-messages", operation: "count_tokens" };
const COMPLETIONS: Call = { dialect: "openai-completions", operation: "completions" };
const EMBEDDINGS: Call = { dialect: "openai-embeddings", operation: "embeddings" };

describe("readRequest", () => {
  it("finds what the gateway needs", () => {
    const body =
      '{"max_tokens":5,"messages":[],"stream":true,"stream_options":{"include_usage":true},"model":"g\\u0070t","max_completion_tokens":1e2}';
    expect(view(body)).toEqual({
      model: "gpt",
      modelSpan: { start: body.indexOf('"g\\'), end: body.indexOf('"g\\') + 10 },
      stream: true,
      usageAsked: true,
      streamOptionsSpan: { start: body.indexOf('{"include'), end: body.indexOf(',"model"') },
      maxOutputTokens: 100,
    });
  });

  it.each<[string, boolean]>([
    ['{"model":"m","messages":[],"stream":true}', false],
    ['{"model":"m","messages":[],"stream":true,"stream_options":null}', false],
    ['{"model":"m","messages":[],"stream":true,"stream_options":{}}', false],
    ['{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false}}', false],
    ['{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":null}}', false],
    ['{"model":"m","messages":[],"stream":true,"stream_options":{"x":1,"include_us\\u0061ge":true}}', true],
    ['{"model":"m","messages":[],"stream":false}', true],
    ['{"model":"m","messages":[]}', true],
  ])("usage asked in %s: %s", (body, asked) => {
    expect(view(body).usageAsked).toBe(asked);
  });

  it.each<[string, number]>([
    ['"max_tokens":7', 7],
    ['"max_tokens":7,"max_completion_tokens":3', 3],
    ['"max_tokens":7,"max_completion_tokens":null', 7],
    ['"max_tokens":null', -1],
    ['"max_tokens":1.5', -1],
    ['"max_tokens":-1', -1],
    ['"max_tokens":1e999', -1],
    ['"x":1', -1],
  ])("cap in %s: %d", (field, cap) => {
    expect(view(`{"model":"m","messages":[],${field}}`).maxOutputTokens).toBe(cap);
  });

  it("lets the override win and keeps the body's model span", () => {
    expect(view('{"messages":[]}', { override: "o" })).toMatchObject({ model: "o", modelSpan: null });
    const both = view('{"model":"b","messages":[]}', { override: "o" });
    expect(both).toMatchObject({ model: "o", modelSpan: { start: 9, end: 12 } });
    expect(splice('{"model":"b","messages":[]}', "o", { override: "o" })).toBe('{"model":"o","messages":[]}');
    expect(splice('{"model":null,"messages":[]}', "t", { override: "o" })).toBe('{"model":"t","messages":[]}');
  });

  it.each<[string | Buffer, string | null, Call]>([
    ["", null, {}],
    ["no", null, {}],
    ["[]", null, {}],
    ['{"model":"m","messages":[]', null, {}],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), null, {}],
    ['{"messages":[]}', "model", {}],
    ['{"model":"","messages":[]}', "model", {}],
    ['{"model":1,"messages":[]}', "model", {}],
    ['{"model":null,"messages":[]}', "model", {}],
    ['{"model":["m"],"messages":[]}', "model", { override: "o" }],
    ['{"model":"a\\x","messages":[]}', "model", {}],
    [`{"model":"${"m".repeat(257)}","messages":[]}`, "model", {}],
    [`{"model":"${"m".repeat(5000)}","messages":[]}`, "model", {}],
    ['{"model":"a","messages":[],"model":"b"}', "model", {}],
    ['{"model":"a","messages":[],"mod\\u0065l":"a"}', "model", {}],
    ['{"model":"a","messages":[],"stream":true,"stream":false}', "stream", {}],
    ['{"model":"m","messages":[],"stream":"true"}', "stream", {}],
    ['{"model":"m","messages":[],"stream":1}', "stream", {}],
    ['{"model":"m","messages":[],"stream_options":[]}', "stream_options", {}],
    ['{"model":"m","messages":[],"stream_options":{"include_usage":1}}', "stream_options.include_usage", {}],
    ['{"model":"m","messages":[],"max_tokens":"5"}', "max_tokens", {}],
    ['{"model":"m","messages":[],"max_completion_tokens":{}}', "max_completion_tokens", {}],
    ['{"model":"m"}', "messages", {}],
    ['{"model":"m","messages":{}}', "messages", {}],
    ['{"model":"m","messages":null}', "messages", {}],
    ['{"model":"m","messages":"x"}', "messages", MESSAGES],
    ['{"model":"m"}', "messages", COUNT],
    ['{"model":"m"}', "input", RESPONSES],
    ['{"model":"m","input":null}', "input", RESPONSES],
    ['{"model":"m","input":"x","max_output_tokens":"5"}', "max_output_tokens", RESPONSES],
    ['{"model":"m"}', "prompt", COMPLETIONS],
    ['{"model":"m","prompt":5}', "prompt", COMPLETIONS],
    ['{"model":"m","input":{}}', "input", EMBEDDINGS],
    ['{"model":"m"}', "input", EMBEDDINGS],
  ])("refuses %s, naming %s", (body, param, call) => {
    const result = read(body, call);
    expect(result).toMatchObject({ code: "invalid_request_error", param });
  });

  it.each<[string, Call]>([
    ['{"model":"m","messages":[{}],"max_tokens":5,"stream":true,"context_management":{"edits":[]}}', MESSAGES],
    ['{"model":"m","messages":[],"stream":"not ours"}', COUNT],
    ['{"model":"m","input":"x"}', RESPONSES],
    ['{"model":"m","input":[{"type":"message"}],"stream":true}', RESPONSES],
    ['{"model":"m","previous_response_id":"resp_1","input":null}', RESPONSES],
    ['{"model":"m","prompt":{"id":"p"}}', RESPONSES],
    ['{"model":"m","conversation":"c"}', RESPONSES],
    ['{"model":"m"}', { dialect: "openai-responses", operation: "input_tokens" }],
    ['{"model":"m","prompt":[[1,2],[3]]}', COMPLETIONS],
    ['{"model":"m","input":["a","b"],"encoding_format":"base64"}', EMBEDDINGS],
  ])("takes %s", (body, call) => {
    expect(view(body, call).model).toBe("m");
  });

  it("asks no upstream for usage that comes anyway", () => {
    expect(view('{"model":"m","messages":[],"stream":true}', MESSAGES).usageAsked).toBe(true);
    expect(view('{"model":"m","input":"x","stream":true}', RESPONSES).usageAsked).toBe(true);
  });
});

describe("spliceRequest", () => {
  it("gives back the body itself when nothing changes", () => {
    const body = Buffer.from('{"model":"m\\u0031","messages":[]}');
    expect(dialectOf("openai-chat").spliceRequest(body, view(body), "m1")).toBe(body);
  });

  it.each<[string, string, Call]>([
    ['{"messages":[]}', '{"model":"t","messages":[]}', { override: "o" }],
    [" { }", ' {"model":"t" }', { override: "o", dialect: "openai-responses", operation: "input_tokens" }],
    [
      '{"messages":[],"stream":true}',
      '{"model":"t","stream_options":{"include_usage":true},"messages":[],"stream":true}',
      { override: "o" },
    ],
    [
      '{"model":"m","messages":[],"stream":true}',
      '{"stream_options":{"include_usage":true},"model":"t","messages":[],"stream":true}',
      {},
    ],
    [
      '{"stream_options": { } ,"model":"m","messages":[],"stream":true}',
      '{"stream_options": {"include_usage":true } ,"model":"t","messages":[],"stream":true}',
      {},
    ],
    [
      '{"model":"m","messages":[],"stream":true,"stream_options":{ "x":[1.0]}}',
      '{"model":"t","messages":[],"stream":true,"stream_options":{"include_usage":true, "x":[1.0]}}',
      {},
    ],
    [
      '{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage": false ,"x":1}}',
      '{"model":"t","messages":[],"stream":true,"stream_options":{"include_usage": true ,"x":1}}',
      {},
    ],
    [
      '{"model":"m","prompt":"a","stream":true,"stream_options":null}',
      '{"model":"t","prompt":"a","stream":true,"stream_options":{"include_usage":true}}',
      COMPLETIONS,
    ],
    ['{"model":"m","messages":[],"stream":true}', '{"model":"t","messages":[],"stream":true}', MESSAGES],
    ['{"model":"m","input":"x","stream":true}', '{"model":"t","input":"x","stream":true}', RESPONSES],
  ])("%s becomes %s", (body, expected, call) => {
    expect(splice(body, "t", call)).toBe(expected);
  });

  it("writes any target name as JSON", () => {
    expect(JSON.parse(splice('{"model":"m","messages":[]}', 'a"\\é/😀'))).toEqual({ model: 'a"\\é/😀', messages: [] });
  });

  it("keeps every other byte of any body", () => {
    const OURS = new Set(["model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "messages"]);
    const unknown = fc.uniqueArray(fc.tuple(jsonString, jsonValue), {
      maxLength: 6,
      selector: ([key]) => JSON.parse(key),
    });
    const options = fc.constantFrom(
      null,
      "null",
      "{ }",
      '{"x" :1e2}',
      '{"include_usage":false}',
      '{"include_usage":true}',
    );
    const modelText = fc.constantFrom('"gpt-4o"', '"\\u0067pt\\/x"', '"é"');
    const fields = fc.tuple(unknown, modelText, options, fc.boolean(), whiteSpace, fc.nat(), jsonValue);
    fc.assert(
      fc.property(fields, ([others, model, streamOptions, stream, around, turn, content]) => {
        const members: [string, string][] = others
          .filter(([key]) => !OURS.has(JSON.parse(key)))
          .map(([k, v]) => [k, v]);
        members.push(['"messages"', `[${content}]`], ['"m\\u006fdel"', model]);
        if (stream) members.push(['"stream"', "true"]);
        if (streamOptions !== null) members.push(['"stream_options"', streamOptions]);
        const at = turn % members.length;
        const turned: Members = [...members.slice(at), ...members.slice(0, at)];
        const text = objectText(turned, around);
        const spliced = splice(text, "target");
        const asks = stream && streamOptions !== '{"include_usage":true}';

        const changed = turned.map(([key, value]): [string, string] => {
          if (key === '"m\\u006fdel"') return [key, '"target"'];
          if (key !== '"stream_options"' || !asks) return [key, value];
          if (value === "{ }") return [key, '{"include_usage":true }'];
          return [key, value === '{"x" :1e2}' ? '{"include_usage":true,"x" :1e2}' : '{"include_usage":true}'];
        });
        let expected = objectText(changed, around);
        if (asks && streamOptions === null)
          expected = expected.replace("{", '{"stream_options":{"include_usage":true},');
        expect(spliced).toBe(expected);

        const wanted = { ...JSON.parse(text), model: "target" };
        if (asks) wanted.stream_options = { ...wanted.stream_options, include_usage: true };
        expect(JSON.parse(spliced)).toEqual(wanted);
      }),
      { numRuns: 1000 },
    );
  });
});
