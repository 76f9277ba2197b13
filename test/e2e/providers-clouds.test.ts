/** The clouds' own wires, credentials and framings through the built gateway, with the vendors' clients in front. */
import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import Anthropic from "@anthropic-ai/sdk";
import { SignatureV4 } from "@smithy/signature-v4";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventFrame, exceptionFrame } from "../unit/providers/framing/frames.js";
import { BEARER, call, eventOf } from "./calls.js";
import { type CloudRequest, type CloudUpstream, json, startCloudUpstream } from "./cloud-upstream.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";

const SECRETS = { aws: "aws-very-secret-key", entra: "entra-very-secret" };
let upstream: CloudUpstream;
let gateway: RunningGateway;
let anthropic: Anthropic;
let openai: OpenAI;

function providerKeys(url: string): Record<string, unknown>[] {
  const aws = { access_key_id: "AKIDEXAMPLE", secret_access_key: SECRETS.aws };
  const google = { access_token: "google-token", project: "acme", region: "us-east5" };
  const entra = { tenant_id: "tenant", client_id: "client", client_secret: SECRETS.entra };
  const azure = { provider: "azure-openai", api_base: url, api_version: "2024-10-21" };
  return [
    { name: "bedrock", provider: "bedrock", api_base: url, region: "us-west-2", api_key: aws },
    { name: "bedrock-anthropic", provider: "bedrock-anthropic", api_base: url, region: "us-west-2", api_key: aws },
    { name: "vertex", provider: "vertex", api_base: url, api_key: google },
    { name: "vertex-anthropic", provider: "vertex-anthropic", api_base: url, api_key: google },
    { name: "azure", ...azure, api_key: { ...entra, authority_host: `${url}/login` } },
    { name: "azure-down", ...azure, api_key: { ...entra, authority_host: `${url}/closed` } },
    { name: "azure-slow", ...azure, api_key: { ...entra, authority_host: `${url}/slow` } },
    { name: "gemini", provider: "gemini", api_base: url, api_key: "gemini-key" },
    { name: "cohere", provider: "cohere", api_base: url, api_key: "cohere-key" },
  ];
}

beforeAll(async () => {
  upstream = await startCloudUpstream();
  const keys = providerKeys(upstream.url);
  const resources = {
    _format_version: "1",
    provider_keys: keys,
    models: keys.map(({ name, provider }) => ({ name: `${name}/*`, provider, model_name: "*", provider_key: name })),
    api_keys: [{ name: "tester", key_hash: sha256(KEY), allowed_models: ["*"] }],
  };
  gateway = await startGateway({ resources });
  anthropic = new Anthropic({ apiKey: KEY, authToken: null, baseURL: gateway.url, maxRetries: 0 });
  openai = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => {
  upstream.taken();
});

const HELLO = [{ role: "user" as const, content: "Hello" }];
const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-real",
  content: [{ type: "text", text: "Hi there" }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 11, output_tokens: 7 },
};
const MESSAGE_EVENTS = [
  { type: "message_start", message: { ...MESSAGE, content: [], stop_reason: null } },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi " } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "there" } },
  { type: "content_block_stop", index: 0 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 7 } },
  { type: "message_stop" },
];

function chunk(event: unknown): Buffer {
  return eventFrame("chunk", { bytes: Buffer.from(JSON.stringify(event)).toString("base64") });
}

class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | Uint8Array) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret);
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}

/** What the general-purpose signer says of a request that arrived: the vendor would compute the same. */
async function signatureOf(request: CloudRequest | undefined): Promise<string | undefined> {
  if (request === undefined) return undefined;
  const { host = "", "content-type": type = "", "x-amz-date": date } = request.headers;
  const [hostname = "", port] = host.split(":");
  const signer = new SignatureV4({
    service: "bedrock",
    region: "us-west-2",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: SECRETS.aws },
    sha256: Sha256 as never,
    applyChecksum: false,
  });
  const at = String(date).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const headers = { host, "content-type": type };
  const signed = await signer.sign(
    {
      method: "POST",
      protocol: "http:",
      hostname,
      port: Number(port),
      path: request.url,
      query: {},
      headers,
      body: request.text,
    },
    { signingDate: new Date(at) },
  );
  return signed.headers.authorization;
}

describe("Claude by InvokeModel", () => {
  const model = "bedrock-anthropic/us.anthropic.claude-sonnet-4-5-v1:0";

  test("a whole answer passes, the request is signed and in the form of InvokeModel", async () => {
    upstream.on("/invoke", (_request, response) => json(response, 200, MESSAGE));
    const message = await anthropic.beta.messages.create({
      model,
      max_tokens: 9,
      messages: HELLO,
      betas: ["context-1m-2025-08-07"],
    });
    expect(message.content).toEqual(MESSAGE.content);
    const [request] = upstream.taken();
    expect(request?.url).toBe("/model/us.anthropic.claude-sonnet-4-5-v1%3A0/invoke");
    expect(request?.body).toEqual({
      anthropic_version: "bedrock-2023-05-31",
      anthropic_beta: ["context-1m-2025-08-07"],
      max_tokens: 9,
      messages: HELLO,
    });
    expect(request?.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d+\/us-west-2\/bedrock\//,
    );
    expect(request?.headers.authorization).toBe(await signatureOf(request));
    expect(request?.headers).not.toHaveProperty("anthropic-version");
    expect(request?.headers).not.toHaveProperty("anthropic-beta");
  });

  test("frames become the vendor's own stream, with usage read from it", async () => {
    upstream.on("/invoke-with-response-stream", (_request, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
      for (const event of MESSAGE_EVENTS) response.write(chunk(event));
      response.end();
    });
    const stream = anthropic.messages.stream({ model, max_tokens: 9, messages: HELLO });
    const { data, response } = await stream.withResponse();
    expect((await data.finalMessage()).content).toMatchObject([{ type: "text", text: "Hi there" }]);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
    expect(event).toMatchObject({ input_tokens: 11, output_tokens: 7, complete: true, provider: "bedrock-anthropic" });
    expect(upstream.taken()[0]?.body).not.toHaveProperty("stream");
  });

  test("an exception inside the stream is an error event, an error answer has the dialect's envelope", async () => {
    upstream.on("/invoke-with-response-stream", (_request, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
      response.write(chunk(MESSAGE_EVENTS[0]));
      response.end(exceptionFrame("throttlingException", { message: "Too fast" }));
    });
    const body = { model, max_tokens: 9, messages: HELLO, stream: true };
    const broken = await call(`${gateway.url}/v1/messages`, { body });
    expect(broken.text).toContain("event: message_start");
    expect(broken.text).toContain('{"type":"rate_limit_error","message":"Too fast"}');
    expect(broken.text).not.toContain("message_stop");
    upstream.on("/invoke", (_request, response) => json(response, 400, { message: "Malformed input" }));
    await expect(anthropic.messages.create({ model, max_tokens: 9, messages: HELLO })).rejects.toMatchObject({
      status: 400,
      error: { type: "error", error: { type: "invalid_request_error", message: "Malformed input" } },
    });
  });

  test("other dialects are translated on the way", async () => {
    upstream.on("/invoke", (_request, response) => json(response, 200, MESSAGE));
    const answer = await openai.chat.completions.create({ model, messages: HELLO });
    expect(answer.choices[0]?.message.content).toBe("Hi there");
    expect(upstream.taken()[0]?.body).toMatchObject({ anthropic_version: "bedrock-2023-05-31" });
  });
});

describe("Converse", () => {
  const model = "bedrock/amazon.nova-lite-v1:0";
  const usage = { inputTokens: 5, outputTokens: 3, totalTokens: 8 };

  test("streams to both kinds of clients", async () => {
    upstream.on("/converse-stream", (_request, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
      response.write(eventFrame("messageStart", { role: "assistant" }));
      response.write(eventFrame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "Grüß" } }));
      response.write(eventFrame("contentBlockStop", { contentBlockIndex: 0 }));
      response.write(eventFrame("messageStop", { stopReason: "end_turn" }));
      response.end(eventFrame("metadata", { usage, metrics: { latencyMs: 1 } }));
    });
    const chunks = await openai.chat.completions.create({ model, messages: HELLO, stream: true });
    let text = "";
    for await (const { choices } of chunks) text += choices[0]?.delta.content ?? "";
    expect(text).toBe("Grüß");
    const message = await anthropic.messages.stream({ model, max_tokens: 9, messages: HELLO }).finalMessage();
    expect(message).toMatchObject({ content: [{ type: "text", text: "Grüß" }], usage: { output_tokens: 3 } });
    const [request] = upstream.taken();
    expect(request?.url).toBe("/model/amazon.nova-lite-v1%3A0/converse-stream");
    expect(request?.body).toMatchObject({ messages: [{ role: "user", content: [{ text: "Hello" }] }] });
    expect(request?.headers.authorization).toContain("AWS4-HMAC-SHA256");
  });

  test("a stream that breaks inside a frame is an error to the client", async () => {
    upstream.on("/converse-stream", (_request, response) => {
      response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
      response.write(eventFrame("messageStart", { role: "assistant" }));
      response.end(eventFrame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "x" } }).subarray(0, 30));
    });
    const broken = await call(`${gateway.url}/v1/chat/completions`, { body: { model, messages: HELLO, stream: true } });
    expect(broken.text).toContain('"error"');
    expect(broken.text).not.toContain("[DONE]");
  });
});

describe("Vertex and Gemini", () => {
  const answer = {
    candidates: [{ content: { role: "model", parts: [{ text: "Hi there" }] }, finishReason: "STOP" }],
    usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 2, totalTokenCount: 6 },
    modelVersion: "gemini-real",
  };

  test("chats reach generateContent in project and region", async () => {
    upstream.on(":generateContent", (_request, response) => json(response, 200, answer));
    const chat = await openai.chat.completions.create({ model: "vertex/gemini-2.5-pro", messages: HELLO });
    expect(chat.choices[0]?.message.content).toBe("Hi there");
    const [request] = upstream.taken();
    expect(request?.url).toBe(
      "/v1/projects/acme/locations/us-east5/publishers/google/models/gemini-2.5-pro:generateContent",
    );
    expect(request?.headers.authorization).toBe("Bearer google-token");
  });

  test("messages reach Gemini's own wire, streamed", async () => {
    upstream.on(":streamGenerateContent?alt=sse", (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(`data: ${JSON.stringify(answer)}\r\n\r\n`);
    });
    const stream = anthropic.messages.stream({ model: "gemini/gemini-2.5-pro", max_tokens: 9, messages: HELLO });
    expect((await stream.finalMessage()).content).toMatchObject([{ type: "text", text: "Hi there" }]);
    const [request] = upstream.taken();
    expect(request?.url).toBe("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
    expect(request?.headers["x-goog-api-key"]).toBe("gemini-key");
  });

  test("Claude on Vertex gets the client's own bytes in rawPredict's form", async () => {
    upstream.on(":rawPredict", (_request, response) => json(response, 200, MESSAGE));
    const text = `{"model":"vertex-anthropic/claude-x@1","max_tokens": 9.0,"messages":${JSON.stringify(HELLO)},"new_field":1e2}`;
    const { status } = await call(`${gateway.url}/v1/messages`, {
      body: text,
      headers: { ...BEARER, "anthropic-beta": "b1" },
    });
    expect(status).toBe(200);
    const [request] = upstream.taken();
    expect(request?.url).toContain("/publishers/anthropic/models/claude-x@1:rawPredict");
    expect(request?.text).toBe(
      `{"anthropic_version":"vertex-2023-10-16","max_tokens": 9.0,"messages":${JSON.stringify(HELLO)},"new_field":1e2}`,
    );
    expect(request?.headers["anthropic-beta"]).toBe("b1");
  });
});

describe("Cohere", () => {
  test("messages reach its own wire", async () => {
    upstream.on("/v2/chat", (_request, response) =>
      json(response, 200, {
        id: "c1",
        finish_reason: "COMPLETE",
        message: { role: "assistant", content: [{ type: "text", text: "Hi there" }] },
        usage: { tokens: { input_tokens: 3, output_tokens: 2 } },
      }),
    );
    const message = await anthropic.messages.create({ model: "cohere/command-a", max_tokens: 9, messages: HELLO });
    expect(message.content).toMatchObject([{ type: "text", text: "Hi there" }]);
    expect(upstream.taken()[0]?.body).toMatchObject({ model: "command-a", max_tokens: 9 });
  });
});

describe("Azure with Entra ID", () => {
  const chat = {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "gpt-real",
    choices: [{ index: 0, message: { role: "assistant", content: "Hi there" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  };

  test("fetches one token for many requests and calls the deployment with it", async () => {
    upstream.on("/login/", (_request, response) =>
      json(response, 200, { token_type: "Bearer", access_token: "entra-token", expires_in: 3600 }),
    );
    upstream.on("/openai/", (_request, response) => json(response, 200, chat));
    const asked = Array.from({ length: 5 }, () =>
      openai.chat.completions.create({ model: "azure/my-deployment", messages: HELLO }),
    );
    for (const answer of await Promise.all(asked)) expect(answer.choices[0]?.message.content).toBe("Hi there");
    const requests = upstream.taken();
    // Each acceptor thread has its own token.
    const fetched = requests.filter(({ url }) => url.includes("/login/tenant/oauth2/v2.0/token"));
    expect(fetched.length).toBeGreaterThan(0);
    const calls = requests.filter(({ url }) => url.startsWith("/openai/"));
    expect(calls).toHaveLength(5);
    for (const { url, headers } of calls) {
      expect(url).toBe("/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21");
      expect(headers.authorization).toBe("Bearer entra-token");
      expect(headers).not.toHaveProperty("api-key");
    }
  });

  test("answers 502 without a secret when there is no token, and says why in the log", async () => {
    upstream.on("/closed/", (_request, response) => json(response, 500, { error: SECRETS.entra }));
    const refused = await call(`${gateway.url}/v1/chat/completions`, {
      body: { model: "azure-down/d", messages: HELLO },
    });
    expect(refused.status).toBe(502);
    expect(refused.json()).toMatchObject({ error: { code: "transport_error" } });
    const line = await gateway.until(() =>
      gateway
        .stdout()
        .split("\n")
        .find((text) => text.includes("no credentials for the upstream")),
    );
    expect(JSON.parse(line)).toMatchObject({ level: "warn", provider_key: "azure-down" });
    expect(line).toContain("Entra ID");
    expect(gateway.stdout() + gateway.stderr() + refused.text).not.toContain(SECRETS.entra);
  });

  test("a client that leaves while a token is fetched leaves nothing behind", async () => {
    upstream.on("/slow/", () => {});
    const controller = new AbortController();
    const gone = fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { ...BEARER, "content-type": "application/json" },
      body: JSON.stringify({ model: "azure-slow/left", messages: HELLO }),
      signal: controller.signal,
    });
    const left = gone.catch(() => null);
    await gateway.until(() => upstream.taken().some(({ url }) => url.includes("/slow/")));
    controller.abort();
    expect(await left).toBeNull();
    const event = await gateway.until(async () => {
      const events = await gateway.events();
      return events.find(({ model }) => model === "azure-slow/left");
    });
    expect(event).toMatchObject({ status: 499, error: "client_closed_request", upstream_status: 0 });
  });
});
