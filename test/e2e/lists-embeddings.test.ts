/** Embeddings on every wire, asked for with the client of the caller's dialect: short lists and long ones. */
import { GoogleGenAI } from "@google/genai";
import { CohereClientV2 } from "cohere-ai";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import { tokensOf, vectorOf } from "../fake-upstream/list-answers.js";
import { call, eventOf } from "./calls.js";
import { KEY } from "./gateway.js";
import { endListStage, type ListStage, startListStage } from "./lists.js";

interface Wire {
  readonly model: string;
  readonly target: string;
  /** Inputs that one call takes. */
  readonly most: number;
  /** The upstream says how many tokens it read. */
  readonly counts: boolean;
  /** The model's vectors can be shortened. */
  readonly dimensions: boolean;
}

const wire = (model: string, target: string, most: number, differs: Partial<Wire> = {}): Wire => {
  return { model, target, most, counts: true, dimensions: true, ...differs };
};

const WIRES: readonly Wire[] = [
  wire("gemini-embedding-2", "gemini-embeddings", 100, { counts: false }),
  wire("text-embedding-005", "vertex-embeddings", 250),
  wire("gemini-embedding-001", "vertex-embeddings", 1),
  wire("vertex/gemini-embedding-2", "vertex-embeddings", 1),
  wire("amazon.titan-embed-text-v1", "bedrock-embeddings", 1, { dimensions: false }),
  wire("amazon.titan-embed-text-v2:0", "bedrock-embeddings", 1),
  wire("amazon.nova-2-multimodal-embeddings-v1:0", "bedrock-embeddings", 1),
  wire("cohere.embed-v4:0", "bedrock-embeddings", 96),
  wire("embed-v4.0", "cohere-embed", 96),
  wire("jina-embeddings-v4", "openai-embeddings", 2048),
  wire("voyage-4", "voyage-embeddings", 1000),
  wire("mistral-embed", "openai-embeddings", 10_000),
];

const THREE = ["Grüß Gott", "hello there", "世界"];

describe("embeddings", () => {
  let staged: ListStage | undefined;
  let ids: string[] = [];
  let headers: Headers[] = [];
  const stage = (): ListStage => {
    if (staged === undefined) throw new Error("nothing was started");
    return staged;
  };
  const client = () =>
    new OpenAI({
      apiKey: KEY,
      baseURL: `${stage().gateway.url}/v1`,
      maxRetries: 0,
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        ids.push(response.headers.get("x-weir-request-id") ?? "");
        headers.push(response.headers);
        return response;
      },
    });
  const eventsOf = async (count: number): Promise<UsageEvent[]> =>
    stage().gateway.until(async () => {
      const found = (await stage().gateway.events()).filter(({ request_id }) => request_id === ids.at(-1));
      return found.length >= count ? found : null;
    });

  beforeAll(async () => {
    staged = await startListStage();
  });
  afterAll(() => endListStage(staged));
  beforeEach(() => {
    stage().upstream.reset();
    ids = [];
    headers = [];
  });

  describe("the vendors' own clients, at the upstream itself", () => {
    test("Gemini's and Cohere's read what it says", async () => {
      const { url } = stage().upstream;
      const google = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: url } });
      const made = await google.models.embedContent({ model: "gemini-embedding-001", contents: THREE });
      expect(made.embeddings?.map(({ values }) => values)).toEqual(THREE.map((text) => vectorOf(text)));
      const cohere = new CohereClientV2({ token: "t", environment: url, maxRetries: 0 });
      const embedded = await cohere.embed({
        model: "embed-v4.0",
        texts: THREE,
        inputType: "search_document",
        embeddingTypes: ["float"],
      });
      expect(embedded.embeddings.float).toEqual(THREE.map((text) => vectorOf(text)));
    });
  });

  describe.each(WIRES)("$model", ({ model, target, most, counts, dimensions }) => {
    test("three texts, as the client asks unasked (base64) and as numbers", async () => {
      for (const encoding_format of [undefined, "float", "base64"] as const) {
        const asked = encoding_format === undefined ? {} : { encoding_format };
        const answer = await client().embeddings.create({ model, input: THREE, ...asked });
        const wanted =
          encoding_format === "base64"
            ? THREE.map((text) => Buffer.from(Float32Array.from(vectorOf(text)).buffer).toString("base64"))
            : THREE.map((text) => vectorOf(text));
        expect(answer.data.map(({ embedding }) => embedding)).toEqual(wanted);
        expect(answer.data.map(({ index }) => index)).toEqual([0, 1, 2]);
        const tokens = THREE.reduce((sum, text) => sum + tokensOf(text), 0);
        if (counts) expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
        else expect(answer.usage).toBeUndefined();
        const events = await eventsOf(Math.ceil(3 / most));
        expect(events).toHaveLength(Math.ceil(3 / most));
        expect(events[0]).toMatchObject({
          operation: "embeddings",
          target_dialect: target,
          status: 200,
          complete: true,
        });
        expect(events.every(({ estimated }) => estimated === !counts)).toBe(true);
        if (counts) expect(events.reduce((sum, { input_tokens }) => sum + input_tokens, 0)).toBe(tokens);
        else expect(events[0]?.input_tokens).toBeGreaterThan(0);
      }
    });

    test("one text, and vectors of another length", async () => {
      const answer = await client().embeddings.create({
        model,
        input: "alone",
        dimensions: 8,
        encoding_format: "float",
      });
      expect(answer.data[0]?.embedding).toEqual(vectorOf("alone", dimensions ? 8 : 4));
      const lost = target === "openai-embeddings" || dimensions ? null : "dimensions";
      expect(headers[0]?.get("x-weir-losses") ?? null).toBe(lost);
    });
  });

  describe("lists longer than one call takes", () => {
    const list = Array.from({ length: 230 }, (_, index) => `text number ${index}`);

    test.each([
      ["gemini-embedding-2", 3],
      ["embed-v4.0", 3],
      ["amazon.titan-embed-text-v2:0", 230],
      ["text-embedding-005", 1],
    ])("%s: %i calls, one answer in order", async (model, calls) => {
      stage().upstream.delay(calls > 1 ? 2 : 0);
      const answer = await client().embeddings.create({ model, input: list, encoding_format: "float" });
      expect(answer.data.map(({ embedding }) => embedding)).toEqual(list.map((text) => vectorOf(text)));
      expect(answer.data.map(({ index }) => index)).toEqual(list.map((_, index) => index));
      expect(stage().upstream.requests()).toHaveLength(calls);
      expect(stage().upstream.mostOpen()).toBeLessThanOrEqual(4);
      if (calls > 4) expect(stage().upstream.mostOpen()).toBeGreaterThan(1);
      const tokens = list.reduce((sum, text) => sum + tokensOf(text), 0);
      if (model !== "gemini-embedding-2") expect(answer.usage.total_tokens).toBe(tokens);
      expect(headers[0]?.get("x-weir-attempts")).toBe(String(calls));
      const events = await eventsOf(calls);
      expect(events).toHaveLength(calls);
      expect(new Set(events.map(({ attempt }) => attempt)).size).toBe(calls);
    });

    test("one call's failure is the whole request's, with its time to wait", async () => {
      stage().upstream.failOn("text number 120", 429);
      const failed = await client()
        .embeddings.create({ model: "embed-v4.0", input: list })
        .catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(OpenAI.RateLimitError);
      expect((failed as { message: string }).message).toContain("this one fails");
      expect(headers[0]?.get("retry-after")).toBe("7");
    });

    test("a client that leaves ends all calls", async () => {
      stage().upstream.delay(10_000);
      const leaving = new AbortController();
      const asked = client()
        .embeddings.create({ model: "amazon.titan-embed-text-v2:0", input: list }, { signal: leaving.signal })
        .catch((error: unknown) => error);
      await stage().gateway.until(() => stage().upstream.requests().length >= 4);
      leaving.abort();
      await asked;
      await stage().gateway.until(() => stage().upstream.aborted() === 4);
      expect(stage().upstream.requests()).toHaveLength(4);
    });
  });

  test.each(["embed-v4.0", "gemini-embedding-2"])("%s: long answers, told on another thread", async (model) => {
    const list = Array.from({ length: 40 }, (_, index) => `text ${index}`);
    for (const encoding_format of ["float", undefined] as const) {
      const asked = encoding_format === undefined ? {} : { encoding_format };
      const answer = await client().embeddings.create({ model, input: list, dimensions: 2_000, ...asked });
      expect(answer.data.map(({ embedding }) => embedding)).toEqual(list.map((text) => vectorOf(text, 2_000)));
    }
  });

  test("the gateway's own lists are cut, too", async () => {
    const { status, headers: sent } = await call(`${stage().gateway.url}/v1/chat/completions`, {
      body: { model: "by-topic", messages: [{ role: "user", content: "What does it mean?" }] },
    });
    expect(status).toBe(200);
    // The text itself and two examples.
    expect(stage().upstream.requests()).toHaveLength(3);
    const event = await stage().gateway.until(async () => {
      const events = await stage().gateway.events();
      return events.find((one) => one.operation === "chat" && one.request_id === sent["x-weir-request-id"]);
    });
    expect(event.model_entry).toBe("sim-law/simulator");
  });

  test("token numbers are read as text, by the vocabulary of the dialect's models", async () => {
    // "hello world" in cl100k_base.
    const tokens = [15339, 1917];
    for (const input of [tokens, [tokens]]) {
      const answer = await client().embeddings.create({ model: "embed-v4.0", input, encoding_format: "float" });
      expect(answer.data[0]?.embedding).toEqual(vectorOf("hello world"));
    }
    const url = `${stage().gateway.url}/v1/embeddings`;
    const refused = await call(url, { body: { model: "embed-v4.0", input: [[999_999_999]] } });
    expect(refused.status).toBe(400);
    expect(refused.json().error).toMatchObject({ param: "input[0]" });
  });

  test("what cannot be translated is refused, naming the field", async () => {
    const url = `${stage().gateway.url}/v1/embeddings`;
    for (const [body, param] of [
      [{ input: [] }, "input"],
      [{ input: ["a", 3] }, "input[1]"],
      [{ input: "a", encoding_format: "hex" }, "encoding_format"],
      [{ input: "a", dimensions: "8" }, "dimensions"],
    ] as const) {
      const { status, json } = await call(url, { body: { model: "embed-v4.0", ...body } });
      expect(status).toBe(400);
      expect(json().error).toMatchObject({ param });
    }
  });

  test("an upstream's error is the caller's, in its envelope", async () => {
    stage().upstream.failOn("bad", 404);
    const {
      status,
      json,
      headers: sent,
    } = await call(`${stage().gateway.url}/v1/embeddings`, {
      body: { model: "gemini-embedding-2", input: "bad" },
    });
    expect(status).toBe(404);
    expect(json().error).toMatchObject({ message: "this one fails" });
    expect(await eventOf(stage().gateway, sent["x-weir-request-id"] as string)).toMatchObject({
      status: 404,
      error: "upstream_error",
    });
  });

  test("what is left out is named; strict callers are refused", async () => {
    const body = { model: "gemini-embedding-2", input: "a", user: "u", odd_field: 1 };
    const url = `${stage().gateway.url}/v1/embeddings`;
    expect((await call(url, { body })).headers["x-weir-losses"]).toBe("user,odd_field");
    const strict = await call(url, { body, headers: { authorization: `Bearer ${KEY}`, "x-weir-strict": "true" } });
    expect(strict.status).toBe(400);
  });
});
