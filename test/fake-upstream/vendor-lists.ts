/**
 * Vendors' own endpoints for lists and images: embeddings, rankings, generated images. Every request is held to what
 * the vendor documents, members and bounds alike; a text's vector depends on nothing but the text. For tests only.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into field by field.
type Body = any;

export interface ListRequest {
  readonly path: string;
  readonly body: Body;
  /** Inputs that it held. */
  readonly inputs: number;
}

export interface ListUpstream {
  readonly url: string;
  requests(): readonly ListRequest[];
  /** The next request that holds this text is answered with this status and retry-after. */
  failOn(text: string, status: number): void;
  /** Most requests that were open at once. */
  mostOpen(): number;
  /** Requests that were cut off before their answer. */
  aborted(): number;
  /** Milliseconds before each answer. */
  delay(ms: number): void;
  reset(): void;
  close(): Promise<void>;
}

interface Reply {
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly inputs: number;
}

class Refused extends Error {}

/** The vector of a text: four numbers that 32-bit floats hold exactly. */
export function vectorOf(text: string, length = 4): number[] {
  let sum = 7;
  for (const char of text) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 4093;
  return Array.from({ length }, (_, index) => ((sum + index * 17) % 256) / 256 - 0.5);
}

/** A vendor counts a text's tokens so. */
export function tokensOf(text: string): number {
  return Math.max(1, Math.ceil(text.length / 4));
}

/** How well a document fits: by the words that it shares with the query. */
export function scoreOf(query: string, document: string): number {
  const words = new Set(document.toLowerCase().split(/\W+/));
  const wanted = query.toLowerCase().split(/\W+/);
  return wanted.filter((word) => words.has(word)).length / wanted.length;
}

function only(body: Body, ...names: string[]): void {
  for (const name of Object.keys(body)) if (!names.includes(name)) throw new Refused(`unknown field: ${name}`);
}

function texts(list: unknown, most: number): string[] {
  if (!Array.isArray(list) || list.length === 0) throw new Refused("a list is needed");
  if (list.length > most) throw new Refused(`at most ${most} inputs`);
  for (const text of list) if (typeof text !== "string") throw new Refused("an input is no text");
  return list;
}

function sum(list: readonly string[]): number {
  return list.reduce((total, text) => total + tokensOf(text), 0);
}

/** 32-bit floats, little-endian. */
function base64(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString("base64");
}

function ranked(query: unknown, documents: string[], most: unknown): { index: number; score: number }[] {
  if (typeof query !== "string") throw new Refused("a query is needed");
  const scored = documents.map((text, index) => ({ index, score: scoreOf(query, text) }));
  scored.sort((one, other) => other.score - one.score || one.index - other.index);
  return typeof most === "number" ? scored.slice(0, most) : scored;
}

// ---- the vendors -----------------------------------------------------------------------------------

function geminiBatch(body: Body): Reply {
  only(body, "requests");
  const list = body.requests.map((request: Body) => {
    only(request, "model", "content", "outputDimensionality", "taskType", "title");
    if (!String(request.model).startsWith("models/")) throw new Refused("model must be models/…");
    return request.content.parts[0].text;
  });
  const made = texts(list, 100).map((text, at) => ({ values: vectorOf(text, body.requests[at].outputDimensionality) }));
  return { body: { embeddings: made }, inputs: made.length };
}

function vertexPredict(body: Body, path: string): Reply {
  only(body, "instances", "parameters");
  const list = body.instances.map((instance: Body) => {
    only(instance, "content", "task_type", "title");
    return instance.content;
  });
  const one = path.includes("gemini-embedding-001");
  const made = texts(list, one ? 1 : 250).map((text) => ({
    embeddings: {
      values: vectorOf(text, body.parameters?.outputDimensionality),
      statistics: { truncated: false, token_count: tokensOf(text) },
    },
  }));
  return { body: { predictions: made }, inputs: made.length };
}

function vertexContent(body: Body): Reply {
  only(body, "content", "embedContentConfig");
  const { text } = body.content.parts[0];
  const values = vectorOf(text, body.embedContentConfig?.outputDimensionality);
  return { body: { embedding: { values }, usageMetadata: { promptTokenCount: tokensOf(text) } }, inputs: 1 };
}

function cohereEmbed(body: Body): Reply {
  only(
    body,
    "model",
    "texts",
    "input_type",
    "embedding_types",
    "output_dimension",
    "truncate",
    "max_tokens",
    "priority",
  );
  if (typeof body.input_type !== "string") throw new Refused("input_type is required");
  const list = texts(body.texts, 96);
  const float = list.map((text) => vectorOf(text, body.output_dimension));
  const meta = { api_version: { version: "2" }, billed_units: { input_tokens: sum(list) } };
  const embeddings = { float };
  return {
    body: { id: "embed-1", embeddings, texts: list, meta, response_type: "embeddings_by_type" },
    inputs: list.length,
  };
}

function cohereRerank(body: Body): Reply {
  only(body, "model", "query", "documents", "top_n", "max_tokens_per_doc", "priority");
  const list = texts(body.documents, 1000);
  const results = ranked(body.query, list, body.top_n).map(({ index, score }) => ({ index, relevance_score: score }));
  const meta = { api_version: { version: "2" }, billed_units: { search_units: Math.ceil(list.length / 100) } };
  return { body: { id: "rerank-1", results, meta }, inputs: list.length };
}

function jinaRerank(body: Body): Reply {
  only(body, "model", "query", "documents", "top_n", "return_documents");
  const list = texts(
    body.documents.map((one: Body) => one.text ?? one),
    2048,
  );
  const results = ranked(body.query, list, body.top_n).map(({ index, score }) => {
    const document = body.return_documents === false ? {} : { document: { text: list[index] } };
    return { index, relevance_score: score, ...document };
  });
  return {
    body: { model: body.model, object: "list", usage: { total_tokens: sum(list) }, results },
    inputs: list.length,
  };
}

function jinaEmbed(body: Body): Reply {
  only(body, "model", "input", "dimensions", "embedding_type", "task");
  const list = texts(typeof body.input === "string" ? [body.input] : body.input, 2048);
  const data = list.map((text, index) => {
    const vector = vectorOf(text, body.dimensions);
    return { object: "embedding", index, embedding: body.embedding_type === "base64" ? base64(vector) : vector };
  });
  const total = sum(list);
  return {
    body: { object: "list", model: body.model, data, usage: { prompt_tokens: total, total_tokens: total } },
    inputs: list.length,
  };
}

function voyageEmbed(body: Body): Reply {
  only(body, "model", "input", "input_type", "truncation", "output_dimension", "output_dtype", "encoding_format");
  if (![undefined, null, "base64"].includes(body.encoding_format))
    throw new Refused("encoding_format is not one of its own");
  const list = texts(body.input, 1000);
  const data = list.map((text, index) => {
    const vector = vectorOf(text, body.output_dimension);
    return { object: "embedding", index, embedding: body.encoding_format === "base64" ? base64(vector) : vector };
  });
  return { body: { object: "list", data, model: body.model, usage: { total_tokens: sum(list) } }, inputs: list.length };
}

function voyageRerank(body: Body): Reply {
  only(body, "model", "query", "documents", "top_k", "return_documents", "truncation");
  const list = texts(body.documents, 1000);
  const data = ranked(body.query, list, body.top_k).map(({ index, score }) => ({ index, relevance_score: score }));
  return { body: { object: "list", data, model: body.model, usage: { total_tokens: sum(list) } }, inputs: list.length };
}

function teiRerank(body: Body): Reply {
  only(body, "query", "texts", "raw_scores", "return_text", "truncate", "truncation_direction");
  const list = texts(body.texts, 1000);
  return { body: ranked(body.query, list, undefined), inputs: list.length };
}

function mistralEmbed(body: Body): Reply {
  only(body, "model", "input", "output_dimension", "output_dtype", "encoding_format");
  const { output_dimension: dimensions, encoding_format: embedding_type, ...rest } = body;
  return jinaEmbed({ ...rest, dimensions, embedding_type });
}

const INVOKED: readonly (readonly [RegExp, (body: Body) => Reply])[] = [
  [
    /cohere\.embed/,
    (body) => {
      only(body, "texts", "input_type", "truncate", "output_dimension", "max_tokens", "embedding_types");
      const list = texts(body.texts, 96);
      const embeddings = list.map((text) => vectorOf(text, body.output_dimension));
      const headers = { "x-amzn-bedrock-input-token-count": String(sum(list)) };
      return {
        body: { id: "e", response_type: "embeddings_floats", embeddings, texts: list },
        headers,
        inputs: list.length,
      };
    },
  ],
  [
    /titan-embed-text-v2/,
    (body) => {
      only(body, "inputText", "dimensions", "normalize", "embeddingTypes");
      const embedding = vectorOf(body.inputText, body.dimensions);
      return { body: { embedding, inputTextTokenCount: tokensOf(body.inputText) }, inputs: 1 };
    },
  ],
  [
    /titan-embed-text-v1|titan-embed-g1/,
    (body) => {
      only(body, "inputText");
      return {
        body: { embedding: vectorOf(body.inputText), inputTextTokenCount: tokensOf(body.inputText) },
        inputs: 1,
      };
    },
  ],
  [
    /nova-2-multimodal-embeddings/,
    (body) => {
      only(body, "taskType", "singleEmbeddingParams");
      const { embeddingDimension, text } = body.singleEmbeddingParams;
      const embedding = vectorOf(text.value, embeddingDimension);
      const headers = { "x-amzn-bedrock-input-token-count": String(tokensOf(text.value)) };
      return { body: { embeddings: [{ embeddingType: "TEXT", embedding }] }, headers, inputs: 1 };
    },
  ],
  [
    /rerank/,
    (body) => {
      only(body, "query", "documents", "top_n", ...(body.api_version === undefined ? [] : ["api_version"]));
      const list = texts(body.documents, 1000);
      const results = ranked(body.query, list, body.top_n).map(({ index, score }) => ({
        index,
        relevance_score: score,
      }));
      return { body: { results }, inputs: list.length };
    },
  ],
  [
    /nova-canvas|titan-image/,
    (body) => {
      only(body, "taskType", "textToImageParams", "imageGenerationConfig");
      const { numberOfImages } = body.imageGenerationConfig;
      const images = Array.from({ length: numberOfImages }, (_, at) => picture(`${body.textToImageParams.text} ${at}`));
      return { body: { images }, inputs: 1 };
    },
  ],
  [
    /stability\./,
    (body) => {
      only(body, "prompt", "mode", "aspect_ratio", "output_format", "seed");
      if (body.prompt.includes("forbidden"))
        return { body: { images: [], finish_reasons: ["Filter reason: prompt"] }, inputs: 1 };
      return { body: { images: [picture(body.prompt)], seeds: [1], finish_reasons: [null] }, inputs: 1 };
    },
  ],
];

/** Stands for an image, in base64. */
export function picture(prompt: string): string {
  return Buffer.from(`png of ${prompt}`).toString("base64");
}

function invoked(body: Body, path: string): Reply {
  const model = decodeURIComponent(path.split("/")[2] ?? "");
  const found = INVOKED.find(([pattern]) => pattern.test(model));
  if (found === undefined) throw new Refused(`there is no model ${model}`);
  return found[1](body);
}

function geminiImage(body: Body): Reply {
  only(body, "contents", "generationConfig");
  if (!body.generationConfig.responseModalities.includes("IMAGE")) throw new Refused("no image is wanted");
  const { text } = body.contents[0].parts[0];
  const usageMetadata = { promptTokenCount: tokensOf(text), candidatesTokenCount: 1290, totalTokenCount: 0 };
  if (text.includes("forbidden"))
    return { body: { promptFeedback: { blockReason: "SAFETY" }, usageMetadata }, inputs: 1 };
  const parts = [{ text: "Here it is." }, { inlineData: { mimeType: "image/png", data: picture(text) } }];
  const candidates = [{ content: { role: "model", parts }, finishReason: "STOP", index: 0 }];
  return { body: { candidates, usageMetadata }, inputs: 1 };
}

function imagen(body: Body): Reply {
  only(body, "instances", "parameters");
  only(body.parameters, "sampleCount", "aspectRatio", "sampleImageSize", "outputOptions");
  const predictions = Array.from({ length: body.parameters.sampleCount }, (_, at) => {
    return { mimeType: "image/png", bytesBase64Encoded: picture(`${body.instances[0].prompt} ${at}`) };
  });
  return { body: { predictions }, inputs: 1 };
}

const HANDLERS: readonly (readonly [RegExp, (body: Body, path: string) => Reply])[] = [
  [/^\/v1beta\/models\/imagen[^/]*:predict$/, imagen],
  [/:batchEmbedContents$/, geminiBatch],
  [/:embedContent$/, vertexContent],
  [/:generateContent$/, geminiImage],
  [/:predict$/, vertexPredict],
  [/^\/model\/[^/]+\/invoke$/, invoked],
  [/^\/v2\/embed$/, cohereEmbed],
  [/^\/v2\/rerank$/, cohereRerank],
  [/^\/jina\/v1\/rerank$/, jinaRerank],
  [/^\/jina\/v1\/embeddings$/, jinaEmbed],
  [/^\/mistral\/v1\/embeddings$/, mistralEmbed],
  [/^\/voyage\/v1\/embeddings$/, voyageEmbed],
  [/^\/voyage\/v1\/rerank$/, voyageRerank],
  [/^\/rerank$/, teiRerank],
];

// ---- the server ------------------------------------------------------------------------------------

class State {
  readonly requests: ListRequest[] = [];
  failures: { text: string; status: number }[] = [];
  open = 0;
  mostOpen = 0;
  aborted = 0;
  delayMs = 0;
}

function replyTo(path: string, body: Body, state: State): { status: number; reply: Reply } {
  const said = JSON.stringify(body);
  const failing = state.failures.findIndex(({ text }) => said.includes(JSON.stringify(text).slice(1, -1)));
  if (failing >= 0) {
    const [{ status } = { status: 500 }] = state.failures.splice(failing, 1);
    const headers = { "retry-after": "7" };
    return {
      status,
      reply: { body: { message: "this one fails", error: { message: "this one fails" } }, headers, inputs: 0 },
    };
  }
  try {
    const handler = HANDLERS.find(([pattern]) => pattern.test(path))?.[1];
    if (handler === undefined) throw new Refused(`there is no ${path}`);
    return { status: 200, reply: handler(body, path) };
  } catch (error) {
    const message = String(error instanceof Error ? error.message : error);
    return {
      status: 400,
      reply: { body: { message, error: { message, code: 400, status: "INVALID_ARGUMENT" } }, inputs: 0 },
    };
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, state: State): Promise<void> {
  state.open += 1;
  state.mostOpen = Math.max(state.mostOpen, state.open);
  response.once("close", () => {
    state.open -= 1;
    if (!response.writableFinished) state.aborted += 1;
  });
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  const body = JSON.parse(Buffer.concat(pieces).toString("utf8") || "null");
  const { status, reply } = replyTo(path, body, state);
  state.requests.push({ path, body, inputs: reply.inputs });
  if (state.delayMs > 0) await new Promise((done) => setTimeout(done, state.delayMs));
  if (response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json", ...reply.headers });
  response.end(JSON.stringify(reply.body));
}

export async function startListUpstream(): Promise<ListUpstream> {
  let state = new State();
  const server = createServer((request, response) => {
    serve(request, response, state).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests: () => state.requests,
    failOn: (text, status) => state.failures.push({ text, status }),
    mostOpen: () => state.mostOpen,
    aborted: () => state.aborted,
    delay: (ms) => {
      state.delayMs = ms;
    },
    reset: () => {
      state = new State();
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
