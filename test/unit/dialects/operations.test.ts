/** Codecs of what is no conversation, held to the types and the encoders of the vendors' own SDKs. */
import { CohereClientV2 } from "cohere-ai";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError, type TargetTraits } from "../../../src/dialects/codec.js";
import type { DialectId, WireId } from "../../../src/dialects/dialect.js";
import { translateRequest } from "../../../src/dialects/hub.js";
import { isOlderForm, mustHaveCodec, wantsVocabulary } from "../../../src/dialects/operations.js";
import { type JsonObject, type JsonValue, LossList } from "../../../src/dialects/semantic.js";
import { type Failure, isFailure } from "../../../src/errors.js";

interface Written {
  readonly body: JsonObject;
  readonly losses: readonly string[];
  readonly told: JsonObject;
}

function traits(model: string): TargetTraits {
  return { provider: "p", model, defaultMaxTokens: 1, maxTokensField: "max_tokens", structuredOutput: "native" };
}

function attempt(client: DialectId, wire: WireId, body: JsonObject, model = "the-model"): Written | Failure {
  const bytes = Buffer.from(JSON.stringify({ model: "named", ...body }));
  const translation = translateRequest({ client, wire, body: bytes, traits: traits(model), stream: false });
  if (isFailure(translation)) return translation;
  const text = Buffer.from(translation.body).toString("utf8");
  return { body: JSON.parse(text), losses: translation.losses, told: translation.told ?? {} };
}

function written(client: DialectId, wire: WireId, body: JsonObject, model?: string): Written {
  const result = attempt(client, wire, body, model);
  if (isFailure(result)) throw new Error(result.message);
  return result;
}

function refusedParam(client: DialectId, wire: WireId, body: JsonObject, model?: string): string | null {
  const result = attempt(client, wire, body, model);
  return isFailure(result) ? result.param : "not refused";
}

function read(client: DialectId, wire: WireId, body: JsonValue, told: JsonObject): JsonObject {
  return mustHaveCodec(client, wire).decodeAnswer({
    body,
    told,
    losses: new LossList(),
    model: "named",
    requestId: "r",
    created: 1,
    header: () => "",
  }).body;
}

interface Exchanged {
  /** What the vendor's client sent. */
  readonly sent: JsonObject;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into field by field.
  readonly told: any;
}

/** The vendor's own client, given this answer. */
async function byVendor(ask: (client: CohereClientV2) => Promise<unknown>, answer: JsonObject): Promise<Exchanged> {
  let sent: JsonObject = {};
  const client = new CohereClientV2({
    token: "t",
    maxRetries: 0,
    fetch: async (_url, init) => {
      sent = JSON.parse(String(init?.body));
      return new Response(JSON.stringify(answer), { headers: { "content-type": "application/json" } });
    },
  });
  const told = await ask(client);
  return { sent, told };
}

const VECTOR_WIRES = [
  ["cohere-embed", "embed-v4.0"],
  ["gemini-embeddings", "gemini-embedding-001"],
  ["vertex-embeddings", "text-embedding-005"],
  ["bedrock-embeddings", "cohere.embed-v4:0"],
  ["voyage-embeddings", "voyage-4"],
] as const;

describe("embeddings", () => {
  it("Cohere's own client writes the same body", async () => {
    const { body } = written("openai-embeddings", "cohere-embed", {
      input: ["a", "b"],
      dimensions: 256,
      input_type: "search_query",
      truncate: "END",
    });
    const inputType = "search_query" as const;
    const asked = { model: "the-model", texts: ["a", "b"], inputType, outputDimension: 256 };
    const answer = { id: "1", response_type: "embeddings_by_type", embeddings: { float: [] } };
    const { sent } = await byVendor(
      (client) => client.embed({ ...asked, embeddingTypes: ["float"], truncate: "END" }),
      answer,
    );
    expect(body).toEqual(sent);
  });

  it.each(VECTOR_WIRES)("%s: odd fields are losses, the vendor's own are taken", (wire, model) => {
    expect(
      written("openai-embeddings", wire, { input: "a", user: "u", shiny: 1, nothing: null }, model).losses,
    ).toEqual(["user", "shiny"]);
  });

  it.each([...VECTOR_WIRES, ["bedrock-embeddings", "amazon.titan-embed-text-v2:0"] as const])(
    "%s (%s): what is no text is refused by its place",
    (wire, model) => {
      for (const [input, param] of [
        ["", "not refused"],
        [[], "input"],
        [null, "input"],
        [3, "input"],
        [["a", null], "input[1]"],
        [[1, 2], "input"],
        [[[1]], "input"],
        [[[]], "input[0]"],
      ] as const) {
        expect(refusedParam("openai-embeddings", wire, { input: input as JsonValue }, model)).toBe(param);
      }
    },
  );

  it("models that take one text a call refuse more than one", () => {
    for (const [wire, model] of [
      ["bedrock-embeddings", "amazon.titan-embed-text-v1"],
      ["vertex-embeddings", "gemini-embedding-2"],
    ] as const) {
      expect(refusedParam("openai-embeddings", wire, { input: ["a", "b"] }, model)).toBe("input");
    }
    expect(refusedParam("openai-embeddings", "bedrock-embeddings", { input: "a" }, "somebody.embeds")).toBe("model");
  });

  it("floats go to base64 and back as 32-bit floats, little-endian", () => {
    const run = fc.property(fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 20 }), (vector) => {
      const embeddings = { float: [vector] };
      const packed = read("openai-embeddings", "cohere-embed", { embeddings }, { count: 1, base64: true });
      const [{ embedding } = { embedding: "" }] = packed.data as { embedding: string }[];
      const bytes = Buffer.from(embedding, "base64");
      const back = vector.map((_, at) => bytes.readFloatLE(at * 4));
      expect(back).toEqual(vector);
      const data = [{ index: 0, embedding }];
      const unpacked = read("openai-embeddings", "voyage-embeddings", { data }, { count: 1, base64: false });
      expect((unpacked.data as { embedding: number[] }[])[0]?.embedding).toEqual(vector);
    });
    fc.assert(run);
  });

  it("an answer with a vector too few, or with none that is one, is broken", () => {
    for (const embeddings of [
      { float: [] },
      { float: [[1]] },
      { float: [[1], []] },
      { float: [[1], ["x"]] },
      [],
      null,
    ]) {
      const decode = () => read("openai-embeddings", "cohere-embed", { embeddings } as JsonObject, { count: 2 });
      expect(decode).toThrow(DecodeError);
    }
  });

  it("only token numbers want a vocabulary", () => {
    const wants = (body: JsonObject) =>
      wantsVocabulary("openai-embeddings", Buffer.from(JSON.stringify(body, null, 1)));
    expect(wants({ input: [1, 2] })).toBe(true);
    expect(wants({ input: [[1, 2], [3]] })).toBe(true);
    for (const input of ["1", ["1"], [], [[]], {}, null]) expect(wants({ input })).toBe(false);
    expect(wants({})).toBe(false);
    expect(wantsVocabulary("rerank", Buffer.from('{"input":[1]}'))).toBe(false);
  });
});

describe("rerank", () => {
  it("Cohere's own client writes the same body that comes of the older form", async () => {
    const { body } = written("rerank", "rerank", {
      query: "q",
      documents: [{ text: "a", id: 1 }, "b"],
      top_n: 1,
      return_documents: true,
      max_tokens_per_doc: 5,
    });
    const asked = { model: "the-model", query: "q", documents: ["a", "b"], topN: 1, maxTokensPerDoc: 5 };
    const { sent } = await byVendor((client) => client.rerank(asked), { id: "1", results: [] });
    expect(body).toEqual(sent);
  });

  it("every answer is one that Cohere's client can read", async () => {
    const told = { count: 2, most: null, documents: ["a", "b"] };
    const results = [
      { index: 1, relevance_score: 0.25 },
      { index: 0, relevance_score: 0.75 },
    ];
    const wires: readonly (readonly [WireId, JsonValue])[] = [
      ["voyage-rerank", { data: results, usage: { total_tokens: 3 } }],
      ["bedrock-rerank", { results }],
      ["tei-rerank", results.map(({ index, relevance_score: score }) => ({ index, score }))],
    ];
    for (const [wire, body] of wires) {
      const answer = read("rerank", wire, body, told);
      const asked = { model: "m", query: "q", documents: ["a", "b"] };
      const { told: parsed } = await byVendor((client) => client.rerank(asked), answer);
      // biome-ignore lint/suspicious/noExplicitAny: the client's own type is not at hand here.
      expect(parsed.results.map((one: any) => [one.index, one.relevanceScore])).toEqual([
        [0, 0.75],
        [1, 0.25],
      ]);
      expect(answer.results).toEqual([
        { index: 0, relevance_score: 0.75, document: { text: "a" } },
        { index: 1, relevance_score: 0.25, document: { text: "b" } },
      ]);
    }
  });

  it("results of no document, or without a score, break the answer", () => {
    for (const results of [[{ index: 2, relevance_score: 1 }], [{ index: 0 }], [{ relevance_score: 1 }]]) {
      expect(() => read("rerank", "bedrock-rerank", { results }, { count: 2 })).toThrow(DecodeError);
    }
    expect(() => read("rerank", "tei-rerank", {}, { count: 2 })).toThrow(DecodeError);
  });

  it("an older form is never taken for the newest", () => {
    const text = fc.string();
    const older = fc.oneof(
      fc.record({ documents: fc.array(fc.record({ text }), { minLength: 1 }), query: text }),
      fc.record({ query: text, documents: fc.array(text, { minLength: 1 }), return_documents: fc.boolean() }),
      fc.record({ query: text, rank_fields: fc.array(text), documents: fc.array(text) }),
    );
    const run = fc.property(older, fc.constantFrom(0, 1), (body, spaces) => {
      expect(isOlderForm("rerank", Buffer.from(JSON.stringify(body, null, spaces)))).toBe(true);
    });
    fc.assert(run);
    expect(isOlderForm("rerank", Buffer.from('{"query":"documents","documents":["{"]}'))).toBe(false);
    expect(isOlderForm("openai-chat", Buffer.from('{"return_documents":1}'))).toBe(false);
  });

  it("refuses by place", () => {
    for (const [body, param] of [
      [{ query: "q", documents: [] }, "documents"],
      [{ query: {}, documents: ["a"] }, "query"],
      [{ query: "q", documents: ["a", 1] }, "documents[1]"],
      [{ query: "q", documents: [{ x: 1 }], rank_fields: ["y"] }, "documents[0]"],
      [{ query: "q", documents: ["a"], top_n: "1" }, "top_n"],
    ] as const) {
      expect(refusedParam("rerank", "voyage-rerank", body as unknown as JsonObject)).toBe(param);
    }
  });
});

describe("images", () => {
  it("reads what Gemini's client reads, and leaves out what the model drew on the way", () => {
    const inlineData = (data: string) => ({ inlineData: { mimeType: "image/png", data } });
    const parts = [{ text: "t" }, { ...inlineData("ZHJhZnQ="), thought: true }, inlineData("aW1hZ2U=")];
    const usageMetadata = { promptTokenCount: 3, candidatesTokenCount: 1290, thoughtsTokenCount: 10 };
    const answer = read("openai-images", "google-images", { candidates: [{ content: { parts } }], usageMetadata }, {});
    expect(answer).toEqual({
      created: 1,
      data: [{ b64_json: "aW1hZ2U=" }],
      usage: { input_tokens: 3, output_tokens: 1300, total_tokens: 1303 },
    });
  });

  it("quality and format in the vendors' words", () => {
    const amazon = (body: JsonObject) =>
      written("openai-images", "bedrock-images", { prompt: "p", ...body }, "amazon.nova-canvas-v1:0");
    expect(amazon({ quality: "high", size: "1280x720", n: 2 }).body.imageGenerationConfig).toEqual({
      numberOfImages: 2,
      width: 1280,
      height: 720,
      quality: "premium",
    });
    expect(amazon({ quality: "auto", background: "auto" }).losses).toEqual([]);
    expect(amazon({ output_format: "webp" }).losses).toEqual(["output_format"]);
    const stability = written("openai-images", "bedrock-images", { prompt: "p", output_format: "jpeg" }, "stability.x");
    expect(stability.body).toEqual({ prompt: "p", mode: "text-to-image", output_format: "jpeg" });
  });
});
