import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = oneProvider(upstream.url) as Record<"models" | "provider_keys", unknown[]>;
  const { url } = upstream;
  resources.provider_keys.push({ display_name: "groq", provider: "groq", api_base: `${url}/v1`, api_key: "sk-groq" });
  resources.models.push({ display_name: "llama-*", provider: "groq", model_name: "llama-*", provider_key: "groq" });
  gateway = await startGateway({ resources });
});
afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

function count(path: string, body: Record<string, unknown>): Promise<Response> {
  return fetch(gateway.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

describe("counting tokens", () => {
  const prompt = "The quick brown fox jumps over the lazy dog.";

  it("asks the provider that has a counter", async () => {
    const answer = await count("/v1/messages/count_tokens", {
      model: "claude-x",
      messages: [{ role: "user", content: prompt }],
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-weir-estimated")).toBeNull();
    expect(upstream.requests().at(-1)?.path).toBe("/v1/messages/count_tokens");
  });

  it("counts here for a provider that has none, and says that it is an estimate", async () => {
    const before = upstream.requests().length;
    const answer = await count("/v1/messages/count_tokens", {
      model: "llama-x",
      messages: [{ role: "user", content: prompt }],
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-weir-estimated")).toBe("true");
    // Ten tokens of text in the vocabulary the gateway counts with.
    const { input_tokens: tokens } = (await answer.json()) as { input_tokens: number };
    expect(tokens).toBeGreaterThanOrEqual(10);
    expect(tokens).toBeLessThan(20);
    expect(upstream.requests().length).toBe(before);
  });

  it("does so for the Responses shape too, and grows with the prompt", async () => {
    const sizes: number[] = [];
    for (const times of [1, 10]) {
      const answer = await count("/v1/responses/input_tokens", { model: "llama-x", input: prompt.repeat(times) });
      const body = (await answer.json()) as { object: string; input_tokens: number };
      expect(body.object).toBe("response.input_tokens");
      sizes.push(body.input_tokens);
    }
    expect(sizes[1]).toBeGreaterThan((sizes[0] as number) * 8);
  });
});
