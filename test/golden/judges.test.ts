/** The vendors' own clients as judges of the requests that they could have sent: each cell's body is one of theirs. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { GoogleGenAI } from "@google/genai";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../../src/dialects/semantic.js";
import { sentBySdk } from "../unit/dialects/bedrock-converse/sdk.js";
import { CASES, CLIENTS, expectedCells, WIRES } from "./cells.js";

afterEach(() => vi.unstubAllGlobals());

/** What the vendor's client sends when it is given the same; it leaves out, or refuses, what it does not know. */
async function sentByGenAi({ contents, generationConfig, ...rest }: JsonObject): Promise<JsonObject> {
  let sent = "";
  vi.stubGlobal("fetch", async (_url: string, options: { body: string }) => {
    sent = options.body;
    return new Response('{"candidates":[]}', { headers: { "content-type": "application/json" } });
  });
  const config = { ...rest, ...(generationConfig as JsonObject) };
  const parameters = { model: WIRES.gemini.model, contents, config } as never;
  await new GoogleGenAI({ apiKey: "none", vertexai: false }).models.generateContent(parameters);
  return JSON.parse(sent) as JsonObject;
}

interface Schema {
  parse(raw: unknown, options: { unrecognizedObjectKeys: "fail" }): { ok: boolean; errors?: unknown };
}

/** The schema that the vendor's client writes requests by; its package does not export it. */
function cohereSchema(): Schema {
  const require = createRequire(import.meta.url);
  const folder = join(dirname(require.resolve("cohere-ai")), "serialization/resources/v2/client/requests");
  return (require(join(folder, "V2ChatRequest.js")) as { V2ChatRequest: Schema }).V2ChatRequest;
}

describe.each(CLIENTS)("requests of %s callers", (client) => {
  it.each(CASES)("%s: bedrock-converse", async (name) => {
    const { request } = expectedCells(client, "bedrock-converse")[name]!;
    expect(await sentBySdk(request)).toEqual(request);
  });

  it.each(CASES)("%s: gemini", async (name) => {
    const { request } = expectedCells(client, "gemini")[name]!;
    expect(await sentByGenAi(request)).toEqual(request);
  });

  it.each(CASES)("%s: cohere-chat", (name) => {
    // Whether it streams is no member of the schema: the client has a method for each.
    const { stream: _, ...request } = expectedCells(client, "cohere-chat")[name]!.request;
    expect(cohereSchema().parse(request, { unrecognizedObjectKeys: "fail" })).toMatchObject({ ok: true });
  });
});
