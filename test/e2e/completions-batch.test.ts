/** Several prompts in one completions request, where the provider has chat only: a call each, one answer. */
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { BEARER, call } from "./calls.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";

const PROMPTS = ["first", "second", "third", "fourth", "fifth", "sixth"];

describe("completions of several prompts", () => {
  let upstream: FakeUpstream;
  let gateway: RunningGateway;
  let requestId = "";
  const client = () =>
    new OpenAI({
      apiKey: KEY,
      baseURL: `${gateway.url}/v1`,
      maxRetries: 0,
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        requestId = response.headers.get("x-weir-request-id") ?? "";
        return response;
      },
    });
  const events = async () => (await gateway.events()).filter(({ request_id }) => request_id === requestId);
  const promptOf = (body: Buffer): string => {
    const [{ content }] = JSON.parse(body.toString("utf8")).messages;
    return typeof content === "string" ? content : content[0].text;
  };

  beforeAll(async () => {
    upstream = await startFakeUpstream();
    gateway = await startGateway({
      resources: {
        _format_version: "1",
        provider_keys: [{ name: "main", provider: "groq", api_base: `${upstream.url}/v1`, api_key: "k" }],
        models: [
          { name: "chatty", provider: "groq", model_name: "llama", provider_key: "main", rate_limit: { rpm: 30 } },
          { name: "routed", routing: { targets: [{ model: "chatty" }] } },
        ],
        api_keys: [{ name: "tester", key_hash: sha256(KEY), allowed_models: ["*"] }],
      },
    });
  });
  afterAll(async () => {
    await gateway?.dispose();
    await upstream?.close();
  });
  beforeEach(() => upstream.reset());

  test("whole: choices by prompt and then by alternative, usage summed, an event a call", async () => {
    const answer = await client().completions.create({ model: "chatty", prompt: PROMPTS, n: 2 });
    expect(answer.choices.map(({ index }) => index)).toEqual(PROMPTS.flatMap((_, at) => [2 * at, 2 * at + 1]));
    expect(
      upstream
        .requests()
        .map(({ body }) => promptOf(body))
        .sort(),
    ).toEqual([...PROMPTS].sort());
    const seen = await gateway.until(async () => {
      const found = await events();
      return found.length === PROMPTS.length ? found : null;
    });
    const output = seen.reduce((sum, { output_tokens }) => sum + output_tokens, 0);
    expect(answer.usage?.completion_tokens).toBe(output);
    expect(answer.usage?.prompt_tokens).toBe(seen.reduce((sum, { input_tokens }) => sum + input_tokens, 0));
  });

  test("streamed: one stream, each event under its own index, one id and one terminator", async () => {
    const body = { model: "chatty", prompt: PROMPTS, stream: true, stream_options: { include_usage: true } };
    const { status, text, headers } = await call(`${gateway.url}/v1/completions`, { body, headers: BEARER });
    expect(status).toBe(200);
    expect(headers["content-type"]).toContain("text/event-stream");
    const data = text
      .split("\n\n")
      .filter((event) => event.startsWith("data: "))
      .map((event) => event.slice(6));
    expect(data.at(-1)).toBe("[DONE]");
    expect(data.filter((event) => event === "[DONE]")).toHaveLength(1);
    const chunks = data.slice(0, -1).map((event) => JSON.parse(event));
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    const usage = chunks.at(-1).usage;
    expect(chunks.at(-1).choices).toEqual([]);
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    const said = new Map<number, string>();
    const finished = new Set<number>();
    for (const { choices } of chunks) {
      for (const choice of choices) {
        said.set(choice.index, (said.get(choice.index) ?? "") + choice.text);
        if (choice.finish_reason !== null) finished.add(choice.index);
      }
    }
    expect([...said.keys()].sort()).toEqual(PROMPTS.map((_, index) => index));
    expect(finished.size).toBe(PROMPTS.length);
    for (const text of said.values()) expect(text).not.toBe("");
    requestId = String(headers["x-weir-request-id"]);
    const seen = await gateway.until(async () => {
      const found = await events();
      return found.length === PROMPTS.length ? found : null;
    });
    expect(usage.completion_tokens).toBe(seen.reduce((sum, { output_tokens }) => sum + output_tokens, 0));
  });

  test("streamed through the client, behind a routing model", async () => {
    const stream = await client().completions.create({ model: "routed", prompt: PROMPTS.slice(0, 3), stream: true });
    const indexes = new Set<number>();
    for await (const chunk of stream) for (const choice of chunk.choices) indexes.add(choice.index);
    expect([...indexes].sort()).toEqual([0, 1, 2]);
  });

  test("a prompt that fails is the whole request's failure, before its streams begin and within", async () => {
    const refused = { match: { contains: "third" }, status: 429, headers: { "retry-after": "9" } };
    upstream.script(refused);
    const whole = await call(`${gateway.url}/v1/completions`, { body: { model: "chatty", prompt: PROMPTS } });
    expect(whole.status).toBe(429);
    expect(whole.headers["retry-after"]).toBe("9");
    upstream.script({ match: { contains: "first" }, error_frame_after: 3, times: 1 });
    const body = { model: "chatty", prompt: PROMPTS, stream: true };
    const within = await call(`${gateway.url}/v1/completions`, { body });
    expect(within.status).toBe(200);
    expect(within.text).not.toContain("[DONE]");
    const last = within.text.trimEnd().split("\n\n").at(-1) ?? "";
    expect(JSON.parse(last.slice(6))).toHaveProperty("error");
    upstream.reset();
    upstream.script({ ...refused, match: { contains: "PROMPT" } });
    const before = await call(`${gateway.url}/v1/completions`, { body: { ...body, prompt: ["PROMPT a", "b", "c"] } });
    expect(before.text).toContain("error");
    expect(before.text).not.toContain("[DONE]");
  });

  test("a client that leaves ends every call", async () => {
    upstream.script({ gap_ms: 200, words: 400, times: -1 });
    const leaving = new AbortController();
    const stream = await client().completions.create(
      { model: "chatty", prompt: PROMPTS, stream: true },
      { signal: leaving.signal },
    );
    for await (const _ of stream) break;
    leaving.abort();
    const { aborted } = await upstream.until((stats) => stats.aborted >= 4);
    expect(aborted).toBe(4);
  });

  test("a model's own limit counts the request, not its parts", async () => {
    const remaining = async () => {
      const { headers } = await call(`${gateway.url}/v1/completions`, { body: { model: "chatty", prompt: PROMPTS } });
      return Number(headers["x-ratelimit-remaining-requests"]);
    };
    const before = await remaining();
    expect(await remaining()).toBe(before - 1);
  });

  test("token numbers are refused: nobody knows whose they are", async () => {
    const { status, json } = await call(`${gateway.url}/v1/completions`, {
      body: { model: "chatty", prompt: [[1, 2], [3]] },
    });
    expect(status).toBe(400);
    expect(json().error).toMatchObject({ param: "prompt" });
  });
});
