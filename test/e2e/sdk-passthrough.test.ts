/** Vendors' own clients whose dialect the gateway does not speak: by way of /passthrough, with the caller's key. */
import { GoogleGenAI } from "@google/genai";
import { CohereClientV2 } from "cohere-ai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { GEMINI, MODEL } from "../fake-upstream/vendor-gemini.js";
import { startVendorUpstream, type VendorUpstream } from "../fake-upstream/vendor-upstream.js";
import { vendorTalk } from "./family-gemini-client.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { endListStage, type ListStage, startListStage } from "./lists.js";

function google(baseUrl: string): GoogleGenAI {
  return new GoogleGenAI({ apiKey: KEY, vertexai: false, httpOptions: { baseUrl } });
}

describe("lists and images", () => {
  let stage: ListStage;

  beforeAll(async () => {
    stage = await startListStage();
  });
  afterAll(() => endListStage(stage));
  beforeEach(() => stage.upstream.reset());

  test("@google/genai embeds", async () => {
    const client = google(`${stage.gateway.url}/passthrough/gemini`);
    const answer = await client.models.embedContent({ model: "gemini-embedding-2", contents: ["one"] });
    expect(answer.embeddings?.map(({ values }) => (values?.length ?? 0) > 0)).toEqual([true]);
    expect(stage.upstream.requests()).toHaveLength(1);
  });

  test("cohere-ai embeds and ranks", async () => {
    const environment = `${stage.gateway.url}/passthrough/cohere`;
    const client = new CohereClientV2({ token: KEY, environment, maxRetries: 0 });
    const vectors = await client.embed({
      model: "embed-v4.0",
      texts: ["one", "two"],
      inputType: "search_document",
      embeddingTypes: ["float"],
    });
    expect(vectors.embeddings.float?.length).toBe(2);
    const documents = ["Rome is old", "Vienna is the capital of Austria"];
    const ranked = await client.rerank({ model: "rerank-v3.5", query: "capital of Austria", documents });
    expect(ranked.results[0]?.index).toBe(1);
    const event = await stage.gateway.until(async () =>
      (await stage.gateway.events()).find(({ search_units: units }) => units > 0),
    );
    expect(event).toMatchObject({ operation: "passthrough", provider: "cohere", search_units: 1 });
  });
});

describe("conversations", () => {
  let upstream: VendorUpstream;
  let gateway: RunningGateway;

  beforeAll(async () => {
    upstream = await startVendorUpstream(GEMINI);
    gateway = await startGateway({
      resources: {
        _format_version: "1",
        provider_keys: [{ display_name: "studio", provider: "gemini", api_base: upstream.url, api_key: "gemini-key" }],
        models: [{ display_name: MODEL, provider: "gemini", model_name: MODEL, provider_key: "studio" }],
        api_keys: [{ display_name: "ann", key_hash: sha256(KEY), allowed_models: ["*"] }],
      },
    });
  });
  afterAll(async () => {
    await gateway.dispose();
    await upstream.close();
  });

  test.each([false, true])("@google/genai talks, streamed: %s", async (streamed) => {
    const talk = vendorTalk(google(`${gateway.url}/passthrough/studio`), streamed, true);
    const reply = await talk.ask({ prompt: "Loop." });
    expect(reply.calls.map(({ name }) => name)).toEqual(["now"]);
    const event = await gateway.until(async () =>
      (await gateway.events()).find((one) => one.streamed === streamed && one.operation === "passthrough"),
    );
    expect(event).toMatchObject({
      provider: "gemini",
      api_key: "ann",
      status: 200,
      input_tokens: reply.usage.input,
      output_tokens: reply.usage.output,
    });
  });
});
