/**
 * Vendors' own endpoints for lists and images: embeddings, rankings, generated images. Every request is held to what
 * the vendor documents, members and bounds alike; a text's vector depends on nothing but the text. For tests only.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  base64,
  type Body,
  only,
  ranked,
  Refused,
  type Reply,
  sum,
  texts,
  tokensOf,
  vectorOf,
} from "./list-answers.js";
import { geminiImage, imagen, invoked } from "./vendor-invoke.js";

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

/** What the vendor of the path answers. Throws `Refused` for what it refuses. */
export function listReply(path: string, body: Body): Reply {
  const handler = HANDLERS.find(([pattern]) => pattern.test(path))?.[1];
  if (handler === undefined) throw new Refused(`there is no ${path}`);
  return handler(body, path);
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
    return { status: 200, reply: listReply(path, body) };
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
