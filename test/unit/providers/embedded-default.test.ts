import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { CATALOG } from "../../../src/providers/catalog.js";
import { embeddedDefault } from "../../../src/providers/embedded-default.js";
import { providerKeyProblem } from "../../../src/providers/target.js";

describe("the embedded default", () => {
  it("is the simulator alone in an empty environment", () => {
    const { resources, plainKey, providers } = embeddedDefault({});
    expect(providers).toEqual([]);
    expect(resources.source).toBe("embedded default");
    expect(resources.providerKeys.map((key) => key.provider)).toEqual(["simulator"]);
    expect(resources.models.map((model) => model.name)).toContain("simulator");
    expect(plainKey).toMatch(/^sk-weir-[0-9A-Za-z]{32}$/);
    const [apiKey] = resources.apiKeys;
    expect(apiKey).toMatchObject({ name: "default", allowedModels: ["*"], disabled: false, allowedRoutes: null });
    expect(apiKey?.keyHash).toBe(createHash("sha256").update(plainKey).digest("hex"));
    expect(JSON.stringify(resources)).not.toContain(plainKey);
  });

  it("makes another key every time, and takes the one it is given", () => {
    expect(embeddedDefault({}).plainKey).not.toBe(embeddedDefault({}).plainKey);
    expect(embeddedDefault({ WEIR_KEY: "from-env" }).plainKey).toBe("from-env");
    expect(embeddedDefault({ WEIR_KEY: "from-env" }, { plain: "given" }).plainKey).toBe("given");
  });

  it("finds the providers whose key is set, with their address", () => {
    const { resources, providers } = embeddedDefault({
      OPENAI_API_KEY: "sk-o",
      OPENAI_BASE_URL: "http://127.0.0.1:9/v1",
      GROQ_API_KEY: "gsk",
      ANTHROPIC_API_KEY: "",
      ANTHROPIC_BASE_URL: "http://127.0.0.1:9",
    });
    expect(providers).toEqual(["openai", "groq"]);
    expect(resources.providerKeys.find((key) => key.provider === "openai")).toMatchObject({
      apiKey: "sk-o",
      apiBase: "http://127.0.0.1:9/v1",
    });
    const named = (name: string) => resources.models.find((model) => model.name === name);
    expect(named("gpt-*")).toMatchObject({ modelName: "gpt-*", provider: "openai", providerKey: "openai" });
    expect(named("groq/*")).toMatchObject({ modelName: "*", provider: "groq", providerKey: "groq" });
    expect(named("claude-*")).toBeUndefined();
  });

  it("finds a server of one's own by its address alone, and no vendor", () => {
    const env = {
      OLLAMA_BASE_URL: "http://gpu:11434",
      VLLM_BASE_URL: "http://gpu:8000/v1",
      OPENAI_BASE_URL: "http://x",
    };
    expect(embeddedDefault(env).providers).toEqual(["vllm", "ollama"]);
    expect(embeddedDefault({ VLLM_API_KEY: "k" }).providers).toEqual([]);
  });

  it("gives every provider usable keys and every model a name of its own", () => {
    const env: Record<string, string> = {};
    for (const { environment, baseUrl } of CATALOG) {
      if (environment === null) continue;
      env[environment.key] = "secret";
      if (baseUrl === null) env[environment.baseUrl] = "http://127.0.0.1:9";
    }
    const { resources, providers } = embeddedDefault(env);
    const automatic = CATALOG.filter((row) => row.environment !== null);
    expect(providers).toEqual(automatic.map((row) => row.id));
    for (const key of resources.providerKeys) expect([key.name, providerKeyProblem(key)]).toEqual([key.name, null]);
    const names = resources.models.map((model) => model.name);
    expect(new Set(names).size).toBe(names.length);
  });

  it("has the revision of its content", () => {
    const env = { WEIR_KEY: "k", OPENAI_API_KEY: "a" };
    expect(embeddedDefault(env).resources.revision).toMatch(/^[0-9a-f]{12}$/);
    expect(embeddedDefault(env).resources.revision).toBe(embeddedDefault(env).resources.revision);
    expect(embeddedDefault(env).resources.revision).not.toBe(embeddedDefault({ WEIR_KEY: "k" }).resources.revision);
  });
});
