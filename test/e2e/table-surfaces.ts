/**
 * The rows of the table of controls: every operation of the route table, whole and streamed where it streams, with
 * what its callers send and what its upstream answers. An operation that nothing is known of here has no row, which
 * the table's first test finds.
 */
import { ROUTES } from "../../src/acceptor/routes.js";
import type { DialectId, Operation } from "../../src/dialects/dialect.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { SURFACES } from "./guardrails-surfaces.js";

/** Bytes and what they are; ASCII alone, so that a string's length is theirs. */
export interface Content {
  readonly type: string;
  /** "" = no body. */
  readonly bytes: string;
  /** With its question mark. */
  readonly query?: string;
}

/** The provider that serves an operation. */
export type Face = "openai" | "anthropic" | "vllm" | "in-house";

/** What one operation is, in one of its modes. A string says why something is not so. */
export interface Traits {
  /** Requests name a model. */
  readonly names: true | string;
  /** There may be more than one target, or more than one try. */
  readonly routes: true | string;
  request(model: string, text: string): Content;
  answer(pieces: readonly string[]): Content;
  /** The text that a caller reads of an answer. */
  said(bytes: string): string;
  /** What the usage event of an answer says. */
  readonly used: Partial<UsageEvent>;
  /** Requests hold text that guardrails read. */
  readonly reads: true | string;
  /** Answers hold text that guardrails read. */
  readonly tells: true | string;
  /** Answers may be kept. */
  readonly keeps: true | string;
  /** Does it cost anything? */
  readonly costs: true | string;
}

export interface Row {
  /** As tests are called. */
  readonly name: string;
  /** As it stands in the names of models and keys. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
  readonly dialect: DialectId;
  readonly stream: boolean;
  readonly face: Face;
  readonly headers: Readonly<Record<string, string>>;
  /** Models are called by the names that their provider has for them. */
  readonly passed: boolean;
  /** null: it is answered from memory. */
  readonly traits: Traits | null;
}

/** A row that asks an upstream. */
export type AskingRow = Row & { readonly traits: Traits };

const JSON_TYPE = "application/json";
const EVENTS = "text/event-stream";
const TOKENS = { input_tokens: 7, output_tokens: 9 };
const NO_TOKENS = { input_tokens: 0, output_tokens: 0 };
const USAGE = { input_tokens: 7, output_tokens: 9, total_tokens: 16 };
const NUMBERS = "its answer holds no text";
const SPENT = "its answers are not kept";
const FREE = "counting is free";
const TEXT = { names: true, routes: true, reads: true, tells: true, keeps: true, costs: true } as const;
const MEDIA = { ...TEXT, keeps: SPENT } as const;
const COUNTING = { ...TEXT, tells: NUMBERS, keeps: SPENT, costs: FREE, used: NO_TOKENS } as const;

const json = (value: unknown): Content => ({ type: JSON_TYPE, bytes: JSON.stringify(value) });
const events = (list: readonly { type: string }[]): Content => ({
  type: EVENTS,
  bytes: list.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""),
});
// biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
const parsed = (bytes: string): any => JSON.parse(bytes);
// biome-ignore lint/suspicious/noExplicitAny: an event is looked into field by field.
const dataOf = (bytes: string): any[] => [...bytes.matchAll(/^data: (\{.*)$/gm)].map((match) => parsed(match[1] ?? ""));
const nothing = (): string => "";

const BOUNDARY = "table-of-controls";

/** A form of fields and one file. */
function form(fields: Readonly<Record<string, string>>, file: string): Content {
  const parts = Object.entries(fields).map(([name, value]) => `form-data; name="${name}"\r\n\r\n${value}`);
  parts.push(`form-data; name="${file}"; filename="a.bin"\r\ncontent-type: application/octet-stream\r\n\r\nRIFF`);
  const bytes = parts.map((part) => `--${BOUNDARY}\r\ncontent-disposition: ${part}\r\n`).join("");
  return { type: `multipart/form-data; boundary=${BOUNDARY}`, bytes: `${bytes}--${BOUNDARY}--\r\n` };
}

/** The same request with so many bytes more, wherever its form lets them stand. */
export function padded({ type, bytes }: Content, length: number): Content {
  const filler = "x".repeat(length);
  if (type === JSON_TYPE) return { type, bytes: `${bytes.slice(0, -1)},"padding":"${filler}"}` };
  const part = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="padding"\r\n\r\n${filler}\r\n`;
  return { type, bytes: part + bytes };
}

/** Where usage stands in an event of its own, the gateway asks for it. */
function withUsage(stream: string): string {
  const usage = JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 } });
  return stream.replace("data: [DONE]", `data: ${usage}\n\ndata: [DONE]`);
}

/** A conversation, or what is nearly one; whole and streamed. */
function spoken(way: keyof typeof SURFACES, stream: boolean): Traits {
  const surface = SURFACES[way];
  const whole = (bytes: string): string => {
    const answer = parsed(bytes);
    const choice = answer.choices?.[0];
    return choice?.message?.content ?? choice?.text ?? answer.content?.[0].text ?? answer.output[0].content[0].text;
  };
  return {
    ...TEXT,
    request: (model, text) => json({ model, ...surface.body(text), ...(stream ? { stream } : {}) }),
    answer: (pieces) =>
      stream ? { type: EVENTS, bytes: withUsage(surface.stream(pieces)) } : json(surface.whole(pieces.join(""))),
    said: stream ? surface.said : whole,
    used: { ...TOKENS, estimated: false },
  };
}

function counting(answer: unknown, request: Traits["request"]): Traits {
  return { ...COUNTING, request, answer: () => json(answer), said: nothing };
}

const turns = (content: string) => [{ role: "user", content }];
const IMAGE = { b64_json: "aW1hZ2U=", size: "1024x1024", quality: "low" };

function images(name: string, request: (fields: Record<string, string>) => Content): [Traits, Traits] {
  const used = { ...TOKENS, images: 1, image_size: "1024x1024", image_quality: "low" };
  const size = { size: "1024x1024", quality: "low" };
  const whole: Traits = {
    ...MEDIA,
    request: (model, prompt) => request({ model, prompt }),
    answer: (pieces) => json({ created: 1, ...size, data: [{ revised_prompt: pieces.join("") }], usage: USAGE }),
    said: (bytes) => parsed(bytes).data[0].revised_prompt,
    used,
  };
  const streamed: Traits = {
    ...MEDIA,
    request: (model, prompt) => request({ model, prompt, stream: "true" }),
    answer: () =>
      events([
        { type: `${name}.partial_image`, ...IMAGE },
        { type: `${name}.completed`, ...IMAGE, usage: USAGE } as { type: string },
      ]),
    said: nothing,
    used,
    tells: "a stream of images holds no text",
  };
  return [whole, streamed];
}

/** JSON of fields, of which `stream` is no text. */
const jsonFields = ({ stream, ...fields }: Record<string, string>) =>
  json({ ...fields, ...(stream === undefined ? {} : { stream: true }) });

function listening(stream: boolean): Traits {
  return {
    ...MEDIA,
    request: (model, prompt) => form({ model, prompt, ...(stream ? { stream: "true" } : {}) }, "file"),
    answer: (pieces) => {
      const usage = { type: "tokens", ...USAGE };
      if (!stream) return json({ text: pieces.join(""), usage });
      const deltas = pieces.map((delta) => ({ type: "transcript.text.delta", delta }));
      return events([...deltas, { type: "transcript.text.done", text: pieces.join(""), usage } as { type: string }]);
    },
    said: (bytes) =>
      stream
        ? dataOf(bytes)
            .map((event) => event.delta ?? "")
            .join("")
        : parsed(bytes).text,
    used: TOKENS,
  };
}

function speech(stream: boolean): Traits {
  const characters = "The sparrow flew.".length;
  return {
    ...MEDIA,
    request: (model, input) => json({ model, input, voice: "alloy", ...(stream ? { stream_format: "sse" } : {}) }),
    answer: () =>
      stream
        ? events([
            { type: "speech.audio.delta", audio: "c291bmQ=" } as { type: string },
            { type: "speech.audio.done", usage: USAGE } as { type: string },
          ])
        : { type: "audio/mpeg", bytes: "sound ".repeat(50) },
    said: nothing,
    used: stream ? { ...TOKENS, characters } : { ...NO_TOKENS, characters },
    tells: "sound is no text",
  };
}

/** What a provider keeps, and what is not known at all: it is asked by its key, and says what it likes. */
const BY_KEY: Traits = {
  names: "it names no model",
  routes: "it goes to one provider",
  request: (model) => ({ type: "", bytes: "", query: `?tag=${model}` }),
  answer: () => json({ object: "list", data: [] }),
  said: nothing,
  used: NO_TOKENS,
  reads: "it asks nothing of a model",
  tells: "no model tells anything",
  keeps: SPENT,
  costs: "looking costs nothing",
};

function byKey(path?: string): Known {
  const headers = { "x-weir-provider": "openai" };
  return { face: "openai", modes: [BY_KEY], headers, passed: true, ...(path === undefined ? {} : { path }) };
}

function passing(traits: Traits): Traits {
  return { ...traits, keeps: SPENT, routes: "it goes to one provider" };
}

interface Known {
  readonly face: Face;
  /** Where the route table's has open parts. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly passed?: boolean;
  readonly modes: readonly [whole: Traits, streamed?: Traits];
}

const conversation = (way: keyof typeof SURFACES, face: Face): Known => ({
  face,
  modes: [spoken(way, false), spoken(way, true)],
});
const openai = (...modes: [Traits, Traits?]): Known => ({ face: "openai", modes });

const KNOWN: Readonly<Partial<Record<Operation, Known>>> = {
  chat: conversation("chat", "openai"),
  messages: conversation("messages", "anthropic"),
  responses: conversation("responses", "openai"),
  completions: conversation("completions", "openai"),
  count_tokens: {
    face: "anthropic",
    modes: [counting({ input_tokens: 7 }, (model, text) => json({ model, messages: turns(text) }))],
  },
  input_tokens: openai(
    counting({ object: "response.input_tokens", input_tokens: 7 }, (model, input) => json({ model, input })),
  ),
  tokenize: {
    face: "vllm",
    modes: [counting({ count: 2, max_model_len: 99, tokens: [1, 2] }, (model, prompt) => json({ model, prompt }))],
  },
  embeddings: openai({
    ...TEXT,
    request: (model, input) => json({ model, input }),
    answer: () =>
      json({
        object: "list",
        model: "m",
        data: [{ object: "embedding", index: 0, embedding: [0.5, 0.25] }],
        usage: { prompt_tokens: 7, total_tokens: 7 },
      }),
    said: nothing,
    used: { input_tokens: 7, output_tokens: 0 },
    tells: NUMBERS,
  }),
  rerank: {
    face: "in-house",
    modes: [
      {
        ...TEXT,
        request: (model, query) => json({ model, query, documents: ["one", "two"] }),
        answer: (pieces) =>
          json({
            id: "r1",
            results: [{ index: 0, relevance_score: 0.5, document: { text: pieces.join("") } }],
            meta: { billed_units: { search_units: 1 }, tokens: { input_tokens: 7 } },
          }),
        said: (bytes) => parsed(bytes).results[0].document.text,
        used: { input_tokens: 7, output_tokens: 0, search_units: 1 },
      },
    ],
  },
  images: openai(...images("image_generation", jsonFields)),
  image_edits: openai(...images("image_edit", (fields) => form(fields, "image"))),
  image_variations: openai({
    ...images("image_edit", jsonFields)[0],
    request: (model) => form({ model }, "image"),
    reads: "its request holds no text",
  }),
  transcriptions: openai(listening(false), listening(true)),
  translations: openai(listening(false)),
  speech: openai(speech(false), speech(true)),
  moderations: openai({
    ...MEDIA,
    request: (model, input) => json({ model, input }),
    answer: () => json({ id: "m1", model: "m", results: [{ flagged: false, categories: {} }] }),
    said: nothing,
    used: NO_TOKENS,
    tells: NUMBERS,
  }),
  files: byKey(),
  batches: byKey(),
  fine_tuning: byKey(),
  responses_items: byKey("/v1/responses/resp_1"),
};

/** What passes is known by where it goes: a conversation, or nothing that anybody knows. */
const PASSED: readonly [name: string, Known][] = [
  [
    "passthrough",
    {
      face: "openai",
      path: "/passthrough/openai/v1/chat/completions",
      passed: true,
      modes: [passing(spoken("chat", false)), passing(spoken("chat", true))],
    },
  ],
  ["passthrough-unknown", byKey("/passthrough/openai/v1/vector_stores")],
];

/** Rows of the route table that stand for all ways to their operation; aliases are another test's. */
const FIRST = ROUTES.filter(
  (route, index) =>
    ROUTES.findIndex(({ operation, dialect }) => operation === route.operation && dialect === route.dialect) === index,
);

/** Operations of the route table of which the table of controls knows nothing. */
export const UNKNOWN = FIRST.map(({ operation }) => operation).filter(
  (operation) => operation !== "models" && operation !== "passthrough" && KNOWN[operation] === undefined,
);

export const ROWS: readonly Row[] = FIRST.flatMap(({ method, path, operation, dialect }): Row[] => {
  const common = { method, path, operation, dialect: dialect.id, headers: {}, passed: false };
  if (operation === "passthrough") return PASSED.flatMap(([name, known]) => rowsOf(name, common, known));
  const known = KNOWN[operation];
  if (known !== undefined) return rowsOf(operation, common, known);
  if (operation !== "models") return [];
  const id = `${operation}-${dialect.id}`;
  return [{ ...common, name: `${operation} (${dialect.id})`, id, stream: false, face: "openai", traits: null }];
});

type Common = Pick<Row, "method" | "path" | "operation" | "dialect" | "headers" | "passed">;

function rowsOf(called: string, common: Common, { face, modes, path, headers, passed }: Known): Row[] {
  return modes.map((traits, index): Row => {
    const stream = index === 1;
    const name = stream ? `${called}, streamed` : called;
    const id = stream ? `${called}-stream` : called;
    const method = common.method !== "ANY" ? common.method : traits?.names === true ? "POST" : "GET";
    const differs = { method, path: path ?? common.path, headers: headers ?? {}, passed: passed === true };
    return { ...common, ...differs, name, id, stream, face, traits: traits ?? null };
  });
}

export function isAsking(row: Row): row is AskingRow {
  return row.traits !== null;
}

export const ASKING: readonly AskingRow[] = ROWS.filter(isAsking);
