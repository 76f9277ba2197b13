/** Rankings on every wire, asked for with the client of the dialect's own vendor and over plain HTTP. */
import { CohereClientV2 } from "cohere-ai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { scoreOf } from "../fake-upstream/list-answers.js";
import { call, eventOf } from "./calls.js";
import { KEY } from "./gateway.js";
import { endListStage, type ListStage, startListStage } from "./lists.js";

const QUERY = "capital of Austria";
const DOCUMENTS = ["Rome is old", "Vienna is the capital of Austria", "the capital", "of course"];
const ORDER = [1, 2, 3, 0];
const SCORES = ORDER.map((index) => scoreOf(QUERY, DOCUMENTS[index] as string));

interface Wire {
  readonly model: string;
  readonly target: string;
  readonly tokens: boolean;
  readonly units: number;
  readonly guessed?: boolean;
}

const WIRES: readonly Wire[] = [
  { model: "rerank-v3.5", target: "rerank", tokens: false, units: 1 },
  { model: "jina-reranker-v3", target: "rerank", tokens: true, units: 0 },
  { model: "voyage/rerank-2.5", target: "voyage-rerank", tokens: true, units: 0 },
  { model: "amazon.rerank-v1:0", target: "bedrock-rerank", tokens: false, units: 1, guessed: true },
  { model: "cohere.rerank-v3-5:0", target: "bedrock-rerank", tokens: false, units: 1, guessed: true },
  { model: "bge-reranker", target: "tei-rerank", tokens: false, units: 0 },
];

describe("rerank", () => {
  let staged: ListStage | undefined;
  const stage = (): ListStage => {
    if (staged === undefined) throw new Error("nothing was started");
    return staged;
  };

  beforeAll(async () => {
    staged = await startListStage();
  });
  afterAll(() => endListStage(staged));
  beforeEach(() => stage().upstream.reset());

  test("the vendor's own client reads the upstream itself", async () => {
    const client = new CohereClientV2({ token: "t", environment: stage().upstream.url, maxRetries: 0 });
    const { results } = await client.rerank({ model: "rerank-v3.5", query: QUERY, documents: DOCUMENTS });
    expect(results.map(({ index }) => index)).toEqual(ORDER);
  });

  describe.each(WIRES)("$model", ({ model, target, tokens, units, guessed = false }) => {
    test("the vendor's client gets the order, best first, and no more than it wants", async () => {
      const client = new CohereClientV2({ token: KEY, environment: `${stage().gateway.url}/cohere`, maxRetries: 0 });
      const whole = await client.rerank({ model, query: QUERY, documents: DOCUMENTS });
      expect(whole.results.map(({ index }) => index)).toEqual(ORDER);
      expect(whole.results.map(({ relevanceScore }) => relevanceScore)).toEqual(SCORES);
      const best = await client.rerank({ model, query: QUERY, documents: DOCUMENTS, topN: 2 });
      expect(best.results.map(({ index }) => index)).toEqual(ORDER.slice(0, 2));
    });

    test.each(["/v1/rerank", "/v2/rerank", "/cohere/v2/rerank"])("%s, with its usage event", async (path) => {
      const body = { model, query: QUERY, documents: DOCUMENTS, top_n: 3 };
      const { status, headers, text } = await call(stage().gateway.url + path, { body });
      expect(status).toBe(200);
      expect((JSON.parse(text).results as { index: number }[]).map(({ index }) => index)).toEqual(ORDER.slice(0, 3));
      const event = await eventOf(stage().gateway, headers["x-weir-request-id"] as string);
      expect(event).toMatchObject({ operation: "rerank", target_dialect: target, status: 200, search_units: units });
      expect(event.input_tokens > 0).toBe(tokens);
      expect(event).toMatchObject({ output_tokens: 0, estimated: guessed });
    });

    test("documents as objects, and back again", async () => {
      const documents = DOCUMENTS.map((text, id) => ({ id, text }));
      const body = { model, query: QUERY, documents, return_documents: true };
      const { status, text } = await call(`${stage().gateway.url}/v1/rerank`, { body });
      expect(status).toBe(200);
      const results = JSON.parse(text).results as { index: number; document: { text: string } }[];
      expect(results.map(({ document }) => document.text)).toEqual(ORDER.map((index) => DOCUMENTS[index]));
    });
  });

  test("on the diagonal the caller's bytes pass", async () => {
    const body = `{"model":"rerank-v3.5", "query":"x",  "documents":["a","\\u0062"],"priority":1.0}`;
    expect((await call(`${stage().gateway.url}/v2/rerank`, { body })).status).toBe(200);
    expect(stage().upstream.requests()[0]?.body).toEqual(JSON.parse(body));
  });

  test("fields of a document are ranked by where the caller says so", async () => {
    const documents = [
      { title: "Rome", text: "x" },
      { title: "capital", text: "of Austria" },
    ];
    const body = { model: "rerank-v3.5", query: QUERY, documents, rank_fields: ["title", "text"] };
    await call(`${stage().gateway.url}/v1/rerank`, { body });
    expect(stage().upstream.requests()[0]?.body.documents[1]).toBe("title: capital\ntext: of Austria");
  });

  test("refusals name the field, in the vendor's envelope and in that of its look-alikes", async () => {
    for (const [body, param] of [
      [{ documents: ["a"] }, "query"],
      [{ query: "q" }, "documents"],
      [{ query: 3, documents: ["a"] }, "query"],
      [{ query: "q", documents: "a" }, "documents"],
    ] as const) {
      const { status, json } = await call(`${stage().gateway.url}/v2/rerank`, {
        body: { model: "rerank-v3.5", ...body },
      });
      expect(status).toBe(400);
      expect(json()).toMatchObject({ message: expect.stringContaining(param), error: { param } });
    }
    const { status, json } = await call(`${stage().gateway.url}/v1/rerank`, {
      body: { model: "voyage/rerank-2.5", query: "q", documents: [{ title: "no text" }] },
    });
    expect(status).toBe(400);
    expect(json()).toMatchObject({ error: { param: "documents[0].text" } });
  });

  test("an upstream's error is the caller's", async () => {
    stage().upstream.failOn("bad", 429);
    const { status, headers, json } = await call(`${stage().gateway.url}/v2/rerank`, {
      body: { model: "voyage/rerank-2.5", query: "bad", documents: ["a"] },
    });
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("7");
    expect(json()).toMatchObject({ message: "this one fails" });
  });

  test("a model that ranks nothing says so", async () => {
    const { status, json } = await call(`${stage().gateway.url}/v2/rerank`, {
      body: { model: "mistral-embed", query: "q", documents: ["a"] },
    });
    expect(status).toBe(400);
    expect(json()).toMatchObject({ error: { code: "unsupported_operation" } });
  });
});
