import { describe, expect, it } from "vitest";
import { clientCodec, targetCodec } from "../../../../src/dialects/anthropic-messages/codec.js";

describe("errors", () => {
  it.each([
    [400, "invalid_request_error"],
    [401, "authentication_error"],
    [402, "billing_error"],
    [403, "permission_error"],
    [404, "not_found_error"],
    [413, "request_too_large"],
    [429, "rate_limit_error"],
    [500, "api_error"],
    [502, "api_error"],
    [504, "timeout_error"],
    [529, "overloaded_error"],
  ])("%d is %s", (status, type) => {
    const error = { status, type: "other", code: null, message: "m" };
    expect(clientCodec.encodeError(error, "r")).toEqual({
      type: "error",
      error: { type, message: "m" },
      request_id: "r",
    });
  });

  it("of upstreams are read in every form", () => {
    const own = { type: "error", error: { type: "overloaded_error", message: "m", details: { error_code: "c" } } };
    expect(targetCodec.decodeError(529, own, "")).toEqual({
      status: 529,
      type: "overloaded_error",
      code: "c",
      message: "m",
    });
    expect(targetCodec.decodeError(0, own, "").status).toBe(529);
    const openai = { error: { message: "m", type: "t", code: "c" } };
    expect(targetCodec.decodeError(400, openai, "")).toEqual({ status: 400, type: "t", code: "c", message: "m" });
    expect(targetCodec.decodeError(400, { error: "plain" }, "")).toMatchObject({ message: "plain", code: null });
    expect(targetCodec.decodeError(403, { message: "aws" }, "")).toMatchObject({
      message: "aws",
      type: "permission_error",
    });
    expect(targetCodec.decodeError(502, null, "<html>bad gateway</html>")).toMatchObject({
      status: 502,
      type: "api_error",
      message: "<html>bad gateway</html>",
    });
    expect(targetCodec.decodeError(503, null, " ").message).toContain("503");
    expect(targetCodec.decodeError(500, null, "x".repeat(9999)).message.length).toBe(4096);
  });
});
