// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in headers is a subject here.
import { describe, expect, it } from "vitest";
import type { ProviderKeyResource } from "../../../src/config/resources.js";
import { NO_REQUEST_OVERRIDES } from "../../../src/config/resources.js";
import type { DialectId, Operation } from "../../../src/dialects/dialect.js";
import { isFailure } from "../../../src/errors.js";
import { rowOfKey } from "../../../src/providers/catalog.js";
import type { ProviderRow } from "../../../src/providers/provider.js";
import { sharedCredentials } from "../../../src/providers/shared-credentials.js";
import { providerKeyProblem, type Target, targetFor } from "../../../src/providers/target.js";
import { providerKey } from "./keys.js";

const AWS = { access_key_id: "AKIDEXAMPLE", secret_access_key: "aws-secret" };
const GOOGLE = { access_token: "google-token", project: "acme", region: "europe-west4" };

function cloudKey(provider: string, differs: Partial<ProviderKeyResource>): ProviderKeyResource {
  return providerKey(provider, { apiKey: "", ...differs });
}

const bedrock = (provider = "bedrock", differs: Partial<ProviderKeyResource> = {}): ProviderKeyResource =>
  cloudKey(provider, { credential: AWS, region: "us-east-1", ...differs });
const vertex = (provider = "vertex", differs: Partial<ProviderKeyResource> = {}): ProviderKeyResource =>
  cloudKey(provider, { credential: GOOGLE, ...differs });

const DIALECT: Partial<Record<Operation, DialectId>> = {
  messages: "anthropic-messages",
  count_tokens: "anthropic-messages",
  responses: "openai-responses",
  completions: "openai-completions",
  embeddings: "openai-embeddings",
};

function target(key: ProviderKeyResource, operation: Operation = "chat"): Target {
  const found = targetFor(
    { providerKey: key, entry: { provider: key.provider } },
    operation,
    DIALECT[operation] ?? "openai-chat",
  );
  if (found === null) throw new Error(providerKeyProblem(key) ?? "not served");
  return found;
}

function url(key: ProviderKeyResource, model: string, operation: Operation = "chat", stream = false): string {
  const found = target(key, operation);
  return found.origin + found.path(model, stream);
}

function bodyOf(found: Target, body: unknown, forwarded: readonly string[] = []): unknown {
  const bytes = found.bodyFor(Buffer.from(JSON.stringify(body)), forwarded, "m");
  if (isFailure(bytes)) throw new Error(bytes.message);
  return JSON.parse(bytes.toString("utf8"));
}

function pairs(flat: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) map[flat[at] as string] = flat[at + 1] as string;
  return map;
}

describe("addresses in the clouds", () => {
  const claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
  const host = "https://bedrock-runtime.us-east-1.amazonaws.com";
  const google = "https://europe-west4-aiplatform.googleapis.com/v1/projects/acme/locations/europe-west4/publishers";

  it.each([
    [url(bedrock(), claude), `${host}/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse`],
    [url(bedrock(), "m", "messages", true), `${host}/model/m/converse-stream`],
    [url(bedrock("bedrock-anthropic"), "m", "messages"), `${host}/model/m/invoke`],
    [url(bedrock("bedrock-anthropic"), "m", "chat", true), `${host}/model/m/invoke-with-response-stream`],
    [
      url(bedrock("bedrock", { region: "cn-north-1" }), "arn:aws:x/y"),
      "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/arn%3Aaws%3Ax%2Fy/converse",
    ],
    [
      url(bedrock("bedrock", { region: null, apiBase: "bedrock-runtime.eu-west-1.amazonaws.com/model/x/invoke" }), "m"),
      "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse",
    ],
    [
      url(bedrock("bedrock", { apiBase: "http://127.0.0.1:9/proxy" }), "m"),
      "http://127.0.0.1:9/proxy/model/m/converse",
    ],
    [url(vertex(), "gemini-2.5-pro"), `${google}/google/models/gemini-2.5-pro:generateContent`],
    [
      url(vertex(), "gemini-2.5-pro", "responses", true),
      `${google}/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse`,
    ],
    [
      url(vertex("vertex-anthropic"), "claude-sonnet-4-5@20250929", "messages"),
      `${google}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict`,
    ],
    [url(vertex("vertex-anthropic"), "c", "messages", true), `${google}/anthropic/models/c:streamRawPredict`],
    [url(vertex("vertex-anthropic"), "c", "count_tokens"), `${google}/anthropic/models/count-tokens:rawPredict`],
    [
      url(vertex("vertex", { region: "global" }), "m"),
      "https://aiplatform.googleapis.com/v1/projects/acme/locations/global/publishers/google/models/m:generateContent",
    ],
    [
      url(vertex("vertex", { region: "eu" }), "m"),
      "https://aiplatform.eu.rep.googleapis.com/v1/projects/acme/locations/eu/publishers/google/models/m:generateContent",
    ],
    [
      url(vertex("vertex", { apiBase: "http://127.0.0.1:9/v1/projects/other" }), "m"),
      "http://127.0.0.1:9/v1/projects/acme/locations/europe-west4/publishers/google/models/m:generateContent",
    ],
  ])("%s", (found, expected) => {
    expect(found).toBe(expected);
  });

  it.each([
    ["mine.openai.azure.com", "2024-10-21", "/openai/deployments/gpt%20x/chat/completions?api-version=2024-10-21"],
    [
      "mine.openai.azure.com/openai/v1",
      "2024-10-21",
      "/openai/deployments/gpt%20x/chat/completions?api-version=2024-10-21",
    ],
    [
      "mine.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
      "2024-10-21-preview",
      "/openai/deployments/gpt%20x/chat/completions?api-version=2024-10-21-preview",
    ],
    ["mine.openai.azure.com/openai", null, "/openai/v1/chat/completions"],
    ["mine.openai.azure.com/openai", "preview", "/openai/v1/chat/completions?api-version=preview"],
    [
      "gateway.example/azure/openai",
      "2024-10-21",
      "/azure/openai/deployments/gpt%20x/chat/completions?api-version=2024-10-21",
    ],
  ])("azure-openai at %s in version %s", (apiBase, apiVersion, path) => {
    expect(target(providerKey("azure-openai", { apiBase, apiVersion })).path("gpt x", true)).toBe(path);
  });

  it("azure-openai has responses beside its deployments, and embeddings in them", () => {
    const key = providerKey("azure-openai", { apiBase: "x.openai.azure.com", apiVersion: "2025-03-01-preview" });
    expect(target(key, "responses").path("d", false)).toBe("/openai/responses?api-version=2025-03-01-preview");
    expect(target(key, "embeddings").path("d", false)).toContain("/openai/deployments/d/embeddings?");
    expect(target(key, "completions").path("d", false)).toContain("/openai/deployments/d/completions?");
  });

  it.each([null, "generativelanguage.googleapis.com", "https://generativelanguage.googleapis.com/v1beta"])(
    "gemini has a wire of its own beside the compatible one (%s)",
    (apiBase) => {
      const key = providerKey("gemini", { apiBase });
      const root = "https://generativelanguage.googleapis.com/v1beta";
      expect(url(key, "g", "messages")).toBe(`${root}/models/g:generateContent`);
      expect(url(key, "models/g", "messages")).toBe(`${root}/models/g:generateContent`);
      expect(url(key, "g", "messages", true)).toBe(`${root}/models/g:streamGenerateContent?alt=sse`);
      expect(target(key, "messages").headers.slice(0, 2)).toEqual(["x-goog-api-key", key.apiKey]);
      expect(url(key, "g", "chat")).toBe(`${root}/openai/chat/completions`);
      expect(target(key, "chat").headers[0]).toBe("authorization");
    },
  );

  it("cohere, too", () => {
    expect(url(providerKey("cohere"), "c", "messages")).toBe("https://api.cohere.com/v2/chat");
    expect(url(providerKey("cohere"), "c")).toBe("https://api.cohere.com/compatibility/v1/chat/completions");
  });

  it("are reached by adapters under other names", () => {
    const key = cloudKey("house", {
      adapter: "bedrock",
      apiBase: "http://127.0.0.1:9",
      credential: AWS,
      region: "us-west-2",
    });
    expect(target(key)).toMatchObject({ provider: "house", likeness: "bedrock", dialect: "bedrock-converse" });
  });
});

describe("what a cloud's key lacks", () => {
  it.each<[ProviderKeyResource, RegExp]>([
    [cloudKey("bedrock", { credential: AWS }), /region/],
    [cloudKey("bedrock", { credential: { access_key_id: "a" }, region: "us-east-1" }), /secret_access_key/],
    [cloudKey("bedrock", { credential: { nonsense: "a" }, region: "us-east-1" }), /not a field/],
    [cloudKey("vertex", { credential: { access_token: "t" }, region: "us-east1" }), /project/],
    [cloudKey("vertex", { credential: { access_token: "t", project: "p" } }), /region/],
    [cloudKey("azure-openai", { apiBase: "http://h" }), /api_key/],
    [cloudKey("azure-openai", { apiBase: "http://h", credential: { tenant_id: "t" } }), /tenant_id/],
    [cloudKey("openai", { credential: { access_key_id: "a" } }), /several parts/],
    [
      bedrock("bedrock", { response: { reasoningField: "r", contentListToString: false, streamDoneMarker: null } }),
      /response/,
    ],
  ])("is said (%#)", (key, problem) => {
    expect(providerKeyProblem(key)).toMatch(problem);
  });

  it("is nothing when the machine or a plain key lets it in", () => {
    expect(providerKeyProblem(cloudKey("bedrock", { region: "us-east-1" }))).toBeNull();
    expect(providerKeyProblem(cloudKey("bedrock", { apiKey: "bedrock-key", apiBase: "http://h" }))).toBeNull();
    expect(providerKeyProblem(cloudKey("azure-openai", { apiBase: "http://h", credential: {} }))).toBeNull();
    expect(providerKeyProblem(vertex())).toBeNull();
  });
});

describe("bodies in the clouds", () => {
  const conversation = { model: "claude", max_tokens: 5, messages: [], stream: true };

  it("of Claude on Bedrock have a version and betas, but no model and no stream", () => {
    const found = target(bedrock("bedrock-anthropic"), "messages");
    const forwarded = ["anthropic-version", "2023-06-01", "anthropic-beta", "one,two"];
    expect(bodyOf(found, conversation, forwarded)).toEqual({
      anthropic_version: "bedrock-2023-05-31",
      anthropic_beta: ["one", "two"],
      max_tokens: 5,
      messages: [],
    });
    expect(found.headersWith(forwarded)).toEqual(found.headers);
    const key = bedrock("bedrock-anthropic", { stripHeaders: ["Anthropic-Beta"] });
    expect(bodyOf(target(key, "messages"), conversation, forwarded)).not.toHaveProperty("anthropic_beta");
  });

  it("of Claude on Vertex have a version and a stream, and a model only to be counted", () => {
    const found = target(vertex("vertex-anthropic"), "messages");
    expect(bodyOf(found, conversation)).toEqual({
      anthropic_version: "vertex-2023-10-16",
      max_tokens: 5,
      messages: [],
      stream: true,
    });
    expect(pairs(found.headersWith(["anthropic-beta", "one"]))).toMatchObject({ "anthropic-beta": "one" });
    expect(bodyOf(target(vertex("vertex-anthropic"), "count_tokens"), { model: "c", messages: [] })).toEqual({
      anthropic_version: "vertex-2023-10-16",
      model: "c",
      messages: [],
    });
  });

  it("keep their bytes where neither wire nor key asks for a change", () => {
    const body = Buffer.from('{ "model" : "x" }');
    expect(target(bedrock()).bodyFor(body, [], "m")).toBe(body);
  });
});

describe("changes by the key", () => {
  it("are made after those of the wire, at the wire's own names", () => {
    const request = { ...NO_REQUEST_OVERRIDES, temperatureMax: 1, bodySet: { "a.b": 1 }, bodyRemove: ["x"] };
    expect(bodyOf(target(providerKey("openai", { request })), { temperature: 2, x: 1 })).toEqual({
      a: { b: 1 },
      temperature: 1,
    });
    expect(bodyOf(target(bedrock("bedrock", { request })), { inferenceConfig: { temperature: 2 } })).toEqual({
      a: { b: 1 },
      inferenceConfig: { temperature: 1 },
    });
    expect(bodyOf(target(vertex("vertex", { request })), { generationConfig: { temperature: 2 } })).toMatchObject({
      generationConfig: { temperature: 1 },
    });
  });

  it("refuse a body that has the member twice", () => {
    const request = { ...NO_REQUEST_OVERRIDES, bodyRemove: ["x"] };
    const found = target(providerKey("openai", { request })).bodyFor(Buffer.from('{"x":1,"x":2}'), [], "m");
    expect(found).toMatchObject({ code: "invalid_request_error", param: "x" });
  });

  it("let other headers of callers through, but never what lets them in", () => {
    const request = { ...NO_REQUEST_OVERRIDES, forwardClientHeaders: ["*"] };
    const others = ["x-trace", "1", "authorization", "Bearer caller", "cookie", "c", "host", "h", "x-api-key", "k"];
    expect(target(providerKey("openai", { request })).forwarded(["accept", "*/*"], others)).toEqual([
      "accept",
      "*/*",
      "x-trace",
      "1",
    ]);
    const passed = ["accept", "*/*"];
    expect(target(providerKey("openai")).forwarded(passed, others)).toBe(passed);
  });

  it("fill in what headers ask of the request", () => {
    const defaultHeaders = { "x-request": "r-${request.id}", "x-model": "${request.model}" };
    const found = target(providerKey("openai", { defaultHeaders, apiKey: "sk-${request.id}" }));
    const variables = {
      "request.id": "42",
      "request.model": "mödel\n",
      "request.operation": "chat",
      "upstream.model": "u",
      "api_key.name": "k",
      "api_key.team_id": "",
      "api_key.user_id": "",
    };
    expect(found.templated).toBe(true);
    expect(pairs(found.headersWith([], variables))).toMatchObject({
      authorization: "Bearer sk-${request.id}",
      "x-request": "r-42",
      "x-model": "m%C3%B6del%0A",
    });
    expect(pairs(found.headersWith(["x-model", "${request.id}"], variables))["x-model"]).toBe("${request.id}");
    const unknown = providerKey("openai", { defaultHeaders: { "x-a": "${request.nonsense}" } });
    expect(providerKeyProblem(unknown)).toMatch(/x-a names an unknown variable/);
  });
});

describe("credentials of a target", () => {
  const body = Buffer.from("{}");

  it("sign the request as it goes out", () => {
    const found = target(bedrock("bedrock", { apiBase: "http://127.0.0.1:9" }));
    const signed = found.authenticated({ path: found.path("a:b", false), headers: found.headers, body });
    expect(signed).not.toBeInstanceOf(Promise);
    const headers = pairs(signed as readonly string[]);
    expect(headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/us-east-1\/bedrock\/aws4_request/,
    );
    expect(headers.authorization).toContain("SignedHeaders=content-type;host;x-amz-date");
    expect(JSON.stringify(headers)).not.toContain("aws-secret");
  });

  it("cost nothing where a fixed header does", () => {
    for (const [key, name, value] of [
      [providerKey("azure-openai", { apiBase: "http://h" }), "api-key", "sk-very-secret"],
      [cloudKey("azure-openai", { apiBase: "http://h", credential: { api_key: "a" } }), "api-key", "a"],
      [cloudKey("bedrock", { apiKey: "b", region: "us-east-1" }), "authorization", "Bearer b"],
      [vertex(), "authorization", "Bearer google-token"],
    ] as const) {
      const found = target(key);
      expect(found.headers.slice(0, 2)).toEqual([name, value]);
      expect(found.authenticated({ path: "/", headers: found.headers, body })).toBe(found.headers);
    }
  });

  it("outlive the key object: a reload fetches no token anew", () => {
    const credential = { tenant_id: "t", client_id: "c", client_secret: "s" };
    const shared = (secret: string) => {
      const key = cloudKey("azure-openai", { credential: { ...credential, client_secret: secret } });
      return sharedCredentials(rowOfKey(key) as ProviderRow, "azure-openai", key);
    };
    expect(shared("one")).toBe(shared("one"));
    expect(shared("one")).not.toBe(shared("two"));
  });

  it("reject, and do not throw, when there are none", async () => {
    const credential = { web_identity_token_file: "missing-token-file", role_arn: "arn:aws:iam::1:role/r" };
    const found = target(cloudKey("bedrock", { credential, region: "us-east-1" }));
    const signed = found.authenticated({ path: "/", headers: found.headers, body });
    await expect(signed).rejects.toMatchObject({ name: "AuthError" });
  });
});
