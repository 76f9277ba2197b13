import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_REQUEST_OVERRIDES, type ProviderKeyResource } from "../../../src/config/resources.js";
import { rawHeaders } from "../../../src/providers/raw-headers.js";
import { foreignWay, isPlainPath, isPlainQuery, rawWay } from "../../../src/providers/raw-target.js";

function key(provider: string, more: Partial<ProviderKeyResource> = {}): ProviderKeyResource {
  return {
    ...{ name: "k", provider, adapter: null, apiBase: null, apiKey: "secret", credential: null, region: null },
    ...{ apiVersion: null, tls: null, stripHeaders: [], defaultHeaders: {}, request: NO_REQUEST_OVERRIDES },
    ...{ response: null, telemetryTags: {} },
    ...more,
  };
}

describe("paths that may be passed on", () => {
  it.each(["", "/", "/a", "/a/", "/v1/models/a:b", "/a%20b/c.d", "/.well-known/x", "/a..b", "/...", "/~a/(b)"])(
    "%s",
    (path) => {
      expect(isPlainPath(path)).toBe(true);
    },
  );

  it.each([
    ...["//", "/a//b", "/..", "/../a", "/a/..", "/a/./b", "/.", "a", "/a?b", "/a#b", "/a b", "/a\\b"],
    ...["/%2e%2e/a", "/a%2Fb", "/a%5cb", "/%00", "/%252e%252e", "/%zz", "/%", "/\u00e9", "/a\r\nb"],
  ])("not %j", (path) => {
    expect(isPlainPath(path)).toBe(false);
  });

  it("never lead out of what they are put behind", () => {
    const part = fc.constantFrom(
      ".",
      "..",
      "%2e",
      "%2E.",
      "/",
      "//",
      "\\",
      "%2f",
      "%5c",
      "a",
      "%25",
      "2e",
      "%c0%ae",
      ";",
      "@",
      ":",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const path = `/${parts.join("")}`;
        if (!isPlainPath(path)) return;
        const url = new URL(`https://host.example/root${path}`);
        expect(url.host).toBe("host.example");
        expect(url.pathname).toBe(`/root${path}`);
      }),
      { numRuns: 2_000 },
    );
  });

  it("queries hold no space, control or fragment", () => {
    expect(isPlainQuery("a=b&c[]=%20&d={}")).toBe(true);
    for (const query of ["a b", "a#b", "a\r\nb", "\u00e9"]) expect(isPlainQuery(query)).toBe(false);
  });
});

describe("where raw requests go", () => {
  it("below the provider's host, in front of its version", () => {
    const way = rawWay(key("openai"), "/v1/chat/completions");
    expect(way?.target.origin).toBe("https://api.openai.com");
    expect(way?.root).toBe("");
    expect(way?.served).toEqual({ operation: "chat", wire: "openai-chat", model: "" });
    expect(rawWay(key("groq", { apiBase: "https://proxy.example/team/openai/v1" }), "/x")?.root).toBe("/team");
  });

  it("with the secret as that part of the API wants it", () => {
    const names = (path: string) =>
      (rawWay(key("gemini"), path)?.target.headers ?? []).filter((_, index) => index % 2 === 0);
    expect(names("/v1beta/models/gemini-x:generateContent")).toContain("x-goog-api-key");
    expect(names("/v1beta/files")).toContain("x-goog-api-key");
    expect(names("/v1beta/openai/files")).toContain("authorization");
    expect(rawWay(key("gemini"), "/v1beta/models/gemini-x:streamGenerateContent")?.served).toEqual({
      operation: "chat",
      wire: "gemini",
      model: "gemini-x",
    });
  });

  it("nowhere for providers without an address", () => {
    expect(rawWay(key("simulator"), "/x")).toBeNull();
    expect(rawWay(key("nobody"), "/x")).toBeNull();
    expect(rawWay(key("openai", { apiKey: "" }), "/x")).toBeNull();
  });

  it("to an address of their own, with the provider's secret or with none", () => {
    const one = key("openai");
    const injected = rawWay(one, "/x", "http://own.example:81/base/");
    expect([injected?.target.origin, injected?.root]).toEqual(["http://own.example:81", "/base"]);
    expect(injected?.target.headers).toContain("Bearer secret");
    expect(foreignWay(one, "http://own.example/").target.headers).not.toContain("Bearer secret");
    expect(rawWay(one, "/x", "http://own.example:81/base/")?.target).toBe(injected?.target);
  });
});

describe("headers of raw requests", () => {
  const rules = {
    ownPrefix: "x-weir-",
    forwardsCredentials: false,
    keyHeader: "",
    isGatewayKey: (value: string) => value === "sk",
  };

  it("go on but for what belongs to the connection, the gateway or the caller's identity", () => {
    const sent = [
      "accept",
      "a/b",
      "x-own",
      "1",
      "cookie",
      "c",
      "host",
      "h",
      "connection",
      "x-hop, close",
      "x-hop",
      "1",
    ];
    const more = [
      "x-weir-model",
      "m",
      "x-forwarded-for",
      "1",
      "authorization",
      "Bearer sk",
      "te",
      "x",
      "upgrade",
      "h2c",
    ];
    expect(rawHeaders([sent, more], rules)).toEqual(["accept", "a/b", "x-own", "1"]);
  });

  it("the caller's own credentials only where that is asked, and never a key of the gateway's", () => {
    const sent = ["authorization", "Bearer own", "x-api-key", "sk", "x-key", "sk"];
    const forwarding = { ...rules, forwardsCredentials: true, keyHeader: "x-key" };
    expect(rawHeaders([sent], forwarding)).toEqual(["authorization", "Bearer own"]);
    expect(rawHeaders([["authorization", "bearer sk"]], forwarding)).toEqual([]);
  });
});
