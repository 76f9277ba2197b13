/** The smallest request of every operation that callers can ask for, and what its answer must look like to them. */
import { ROUTES } from "../../src/acceptor/routes.js";
import { carryId, readCarriedId } from "../../src/dialects/carried-id.js";
import type { Operation } from "../../src/dialects/dialect.js";
import { wav } from "../unit/dialects/media/sounds.js";
import type { Answer } from "./calls.js";
import { formOf, type SentBody, type SentFile } from "./forms.js";
import { type Vendor, modelOf } from "./walk-vendors.js";

export type Endpoint = (typeof ROUTES)[number];

/** One request of the walk. */
export interface Asked {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly stream: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

// biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
type Json = any;

interface Kind {
  /** undefined: it has no body. */
  readonly fields?: Fields;
  readonly file?: SentFile;
  /** What stands where the path has an id. */
  readonly id?: string;
  /** Is this what the operation answers? `json`: null where it is none. */
  fits(json: Json, answer: Answer, vendor: Vendor): boolean;
  /** The same of a stream; absent = its requests are not streamed here. */
  streamFits?(text: string): boolean;
}

const messages = [{ role: "user", content: "Hello" }];
const says = (text: unknown): boolean => typeof text === "string" && text !== "";
const isVector = (vector: unknown): boolean => Array.isArray(vector) && vector.every((value) => Number.isFinite(value));
const image: SentFile = { field: "image", name: "a.png", bytes: Buffer.from("no real image") };
const sound: SentFile = { field: "file", name: "a.wav", bytes: wav(0.125) };
const input: SentFile = { field: "file", name: "a.jsonl", bytes: Buffer.from("{}\n") };

/** What is kept at the vendor says whose it is; of a list, every entry. Items of a conversation are kept by nobody. */
function carries(json: Json, answer: Answer, vendor: Vendor): boolean {
  if (json === null) return answer.text === "line 1\n";
  if (json.data?.[0]?.id === "msg_walk") return true;
  const ids: string[] = json.object === "list" ? json.data.map((entry: Json) => entry.id) : [json.id];
  return ids.length > 0 && ids.every((id) => readCarriedId(id)?.providerKey === vendor.name);
}

const hasImages = (count: number) => (json: Json) =>
  json.data.length === count && json.data.every((one: Json) => says(one.b64_json) || says(one.url));

const KINDS: Readonly<Partial<Record<Operation, Kind>>> = {
  chat: {
    fields: { messages },
    fits: (json) => json.object === "chat.completion" && says(json.choices[0].message.content),
    streamFits: (text) => text.includes('"chat.completion.chunk"') && text.trimEnd().endsWith("data: [DONE]"),
  },
  messages: {
    fields: { messages, max_tokens: 500 },
    fits: (json) => json.type === "message" && says(json.content[0].text),
    streamFits: (text) => text.startsWith("event: message_start\n") && text.includes("event: message_stop\n"),
  },
  responses: {
    fields: { input: "Hello" },
    fits: (json) => json.object === "response" && says(json.output.at(-1).content[0].text),
    streamFits: (text) => text.startsWith("event: response.created\n") && text.includes("event: response.completed\n"),
  },
  completions: {
    fields: { prompt: "Hello" },
    fits: (json) => json.object === "text_completion" && says(json.choices[0].text),
    streamFits: (text) => text.includes('"text_completion"') && text.trimEnd().endsWith("data: [DONE]"),
  },
  count_tokens: { fields: { messages }, fits: (json) => json.input_tokens > 0 },
  input_tokens: {
    fields: { input: "Hello" },
    fits: (json) => json.object === "response.input_tokens" && json.input_tokens > 0,
  },
  tokenize: { fields: { prompt: "Hello" }, fits: (json) => json.count > 0 && json.tokens.length === json.count },
  embeddings: {
    fields: { input: "Hello" },
    fits: (json) => json.object === "list" && json.data.length === 1 && isVector(json.data[0].embedding),
  },
  rerank: {
    fields: { query: "Hello", documents: ["Goodbye", "Hello"] },
    fits: (json) => json.results.length === 2 && json.results[0].index === 1 && json.results[0].relevance_score > 0,
  },
  images: { fields: { prompt: "Hello" }, fits: hasImages(1) },
  image_edits: { fields: { prompt: "Hello" }, file: image, fits: hasImages(1) },
  image_variations: { fields: { n: 2 }, file: image, fits: hasImages(2) },
  transcriptions: { fields: {}, file: sound, fits: (json) => says(json.text) },
  translations: { fields: {}, file: sound, fits: (json) => says(json.text) },
  speech: {
    fields: { input: "Hello", voice: "alloy" },
    fits: (json, { text, headers }) => json === null && text !== "" && /^audio\//.test(String(headers["content-type"])),
  },
  moderations: { fields: { input: "Hello" }, fits: (json) => json.results[0].flagged === false },
  files: { fields: { purpose: "batch" }, file: input, id: "file-walk", fits: carries },
  batches: {
    fields: { input_file_id: "file-walk", endpoint: "/v1/chat/completions", completion_window: "24h" },
    id: "batch_walk",
    fits: carries,
  },
  fine_tuning: { fields: { training_file: "file-walk" }, id: "ftjob-walk", fits: carries },
  responses_items: { id: "resp_walk", fits: carries },
  passthrough: {
    fields: { "as it": "comes" },
    fits: (json) => json.method === "POST" && json.echoed === '{"as it":"comes"}',
  },
};

function kindOf({ operation }: Endpoint): Kind {
  const kind = KINDS[operation];
  if (kind === undefined) throw new Error(`the walk has no request for "${operation}"`);
  return kind;
}

/** Every endpoint that reaches a provider; of one that streams, its first path streamed, too. */
export const ASKED: readonly Asked[] = ROUTES.filter(({ operation }) => operation !== "models").flatMap((endpoint) => {
  const name = `${endpoint.method} ${endpoint.path}`;
  const whole = { name, endpoint, stream: false };
  const isFirst = ROUTES.find(({ operation }) => operation === endpoint.operation) === endpoint;
  if (!isFirst || kindOf(endpoint).streamFits === undefined) return [whole];
  return [whole, { name: `${name}, streamed`, endpoint, stream: true }];
});

export interface SentRequest {
  readonly method: string;
  readonly path: string;
  readonly body: SentBody | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** What follows the operation's own path, at the gateway and at the provider. */
export function belowOf({ path, operation }: Endpoint): string {
  if (operation === "passthrough") return "/anything?x=1";
  const { id } = kindOf({ path, operation } as Endpoint);
  const open = path.indexOf("/{id}");
  return id === undefined || open < 0 ? "" : path.slice(open).replace("{id}", id);
}

/** The request of an endpoint for this vendor, by its model or by its provider key. */
export function requestFor({ endpoint, stream }: Asked, vendor: Vendor): SentRequest {
  const { operation, method, path } = endpoint;
  const { fields, file, id } = kindOf(endpoint);
  const model = `${vendor.name}/${modelOf(vendor, operation)}`;
  const filled = path
    .replace("{model}", encodeURIComponent(model))
    .replace("{id}", () => carryId({ providerKey: vendor.name, model: "", id: id ?? "" }))
    .replace("{rest}", `${vendor.name}/anything?x=1`);
  // An id says whose it is; without one a header does.
  const headers = id === undefined || path.includes("{id}") ? {} : { "x-weir-provider": vendor.name };
  // What concerns one thing that is there already has no body.
  const sends = (method === "POST" || method === "ANY") && fields !== undefined && !path.includes("{id}");
  if (!sends) return { method, path: filled, body: null, headers };
  const isNamed = id === undefined && !path.includes("{model}") && operation !== "passthrough";
  const named = { ...(isNamed ? { model } : {}), ...(stream ? { stream } : {}), ...fields };
  const json = { bytes: Buffer.from(JSON.stringify(named)), contentType: "application/json" };
  const body = file === undefined ? json : formOf(named, [file]);
  return { method: method === "ANY" ? "POST" : method, path: filled, body, headers };
}

/** What is wrong with an answer's shape; "" = nothing. */
export function misshapen({ endpoint, stream }: Asked, answer: Answer, vendor: Vendor): string {
  const kind = kindOf(endpoint);
  const told = `${answer.headers["content-type"]}: ${answer.text.slice(0, 300)}`;
  try {
    if (stream) return kind.streamFits?.(answer.text) === true ? "" : told;
    const isJson = String(answer.headers["content-type"]).startsWith("application/json");
    return kind.fits(isJson ? JSON.parse(answer.text) : null, answer, vendor) ? "" : told;
  } catch (error) {
    return `${String(error)} in ${told}`;
  }
}
