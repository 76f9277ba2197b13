// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resource files is the subject here.
import { createHash } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { loadResources, parseResources, renderError } from "../../../src/config/load.js";
import { NO_REQUEST_OVERRIDES } from "../../../src/config/resources.js";
import { DEFAULT_COOLDOWN } from "../../../src/config/traffic.js";
import { Snapshot } from "../../../src/config/snapshot.js";
import { contextWith, directModel, errorsOf, HASH, MINIMAL, sha256, temporaryDirectory, loaded } from "./files.js";

const directory = temporaryDirectory();
afterAll(() => directory.remove());

const HEAD = '_format_version: "1"\n';
const KEY = "{display_name: main, provider: openai, api_key: k}";
const file = (providerKeys: string, models = "[]", apiKeys = "[]"): string =>
  `${HEAD}provider_keys: ${providerKeys}\nmodels: ${models}\napi_keys: ${apiKeys}\n`;
const errors = (text: string, environment = {}): string[] => errorsOf(parseResources(text, contextWith(environment)));

describe("parseResources", () => {
  it("reads a small file and fills in what is not given", () => {
    const resources = loaded(parseResources(MINIMAL, contextWith()));
    expect(resources.providerKeys).toEqual([
      {
        name: "main",
        provider: "openai",
        adapter: null,
        apiBase: null,
        apiKey: "upstream-key",
        credential: null,
        region: null,
        apiVersion: null,
        tls: null,
        stripHeaders: [],
        defaultHeaders: {},
        request: NO_REQUEST_OVERRIDES,
        response: null,
        telemetryTags: {},
      },
    ]);
    expect(resources.models[0]).toMatchObject({
      name: "fast",
      modelName: "gpt-4o-mini",
      providerKey: "main",
      timeoutMs: null,
    });
    expect(resources.apiKeys[0]).toMatchObject({
      keyHash: HASH,
      allowedModels: ["*"],
      allowedRoutes: null,
      expiresAt: null,
    });
    expect(new Snapshot(resources).findModel("fast")?.direct?.providerKey.apiKey).toBe("upstream-key");
  });

  it("reads every field", () => {
    const text = `${HEAD}
provider_keys:
  - id: pk-1
    name: own
    provider: in-house
    adapter: openai
    api_base: 10.0.0.7:8000
    secret: \${UPSTREAM_KEY}
    api_version: 2024-10-21
    tls: {ca_cert: "-----BEGIN CERTIFICATE-----\\nx", verify: false}
    region: eu-west-1
    request:
      param_renames: {max_tokens: max_completion_tokens}
      param_constraints: {temperature_min: 0.1, temperature_max: 1}
      default_headers: {X-Team: a, X-Request: "$\${request.id}"}
      default_body_fields: {user: none, options.deep.er: [1, null]}
      forward_client_headers: [X-Trace-*]
      body_set: {metadata.team: core, store: false}
      body_remove: [logit_bias, metadata.secret]
    response: {reasoning_field: thinking, content_list_to_string: true, stream_done_marker: "[END]"}
    strip_headers: [X-Private]
    telemetry_tags: {account: blue}
models:
  - name: house/*
    provider: in-house
    model_name: "*"
    provider_key_id: pk-1
    rate_limit: &limits {rpm: 10, tpd: 5, concurrency: 1}
    timeout: 0
    stream_timeout: 1000
    strict: true
    allowed_cidrs: [10.0.0.0/8]
api_keys:
  - name: ci
    key_env: CI_KEY
    allowed_models: [house/*]
    allowed_routes: [chat]
    disabled: true
    strict: true
    expires_at: 2027-01-31T02:00:00+02:00
    team_id: t
    user_id: u
    user_name: n
    rate_limit: {<<: *limits, rps: 2}
    metadata: {cost_center: "47$$11"}
  - {display_name: free, key_hash: ${HASH.toUpperCase()}, rate_limit: {}}
`;
    const resources = loaded(parseResources(text, contextWith({ UPSTREAM_KEY: "s$$x", CI_KEY: "plain" })));
    expect(resources.providerKeys[0]).toEqual({
      name: "own",
      provider: "in-house",
      adapter: "openai",
      apiBase: "10.0.0.7:8000",
      apiKey: "s$$x",
      credential: null,
      region: "eu-west-1",
      apiVersion: "2024-10-21",
      tls: { caCert: "-----BEGIN CERTIFICATE-----\nx", verify: false },
      stripHeaders: ["x-private"],
      defaultHeaders: { "x-team": "a", "x-request": "${request.id}" },
      request: {
        paramRenames: { max_tokens: "max_completion_tokens" },
        temperatureMin: 0.1,
        temperatureMax: 1,
        defaultBodyFields: { user: "none", "options.deep.er": [1, null] },
        bodySet: { "metadata.team": "core", store: false },
        bodyRemove: ["logit_bias", "metadata.secret"],
        forwardClientHeaders: ["x-trace-*"],
      },
      response: { reasoningField: "thinking", contentListToString: true, streamDoneMarker: "[END]" },
      telemetryTags: { account: "blue" },
    });
    expect(resources.models[0]).toEqual({
      kind: "direct",
      retries: null,
      cooldown: DEFAULT_COOLDOWN,
      backgroundCheck: null,
      cost: null,
      embedding: null,
      autoPromptCaching: null,
      name: "house/*",
      provider: "in-house",
      modelName: "*",
      providerKey: "own",
      rateLimit: { rpm: 10, tpd: 5, concurrency: 1 },
      timeoutMs: 0,
      streamTimeoutMs: 1000,
      strict: true,
      allowedCidrs: ["10.0.0.0/8"],
    });
    expect(resources.apiKeys[0]).toEqual({
      name: "ci",
      keyHash: sha256("plain"),
      allowedModels: ["house/*"],
      allowedRoutes: ["chat"],
      disabled: true,
      strict: true,
      expiresAt: Date.UTC(2027, 0, 31),
      teamId: "t",
      userId: "u",
      userName: "n",
      rateLimit: { rpm: 10, tpd: 5, concurrency: 1, rps: 2 },
      metadata: { cost_center: "47$11" },
    });
    expect(resources.apiKeys[1]).toMatchObject({ keyHash: HASH, rateLimit: null, allowedModels: [] });
  });

  it("reports the errors of all entries at once, with lines", () => {
    const text = `${HEAD}
provider_keys:
  - {display_name: main, provider: openai, api_key: a, colour: red}
  - {display_name: main, provider: nobody}
  - {display_name: third, provider: nobody, adapter: carrier-pigeon}
models:
  - {display_name: a**, provider: openai, model_name: x, provider_key: main}
  - {display_name: b, provider: openai, model_name: "*", provider_key: main}
  - {display_name: c, provider: anthropic, model_name: x, provider_key: main}
  - {display_name: d, provider: openai, provider_key: gone, timeout: -1}
  - {display_name: d, name: d, provider: openai, model_name: x}
  - just text
api_keys:
  - {display_name: k, key_hash: abc, allowed_models: ["**"], allowed_routes: [fly]}
  - {key_env: MISSING, expires_at: tomorrow}
  - {display_name: l, rate_limit: {rpm: 0, rpx: 1}, metadata: {a: 1}}
`;
    const result = parseResources(text, contextWith(), "r.yaml");
    expect(errorsOf(result).sort()).toEqual([
      "api_keys[0].allowed_models[0]: may hold one * at most",
      "api_keys[0].allowed_routes[0]: must be one of chat, messages, embeddings",
      "api_keys[0].key_hash: must be a SHA-256 hash: 64 hex digits",
      "api_keys[1].display_name: is required (or name)",
      "api_keys[1].expires_at: must be an RFC 3339 time, such as 2027-01-31T00:00:00Z",
      "api_keys[1].key_env: names an environment variable that is not set or empty",
      "api_keys[2].key_hash: is required (or key_env)",
      "api_keys[2].metadata.a: must be a string",
      "api_keys[2].rate_limit.rpm: must be at least 1",
      "api_keys[2].rate_limit.rpx: unknown field",
      "models[0].display_name: may hold one * at most",
      "models[1].model_name: holds a * that the model's own name does not have",
      "models[2].provider_key: belongs to another provider than the model's",
      "models[3].model_name: is required",
      "models[3].provider_key: there is no provider key of this name",
      "models[3].timeout: must be at least 0",
      "models[4].display_name: is the same as that of models[3]",
      "models[4].name: is another name for display_name: give one of the two",
      "models[4].provider_key: is required (or provider_key_id)",
      "models[5]: must be a mapping",
      "provider_keys[0].colour: unknown field",
      "provider_keys[1].display_name: is the same as that of provider_keys[0]",
      "provider_keys[1].provider: is not in the catalog; such a provider needs an adapter",
      "provider_keys[2].adapter: must be one of openai, anthropic",
      "provider_keys[2].api_base: is required: the provider is not in the catalog",
    ]);
    const lines = result.ok ? [] : result.errors.map(renderError);
    expect(lines).toContain("r.yaml:models[3].timeout: must be at least 0 (line 11)");
  });

  it.each([
    ["", 'must be a mapping that begins with _format_version: "1"'],
    ["[]", 'must be a mapping that begins with _format_version: "1"'],
    ["models: []", '_format_version: is required: "1"'],
    ["_format_version: 1", '_format_version: must be "1", in quotes'],
    [`${HEAD}models: {}`, "models: must be a list"],
    [`${HEAD}modles: []`, "modles: unknown field"],
    [`${HEAD}api_keys:`, "api_keys: must be a list"],
  ])("refuses %j", (text, expected) => {
    expect(errors(text).join("; ")).toContain(expected);
  });

  it("refuses one key under two names, however it is written", () => {
    const two = `[{name: a, key_hash: ${sha256("k")}}, {name: b, key_env: K}]`;
    expect(errors(file("[]", "[]", two), { K: "k" })).toEqual([
      "api_keys[1].key_env: is the same as that of api_keys[0]",
    ]);
  });

  it("refers by id or name", () => {
    const keys = "[{id: one, name: two, provider: openai}, {id: two, name: one, provider: anthropic}]";
    const models = (field: string, provider: string): string =>
      file(keys, `[{name: m, provider: ${provider}, model_name: x, ${field}}]`);
    const keyOf = (text: string): string | undefined =>
      directModel(loaded(parseResources(text, contextWith())), "m").providerKey;
    expect(keyOf(models("provider_key: one", "anthropic"))).toBe("one");
    expect(keyOf(models("provider_key_id: one", "openai"))).toBe("two");
    expect(keyOf(file(`[${KEY}]`, "[{name: m, provider: openai, model_name: x, provider_key_id: main}]"))).toBe("main");
    expect(errors(file("[{id: a, name: x, provider: openai}, {id: a, name: y, provider: openai}]"))).toEqual([
      "provider_keys[1].id: is the same as that of provider_keys[0]",
    ]);
  });
});

describe("variables", () => {
  const withKey = (value: string): string => file(`[{display_name: a, provider: openai, api_key: ${value}}]`);
  const keyFor = (value: string, environment: Record<string, string>): string | undefined =>
    loaded(parseResources(withKey(value), contextWith(environment))).providerKeys[0]?.apiKey;

  it("are replaced once, anywhere in a string", () => {
    expect(keyFor("'a-${A}-${B}'", { A: "1", B: "${A}" })).toBe("a-1-${A}");
    expect(keyFor("'$${A} $$$$ $x $'", { A: "1" })).toBe("${A} $$ $x $");
    expect(keyFor("'${A}'", { A: "$$ $& $1" })).toBe("$$ $& $1");
  });

  it.each([
    ["'${MISSING}'", "environment variable MISSING is not set or empty"],
    ["'${EMPTY}'", "environment variable EMPTY is not set or empty"],
    ["'${}'", "malformed"],
    ["'${A'", "malformed"],
    ["'${A-b}'", "malformed"],
    ["'${constructor}'", "environment variable constructor is not set or empty"],
  ])("%s is an error", (value, expected) => {
    const list = errors(withKey(value), Object.assign(Object.create(null), { EMPTY: "", A: "x" }));
    expect(list).toHaveLength(1);
    expect(list[0]).toContain(expected);
    expect(list[0]).toContain("provider_keys[0].api_key");
  });
});

describe("secrets", () => {
  const SECRET = "sk-VERY-secret-0123456789";

  it.each([
    "{display_name: a, provider: ${S}, api_key: k}",
    "{display_name: a, provider: openai, api_base: 'https://u:${S}@h'}",
    '{display_name: a, provider: openai, api_key: "${S}\\n"}',
    "{display_name: a, provider: openai, adapter: ${S}}",
    `{display_name: a, provider: ${SECRET}}`,
    `{display_name: a, provider: openai, api_key:${SECRET}}`,
    `{display_name: a, provider: openai, api_key: "${SECRET}\\q"}`,
    `{display_name: a, provider: openai, api_key: "${SECRET}`,
    `{display_name: a, provider: openai, api_key: *${SECRET}}`,
    `{display_name: a, provider: openai, api_key: !${SECRET} x}`,
    `{display_name: a, provider: openai, api_key: "\${${SECRET}}"}`,
    `{display_name: a, provider: openai, request: {default_headers: {"Bearer ${SECRET}": x}}}`,
    `{display_name: a, provider: openai, tls: {verify: ${SECRET}}}`,
    `{display_name: a, provider: openai, strip_headers: ["${SECRET}:"]}`,
  ])("do not show in the errors of %s", (entry) => {
    const result = parseResources(file(`[${entry}]`), contextWith({ S: SECRET }));
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result)).not.toContain("secret");
  });

  it("do not show in the errors of models and keys", () => {
    const models = `[{name: m, provider: openai, model_name: x, provider_key: ${SECRET}}]`;
    const keys = `[{name: k, key_hash: ${SECRET}}, {name: l, key_env: ${SECRET}}, {name: n, key_env: S, expires_at: ${SECRET}}]`;
    const result = parseResources(file(`[${KEY}]`, models, keys), contextWith({ S: SECRET }));
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result)).not.toContain("VERY");
  });
});

describe("bounds", () => {
  it("refuses aliases that multiply", () => {
    let text = `${HEAD}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n`;
    for (let level = 1; level < 12; level++) {
      text += `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(", ")}]\n`;
    }
    const start = performance.now();
    expect(errors(text)).toEqual([": the aliases of the file expand to more than 1,000,000 nodes"]);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("refuses an alias inside its own anchor, and one without an anchor", () => {
    expect(errors(`${HEAD}models: &m [*m]`).length).toBe(1);
    expect(errors(`${HEAD}models: [*nowhere]`).length).toBe(1);
  });

  it("allows an anchor that is used often", () => {
    const models = Array.from({ length: 500 }, (_, index) => {
      const limit = index === 0 ? "&l {rpm: 1}" : "*l";
      return `{name: m${index}, provider: openai, model_name: x, provider_key: main, rate_limit: ${limit}}`;
    });
    expect(loaded(parseResources(file(`[${KEY}]`, `[${models.join(", ")}]`), contextWith())).models).toHaveLength(500);
  });

  it("refuses what nests too deeply instead of dying of it", () => {
    const result = parseResources(`${HEAD}models: ${"[".repeat(200_000)}`, contextWith());
    expect(result.ok).toBe(false);
  });

  it("names a key that stands twice, and its line", () => {
    const result = parseResources(`${HEAD}models: []\nmodels: []`, contextWith());
    expect(result.ok ? [] : result.errors.map(renderError)).toEqual([
      "resources.yaml: not valid YAML: the same key stands twice in one mapping (line 3)",
    ]);
  });
});

describe("loadResources", () => {
  it("hashes the file's bytes, byte order mark included, before variables are replaced", () => {
    const bytes = Buffer.from(`\ufeff${MINIMAL.replace("upstream-key", "${K}")}`);
    const path = directory.write("resources.yaml", bytes);
    const first = loaded(loadResources(path, contextWith({ K: "a" })));
    expect(first.revision).toBe(createHash("sha256").update(bytes).digest("hex").slice(0, 12));
    expect(first.source).toBe(path);
    expect(loaded(loadResources(path, contextWith({ K: "b" }))).revision).toBe(first.revision);
  });

  it("refuses a file over 64 MiB without reading it, and one that is not there", () => {
    const large = directory.write("large.yaml", Buffer.alloc(64 * 1024 * 1024 + 1, 0x23));
    expect(errorsOf(loadResources(large, contextWith()))).toEqual([": the file is larger than 64 MiB"]);
    expect(errorsOf(loadResources(`${large}-gone`, contextWith()))).toEqual([": the file cannot be read (ENOENT)"]);
  });
});
