import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import type { ProviderKeyResource } from "../../../src/config/resources.js";
import type { DialectId, Operation } from "../../../src/dialects/dialect.js";
import { providerKeyProblem, type Target, targetFor } from "../../../src/providers/target.js";
import { providerKey as key, SECRET } from "./keys.js";

/** What every request carries, besides the secret, whatever the caller sent. */
const FIXED = ["accept-encoding", "identity", "content-type", "application/json"];

function target(providerKey: ProviderKeyResource, operation: Operation = "chat", dialect?: DialectId): Target | null {
  const entry = { provider: providerKey.provider };
  return targetFor(
    { providerKey, entry },
    operation,
    dialect ?? (operation === "messages" ? "anthropic-messages" : "openai-chat"),
  );
}

function urlOf(provider: string, apiBase: string | null, operation: Operation = "chat"): string | null {
  const found = target(key(provider, { apiBase }), operation);
  return found === null ? null : found.origin + found.path("m", false);
}

describe("spellings of an address", () => {
  it.each([
    ["xai", null, "https://api.x.ai/v1/chat/completions"],
    ["xai", "api.x.ai", "https://api.x.ai/v1/chat/completions"],
    ["xai", "API.X.AI/", "https://api.x.ai/v1/chat/completions"],
    ["xai", "//api.x.ai", "https://api.x.ai/v1/chat/completions"],
    ["xai", "  https://api.x.ai  ", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/v1", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/v1/", "https://api.x.ai/v1/chat/completions"],
    ["xai", "api.x.ai/v1/chat/completions", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/v1/chat/completions?x=y#z", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/v1/chat/completions/", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/v1/models", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai/v1/responses", "https://api.x.ai/v1/chat/completions"],
    ["xai", "https://api.x.ai:8443", "https://api.x.ai:8443/v1/chat/completions"],
    ["xai", "localhost:8080/v1", "https://localhost:8080/v1/chat/completions"],
    ["xai", "http://127.0.0.1:9999", "http://127.0.0.1:9999/v1/chat/completions"],
    ["openai", "http://host/proxy/openai/v1", "http://host/proxy/openai/v1/chat/completions"],
    ["openai", "http://host/proxy/openai/v1/embeddings", "http://host/proxy/openai/v1/chat/completions"],
    ["openai", "https://host/inference", "https://host/inference/chat/completions"],
    ["groq", "api.groq.com", "https://api.groq.com/openai/v1/chat/completions"],
    ["groq", "https://api.groq.com/openai", "https://api.groq.com/openai/v1/chat/completions"],
    ["groq", "https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"],
    ["perplexity", "api.perplexity.ai", "https://api.perplexity.ai/chat/completions"],
    ["perplexity", "https://api.perplexity.ai/chat/completions", "https://api.perplexity.ai/chat/completions"],
    ["deepinfra", "https://api.deepinfra.com/v1", "https://api.deepinfra.com/v1/openai/chat/completions"],
    ["gemini", null, "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"],
    ["vllm", "http://gpu:8000", "http://gpu:8000/v1/chat/completions"],
    ["ollama", null, "http://127.0.0.1:11434/v1/chat/completions"],
    ["azure-openai", "mine.openai.azure.com", "https://mine.openai.azure.com/openai/v1/chat/completions"],
    [
      "azure-openai",
      "https://mine.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
      "https://mine.openai.azure.com/openai/v1/chat/completions",
    ],
    ["anthropic", null, "https://api.anthropic.com/v1/chat/completions"],
    ["anthropic", "api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/chat/completions"],
  ])("%s %s → %s", (provider, apiBase, expected) => {
    expect(urlOf(provider, apiBase)).toBe(expected);
  });

  it.each([
    ["anthropic", null, "https://api.anthropic.com/v1/messages"],
    ["anthropic", "api.anthropic.com", "https://api.anthropic.com/v1/messages"],
    ["anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"],
    ["anthropic", "https://api.anthropic.com/v1/messages?beta=true", "https://api.anthropic.com/v1/messages"],
    ["anthropic", "https://api.anthropic.com/v1/messages/count_tokens", "https://api.anthropic.com/v1/messages"],
    ["anthropic", "https://host/proxy/anthropic", "https://host/proxy/anthropic/v1/messages"],
    ["vllm", "http://host:8000/tokenize", "http://host:8000/v1/messages"],
    ["anthropic", "https://host/proxy/anthropic/v1", "https://host/proxy/anthropic/v1/messages"],
    ["deepseek", null, "https://api.deepseek.com/anthropic/v1/messages"],
    ["deepseek", "api.deepseek.com", "https://api.deepseek.com/anthropic/v1/messages"],
    ["deepseek", "https://api.deepseek.com/v1", "https://api.deepseek.com/anthropic/v1/messages"],
    ["deepseek", "https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic/v1/messages"],
    ["zhipu", "open.bigmodel.cn", "https://open.bigmodel.cn/api/anthropic/v1/messages"],
    ["openrouter", "openrouter.ai", "https://openrouter.ai/api/v1/messages"],
  ])("messages of %s %s → %s", (provider, apiBase, expected) => {
    expect(urlOf(provider, apiBase, "messages")).toBe(expected);
  });

  it("means the same by every spelling, for every operation", () => {
    const embeddings = ["", "/v1", "/v1/embeddings", "/v1/chat/completions?api-version=3"].map((end) => {
      const found = target(
        key("openai", { apiBase: `https://api.openai.com${end}` }),
        "embeddings",
        "openai-embeddings",
      );
      return `${found?.origin}${found?.path("m", false)}`;
    });
    expect(new Set(embeddings)).toEqual(new Set(["https://api.openai.com/v1/embeddings"]));
  });

  it.each(["ftp://host/v1", "file:///etc/passwd", "https://", "https://user:word@host/v1", "http://host:99999", ""])(
    "refuses %j",
    (apiBase) => {
      expect(urlOf("openai", apiBase)).toBeNull();
      expect(providerKeyProblem(key("openai", { apiBase }))).toMatch(/api_base/);
    },
  );

  it("asks for an address where the row has none", () => {
    expect(providerKeyProblem(key("vllm"))).toMatch(/needs an api_base/);
    expect(providerKeyProblem(key("vllm", { apiBase: "http://gpu:8000", apiKey: "" }))).toBeNull();
  });

  it("adds the api version where one is configured", () => {
    const found = target(key("azure-openai", { apiBase: "mine.openai.azure.com", apiVersion: "preview" }));
    expect(found?.path("m", false)).toBe("/openai/v1/chat/completions?api-version=preview");
  });
});

describe("a target", () => {
  it("carries the secret as its row says", () => {
    const at = { apiBase: "http://host" };
    expect(target(key("openai"))?.headers).toEqual(["authorization", `Bearer ${SECRET}`, ...FIXED]);
    expect(target(key("azure-openai", at))?.headers.slice(0, 2)).toEqual(["api-key", SECRET]);
    expect(target(key("anthropic"), "messages")?.headers).toEqual([
      "x-api-key",
      SECRET,
      ...FIXED,
      "anthropic-version",
      "2023-06-01",
    ]);
    expect(target(key("anthropic"), "chat")?.headers.slice(0, 2)).toEqual(["authorization", `Bearer ${SECRET}`]);
    expect(target(key("ollama", { apiKey: "" }))?.headers).toEqual(FIXED);
  });

  it("never shows the secret when it is printed", () => {
    const found = target(key("openai", { defaultHeaders: { "X-Org": "acme-7" } }));
    expect(found?.headers).toContain(`Bearer ${SECRET}`);
    for (const text of [inspect(found, { depth: 9, showHidden: true }), JSON.stringify(found), String(found)]) {
      expect(text).not.toContain(SECRET);
    }
  });

  it("lets the caller replace defaults, but neither the secret nor the encoding", () => {
    const found = target(key("anthropic", { defaultHeaders: { "X-Org": "acme" } }), "messages");
    const forwarded = ["anthropic-version", "2099-01-01", "x-api-key", "mine", "accept-encoding", "br", "x-new", "1"];
    expect(found?.headersWith(forwarded)).toEqual([
      "x-api-key",
      SECRET,
      ...FIXED,
      "anthropic-version",
      "2099-01-01",
      "x-new",
      "1",
      "x-org",
      "acme",
    ]);
    expect(found?.headersWith([])).toBe(found?.headers);
  });

  it("leaves stripped headers out", () => {
    const found = target(key("openai", { stripHeaders: ["OpenAI-Beta"] }));
    expect(found?.headersWith(["openai-beta", "x", "accept", "*/*"]).slice(2)).toEqual([...FIXED, "accept", "*/*"]);
  });

  it("takes a secret header from the configuration instead of the key", () => {
    const found = target(key("openai", { apiKey: "", defaultHeaders: { Authorization: "Basic abc" } }));
    expect(found?.headersWith(["authorization", "Bearer caller"])).toEqual(["authorization", "Basic abc", ...FIXED]);
  });

  it.each([
    [{ apiKey: "a\r\nx-evil: 1" }, /secret/],
    [{ apiKey: "a\u0000" }, /secret/],
    [{ apiKey: "" }, /needs an api_key/],
    [{ defaultHeaders: { "x-a": "1\r\nx-evil: 1" } }, /x-a/],
    [{ defaultHeaders: { "x-a\r\nx-evil": "1" } }, /default_headers/],
    [{ defaultHeaders: { "x a": "1" } }, /default_headers/],
    [{ defaultHeaders: { "Transfer-Encoding": "chunked" } }, /Transfer-Encoding/],
    [{ defaultHeaders: { host: "elsewhere" } }, /host/],
  ])("refuses %j", (differs, problem) => {
    const bad = key("openai", differs);
    expect(target(bad)).toBeNull();
    expect(providerKeyProblem(bad)).toMatch(problem);
    expect(providerKeyProblem(bad)).not.toContain("evil: 1");
  });

  it("is translated to the provider's own wire where the caller's dialect is not served", () => {
    expect(target(key("openai"), "messages")).toMatchObject({ dialect: "openai-chat", bridge: { kind: "hub" } });
    expect(target(key("openai"), "chat")).toMatchObject({ dialect: "openai-chat", bridge: { kind: "passthrough" } });
    expect(target(key("anthropic"), "responses", "openai-responses")).toMatchObject({ dialect: "anthropic-messages" });
    expect(target(key("openai"), "count_tokens")).toBeNull();
    // Messages are served, but they are no counter.
    expect(target(key("deepseek"), "count_tokens", "anthropic-messages")).toBeNull();
    expect(target(key("groq"), "input_tokens", "openai-responses")).toBeNull();
  });

  it("exists only where the provider serves the operation", () => {
    expect(target(key("jina"), "chat")).toBeNull();
    expect(target(key("openai"), "chat", "anthropic-messages")).toBeNull();
    expect(target(key("nobody"))).toBeNull();
    expect(providerKeyProblem(key("nobody"))).toMatch(/not known/);
    expect(target(key("nobody", { adapter: "openai", apiBase: "http://host" }))?.provider).toBe("nobody");
  });

  it("is made once for a provider key object, and anew for another", () => {
    const one = key("openai");
    expect(target(one)).toBe(target(one));
    expect(target(one)).not.toBe(target(key("openai")));
    expect(target(one)).not.toBe(target(one, "embeddings", "openai-embeddings"));
  });

  it("of the simulator has no address", () => {
    const found = target(key("simulator", { apiKey: "" }), "messages");
    expect(found).toMatchObject({ simulated: true, origin: "", dialect: "anthropic-messages" });
    expect(target(key("openai"))?.simulated).toBe(false);
  });
});
