import { describe, expect, it } from "vitest";
import { clientCodec, targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import type { JsonObject } from "../../../../src/dialects/semantic.js";

describe("errors of chat upstreams", () => {
  it.each<[string, number, JsonObject | string, object]>([
    [
      "the vendor's envelope",
      400,
      { error: { message: "m", type: "invalid_request_error", param: "x", code: "context_length_exceeded" } },
      { status: 400, type: "invalid_request_error", code: "context_length_exceeded", message: "m" },
    ],
    ["a numeric code", 429, { error: { message: "m", code: 429 } }, { type: "rate_limit_error", code: "429" }],
    ["an error text", 401, { error: "m" }, { status: 401, type: "authentication_error", message: "m" }],
    ["a bare message", 403, { message: "m", type: "t" }, { status: 403, type: "t", message: "m" }],
    ["a detail", 422, { detail: "m" }, { message: "m" }],
    ["a list of details", 422, { detail: [{ msg: "a" }, { msg: "b" }] }, { message: "a; b" }],
    ["JSON that says nothing", 500, { ok: false }, { type: "server_error", message: '{"ok":false}' }],
    ["a page", 502, "<html>Bad Gateway</html>", { status: 502, message: "<html>Bad Gateway</html>" }],
    ["nothing at all", 503, "", { status: 503, message: "The upstream answered with status 503." }],
  ])("reads %s", (_, status, body, expected) => {
    const isText = typeof body === "string";
    const error = targetCodec.decodeError(status, isText ? null : body, isText ? body : JSON.stringify(body));
    expect(error).toMatchObject(expected);
  });

  it("keeps a long message within bounds", () => {
    expect(targetCodec.decodeError(500, null, "x".repeat(9_000)).message).toHaveLength(2_000);
  });

  it("writes the caller's envelope", () => {
    const error = { status: 429, type: "rate_limit_error", code: "slow", message: "m" };
    expect(clientCodec.encodeError(error, "req")).toEqual({
      error: { message: "m", type: "rate_limit_error", param: null, code: "slow" },
    });
  });
});
