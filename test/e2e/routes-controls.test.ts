/**
 * Every control on every way in. The rows come from the route table itself: a new endpoint is in this test
 * from its first day, and fails it when a control passes it by.
 */
import { type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ROUTES } from "../../src/acceptor/routes.js";
import type { Operation } from "../../src/dialects/dialect.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { wav } from "../unit/dialects/media/sounds.js";
import { type Answer, BEARER, call, eventOf, lastRequest } from "./calls.js";
import { formOf, type SentBody, type SentFile } from "./forms.js";
import { KEPT_OPERATIONS } from "./kept-rows.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";

const BODY_BYTES = 4096;
const OTHER_MODEL_KEY = "sk-other-model-key";

const messages = [{ role: "user", content: "Hello" }];
const BODIES: Readonly<Partial<Record<Operation, Readonly<Record<string, unknown>>>>> = {
  chat: { model: "gpt-x", messages },
  messages: { model: "claude-x", max_tokens: 50, messages },
  count_tokens: { model: "claude-x", messages },
  responses: { model: "gpt-x", input: "Hello" },
  input_tokens: { model: "gpt-x", input: "Hello" },
  completions: { model: "gpt-x", prompt: "Hello" },
  embeddings: { model: "text-embedding-x", input: "Hello" },
  rerank: { model: "served-x", query: "Hello", documents: ["Hello", "Goodbye"] },
  images: { model: "gpt-x", prompt: "Hello", n: 2 },
  image_edits: { model: "gpt-x", prompt: "Hello" },
  image_variations: { model: "gpt-x", n: 2 },
  transcriptions: { model: "gpt-x", prompt: "Hello" },
  translations: { model: "gpt-x" },
  speech: { model: "gpt-x", input: "Hello", voice: "alloy" },
  moderations: { model: "gpt-x", input: "Hello" },
  tokenize: { model: "served-x", prompt: "Hello" },
};
/** What a body says to be answered with a stream. */
const STREAMED: Readonly<Partial<Record<Operation, Readonly<Record<string, unknown>>>>> = {
  chat: { stream: true },
  messages: { stream: true },
  responses: { stream: true },
  completions: { stream: true },
  images: { stream: true, partial_images: 2 },
  image_edits: { stream: true, partial_images: 2 },
  transcriptions: { stream: true },
  speech: { stream_format: "sse" },
};
/** Operations whose bodies are forms, and the file in them. */
const FILES: Readonly<Partial<Record<Operation, SentFile>>> = {
  image_edits: { field: "image", name: "a.png", bytes: Buffer.from("no real image") },
  image_variations: { field: "image", name: "a.png", bytes: Buffer.from("no real image") },
  transcriptions: { field: "file", name: "a.wav", bytes: wav(0.125) },
  translations: { field: "file", name: "a.wav", bytes: wav(0.125) },
};
/** A key of its own for each operation, which may do everything else. */
const elsewhereKey = (operation: Operation) => `sk-not-for-${operation}`;
const limitedKey = (row: Row) => `sk-one-a-minute-${row.name}`;

interface Row {
  readonly name: string;
  readonly method: string;
  /** With its open parts filled. */
  readonly path: string;
  readonly operation: Operation;
  readonly stream: boolean;
  /** undefined: the row takes no body and asks no upstream. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
  /** The model that the caller names, in the body or in the path. */
  readonly model: unknown;
}

/** The bytes of a row's body, and what else it holds. */
function sent({ operation, body }: Row, more: Readonly<Record<string, unknown>> = {}): SentBody {
  const file = FILES[operation];
  if (file !== undefined) return formOf({ ...body, ...more }, [file]);
  return { bytes: Buffer.from(JSON.stringify({ ...body, ...more })), contentType: "application/json" };
}

/** Rows whose requests go to a provider key have a test like this one beside it. */
const TO_MODELS = ROUTES.filter(({ operation }) => !KEPT_OPERATIONS.has(operation));

const ROWS: readonly Row[] = TO_MODELS.flatMap(({ method, path, operation }) => {
  const filled = path.replace(/\{\w+\}/, "gpt-x");
  const name = `${method} ${path}`;
  const body = BODIES[operation];
  if (body === undefined && operation !== "models") throw new Error(`this test has no body for "${operation}"`);
  const model = filled === path ? body?.model : "gpt-x";
  const row: Row = { name, method, path: filled, operation, stream: false, body, model };
  const streamed = STREAMED[operation];
  if (streamed === undefined) return [row];
  return [row, { ...row, name: `${name}, streamed`, stream: true, body: { ...body, ...streamed } }];
});
const ASKING = ROWS.filter((row) => row.body !== undefined);

let upstream: FakeUpstream;
let gateway: RunningGateway;

function resources(): Record<string, unknown> {
  const all = oneProvider(upstream.url) as Record<"api_keys" | "models" | "provider_keys", unknown[]>;
  // The one kind of server that tokenizes.
  all.provider_keys.push({ display_name: "own", provider: "vllm", api_base: `${upstream.url}/v1` });
  all.models.push({ display_name: "served-*", provider: "vllm", model_name: "served-*", provider_key: "own" });
  const operations = [...new Set(ROUTES.map((route) => route.operation))];
  for (const operation of operations) {
    const allowed_routes = operations.filter((other) => other !== operation);
    const key_hash = sha256(elsewhereKey(operation));
    all.api_keys.push({ display_name: `not for ${operation}`, key_hash, allowed_models: ["*"], allowed_routes });
  }
  for (const row of ROWS) {
    const limit = { display_name: `limited ${row.name}`, allowed_models: ["*"], rate_limit: { rpm: 1 } };
    all.api_keys.push({ ...limit, key_hash: sha256(limitedKey(row)) });
  }
  all.api_keys.push({ display_name: "other", key_hash: sha256(OTHER_MODEL_KEY), allowed_models: ["other"] });
  return all;
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ config: { limits: { body_bytes: BODY_BYTES } }, resources: resources() });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

function send(row: Row, headers: Record<string, string> = BEARER, to = gateway): Promise<Answer> {
  if (row.body === undefined) return call(to.url + row.path, { method: row.method, headers });
  const { bytes, contentType } = sent(row);
  return call(to.url + row.path, {
    method: row.method,
    body: bytes,
    headers: { ...headers, "content-type": contentType },
  });
}

const withKey = (key: string) => ({ authorization: `Bearer ${key}` });

/** The value of a sample on the ops listener; 0 while there is none. */
async function metric(sample: string): Promise<number> {
  const { text } = await call(`${gateway.opsUrl}/metrics`, { headers: {} });
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${sample} `));
  return line === undefined ? 0 : Number(line.slice(sample.length + 1));
}

type LogLine = Readonly<Record<string, unknown>>;

/** The access log's lines that fit; waits for the first. */
function logLines(fits: (line: LogLine) => boolean): Promise<LogLine[]> {
  return until(() => {
    const whole = gateway.stdout().split("\n").slice(0, -1);
    const found = whole
      .map((line) => JSON.parse(line) as LogLine)
      .filter((line) => line.msg === "request" && fits(line));
    return found.length > 0 ? found : null;
  });
}

/** Calls, and leaves: a stream after its first bytes, anything else as soon as the upstream was asked. */
async function leaveEarly(row: Row, agent: string): Promise<void> {
  upstream.script(row.stream ? { words: 500, bytes: 100_000, gap_ms: 300 } : { delay_ms: 10_000 });
  const { bytes: body, contentType } = sent(row);
  const headers = { ...BEARER, "content-type": contentType, "content-length": body.length, "user-agent": agent };
  const outgoing = request(gateway.url + row.path, { method: row.method, headers, agent: false });
  // Leaving resets the connection under the client's own feet.
  outgoing.on("error", () => {});
  const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
  outgoing.end(body);
  if (row.stream) {
    const response = await answered;
    response.on("error", () => {});
    await new Promise((resolve) => response.once("data", resolve));
  } else await upstream.until((stats) => stats.in_flight === 1);
  outgoing.destroy();
}

test("the table holds every endpoint that there must be", () => {
  const paths = ROUTES.map((route) => `${route.method} ${route.path}`);
  expect(paths).toEqual(
    expect.arrayContaining([
      "POST /v1/chat/completions",
      "POST /openai/v1/chat/completions",
      "POST /openai/deployments/{model}/chat/completions",
      "POST /v1/messages",
      "POST /anthropic/v1/messages",
      "POST /v1/messages/count_tokens",
      "POST /anthropic/v1/messages/count_tokens",
      "POST /v1/responses",
      "POST /v1/responses/input_tokens",
      "POST /v1/completions",
      "POST /v1/embeddings",
      "POST /v1/images/generations",
      "POST /v1/images/edits",
      "POST /v1/images/variations",
      "POST /openai/deployments/{model}/images/generations",
      "POST /v1/audio/transcriptions",
      "POST /v1/audio/translations",
      "POST /v1/audio/speech",
      "POST /openai/deployments/{model}/audio/speech",
      "POST /v1/moderations",
      "POST /tokenize",
      "GET /v1/models",
      "GET /openai/v1/models",
      "GET /anthropic/v1/models",
    ]),
  );
  expect(new Set(paths).size).toBe(paths.length);
  // A listing is answered from memory; every other way asks an upstream and so is under every control.
  expect(ROWS.filter((row) => row.body === undefined).every((row) => row.operation === "models")).toBe(true);
});

describe.each(ROWS)("$name", (row) => {
  test("works", async () => {
    const answer = await send(row);
    expect(answer.status).toBe(200);
    expect(String(answer.headers["content-type"]).startsWith("text/event-stream")).toBe(row.stream);
    expect(upstream.requests()).toHaveLength(row.body === undefined ? 0 : 1);
  });

  test("without a key: 401", async () => {
    expect((await send(row, {})).status).toBe(401);
    expect((await send(row, withKey("sk-unknown"))).status).toBe(401);
    expect(upstream.requests()).toHaveLength(0);
  });

  test("with a key that may not do this: 403", async () => {
    expect((await send(row, withKey(elsewhereKey(row.operation)))).status).toBe(403);
    expect(upstream.requests()).toHaveLength(0);
  });

  test("past the rate limit: 429 with retry-after, the upstream untouched", async () => {
    const headers = withKey(limitedKey(row));
    // A minute of the clock may end between two calls, but not twice.
    const answers = [await send(row, headers), await send(row, headers), await send(row, headers)];
    expect(answers[0]?.status).toBe(200);
    const refused = answers.filter((answer) => answer.status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    const passed = answers.filter((answer) => answer.status === 200).length;
    expect(passed + refused.length).toBe(3);
    expect(upstream.requests()).toHaveLength(row.body === undefined ? 0 : passed);
  });

  test("is counted, when it works and when it is refused", async () => {
    const sample = (status: number) => `weir_requests_total{operation="${row.operation}",status="${status}"}`;
    const before = { good: await metric(sample(200)), bad: await metric(sample(401)) };
    await send(row);
    await send(row, {});
    await until(
      async () => (await metric(sample(200))) === before.good + 1 && (await metric(sample(401))) === before.bad + 1,
    );
  });

  test("has its line in the access log, when it works and when it is refused", async () => {
    const good = String((await send(row)).headers["x-weir-request-id"]);
    const bad = String((await send(row, withKey("sk-unknown"))).headers["x-weir-request-id"]);
    const common = { method: row.method, path: row.path, operation: row.operation };
    const lines = await logLines((line) => line.request_id === good);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ ...common, status: 200, key: "tester", error: "" });
    const asked = row.body === undefined ? { attempts: 0 } : { attempts: 1, model: row.model };
    expect(lines[0]).toMatchObject(asked);
    expect(await logLines((line) => line.request_id === bad)).toMatchObject([
      { ...common, status: 401, key: "", error: "invalid_api_key", attempts: 0 },
    ]);
  });
});

describe.each(ASKING)("$name", (row) => {
  test("with a key that may not use the model: 403", async () => {
    expect((await send(row, withKey(OTHER_MODEL_KEY))).status).toBe(403);
    expect(upstream.requests()).toHaveLength(0);
  });

  test("with too large a body: 413, announced or not, the upstream untouched", async () => {
    const { bytes: body, contentType } = sent(row, { padding: "x".repeat(BODY_BYTES) });
    const headers = { ...BEARER, "content-type": contentType };
    for (const chunked of [false, true]) {
      expect((await call(gateway.url + row.path, { body, chunked, headers })).status).toBe(413);
    }
    expect(upstream.requests()).toHaveLength(0);
  });

  test("writes its usage event, when it works and when the upstream refuses", async () => {
    const answer = await send(row);
    const counted = ["count_tokens", "input_tokens", "tokenize"].includes(row.operation);
    const dealt = lastRequest(upstream);
    const id = String(answer.headers["x-weir-request-id"]);
    const common = { operation: row.operation, api_key: "tester", attempt: 1, streamed: row.stream };
    expect(await eventOf(gateway, id)).toMatchObject({
      ...common,
      status: 200,
      complete: true,
      estimated: false,
      input_tokens: counted ? 0 : dealt.inputTokens,
      output_tokens: dealt.outputTokens,
      images: dealt.units.images ?? 0,
      audio_seconds: dealt.units.seconds ?? 0,
      characters: dealt.units.characters ?? 0,
      request_bytes: sent(row).bytes.length,
    });
    upstream.script({ status: 500 });
    const failed = String((await send(row)).headers["x-weir-request-id"]);
    expect(await eventOf(gateway, failed)).toMatchObject({ ...common, status: 500, error: "upstream_error" });
  });

  test("records a client that leaves, and lets the upstream go", async () => {
    const before = await metric("weir_client_aborts_total");
    const agent = `leaver ${row.name}`;
    await leaveEarly(row, agent);
    await upstream.until((stats) => stats.aborted === 1, 1000);
    const events = await until(async () => {
      const mine = (await gateway.events()).filter((event) => event.user_agent === agent);
      return mine.length > 0 ? mine : null;
    });
    expect(events).toMatchObject([
      { status: 499, error: "client_closed_request", complete: false, operation: row.operation, streamed: row.stream },
    ]);
    const lines = await logLines((line) => line.user_agent === agent);
    expect(lines).toMatchObject([{ status: 499, error: "client_closed_request", attempts: 1 }]);
    await until(async () => (await metric("weir_client_aborts_total")) === before + 1);
    await until(async () => (await metric("weir_requests_in_flight")) === 0);
  });
});

test("a drain lets every way finish, and answers what still comes in its notice", async () => {
  const draining = await startGateway({ config: { drain: { notice_ms: 4_000 } }, resources: resources() });
  try {
    upstream.script({ held: true, times: ASKING.length });
    const keeping = { ...BEARER, connection: "keep-alive" };
    const early = Promise.all(ASKING.map((row) => send(row, keeping, draining)));
    // Looked at below; should the test end before, its failure is the one to be told.
    early.catch(() => {});
    await upstream.until((stats) => stats.in_flight === ASKING.length);
    const ended = draining.end("SIGTERM");
    await until(async () => (await call(`${draining.opsUrl}/readyz`, { headers: {} })).status === 503);
    const late = await Promise.all(ROWS.map(async (row) => [row.name, await send(row, keeping, draining)] as const));
    for (const [name, answer] of late) expect([name, answer.status]).toEqual([name, 200]);
    const kept = late.filter(([, answer]) => answer.headers.connection !== "close");
    expect(kept.map(([name]) => name)).toEqual([]);
    upstream.release();
    const answers = await early;
    const broken = ASKING.filter((row, index) => answers[index]?.status !== 200 || isCut(row, answers[index]));
    expect(broken.map((row) => row.name)).toEqual([]);
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(await draining.events()).toHaveLength(2 * ASKING.length);
    await expect(call(`${draining.url}/v1/models`, { headers: withKey(KEY) })).rejects.toThrow();
  } finally {
    await draining.dispose();
  }
});

/** A stream that came without its dialect's success terminator. */
function isCut(row: Row, answer: Answer | undefined): boolean {
  return row.stream && !/\[DONE\]|"message_stop"|\.(?:completed|done)"/.test(answer?.text ?? "");
}
