/** Keys, prompts and answers stay between the caller and the upstream, whatever goes wrong on the way. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { Client, ENDPOINTS, metricsPage, requestFor, STREAMING } from "./traffic.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** No prefix by which a filter could know them. The last part of each is what is looked for. */
const SECRET = {
  caller: "tide-table-QzCaller71",
  stranger: "tide-table-QzStranger72",
  openai: "tide-table-QzOpenai73",
  anthropic: "tide-table-QzAnthropic74",
  header: "tide-table-QzHeader75",
  prompt: "QzPrompt76",
  answer: "QzAnswer77",
  trouble: "QzTrouble78",
  query: "QzQuery79",
  cookie: "QzCookie80",
  file: "QzFile81",
} as const;
const MARK = /Qz[A-Z][a-z]+\d\d/;

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: Client;
let directory: string;

function resources(): Record<string, unknown> {
  const given = oneProvider(upstream.url, { key_hash: sha256(SECRET.caller) });
  const [openai, anthropic] = given.provider_keys as Record<string, unknown>[];
  Object.assign(openai ?? {}, {
    api_key: SECRET.openai,
    request: { default_headers: { "x-internal-token": SECRET.header } },
  });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
  Object.assign(anthropic ?? {}, { api_key: "${THE_KEY}" });
  return given;
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  directory = mkdtempSync(join(tmpdir(), "weir-secrets-"));
  gateway = await startGateway({
    config: { acceptors: 2, log: { level: "trace" }, limits: { body_bytes: 100_000 } },
    resources: resources(),
    environment: { THE_KEY: SECRET.anthropic, WEIR_DEBUG_HOOKS: "1" },
  });
  client = new Client(gateway.url, 8);
});

afterAll(async () => {
  client?.close();
  await gateway?.dispose();
  await upstream?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Everything that the gateway shows to anyone but the caller, and everything it keeps. */
async function whatShows(): Promise<Record<string, string>> {
  const shown: Record<string, string> = {
    stdout: gateway.stdout(),
    stderr: gateway.stderr(),
    metrics: await metricsPage(gateway.opsUrl),
    status: (await call(`${gateway.opsUrl}/status/config`, { headers: {} })).text,
  };
  for (const name of readdirSync(gateway.dataDirectory, { recursive: true, encoding: "utf8" })) {
    const path = join(gateway.dataDirectory, name);
    if (name.endsWith(".jsonl")) shown[name] = readFileSync(path, "utf8");
  }
  return shown;
}

async function expectNothingShows(): Promise<void> {
  for (const [place, text] of Object.entries(await whatShows())) {
    const line = text.split("\n").find((one) => MARK.test(one));
    expect(line, place).toBeUndefined();
  }
}

const auth = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const TALK = [{ role: "user", content: `tell nobody ${SECRET.prompt}` }];

function secretRequest(
  endpoint: (typeof STREAMING)[number],
  fake: Behaviour,
  stream: boolean,
): Record<string, unknown> {
  const [field] = endpoint.required;
  const value = field === "messages" ? TALK : `tell nobody ${SECRET.prompt}`;
  const extra = {
    user: SECRET.prompt,
    system: SECRET.prompt,
    instructions: SECRET.prompt,
    metadata: { a: SECRET.prompt },
  };
  return requestFor(endpoint, { ...extra, [field]: value, stream, fake });
}

const TROUBLES: readonly Behaviour[] = [
  {},
  { usage: "none" },
  { status: 401, body: { error: { message: `the key ${SECRET.openai} is wrong, said ${SECRET.trouble}` } } },
  { status: 500, body: `<h1>${SECRET.trouble}</h1> ${SECRET.prompt}`, content_type: "text/html" },
  { status: 200, body: `{"broken ${SECRET.trouble}`, headers: { "set-cookie": `s=${SECRET.cookie}` } },
  { status: 200, body: `data: {"x":"${SECRET.answer}\n\n`, content_type: "text/event-stream" },
  { redirect: `http://127.0.0.1:9/?key=${SECRET.trouble}` },
  { reset: true },
  { garbage: "http" },
  { close_after_frames: 3 },
  { error_frame_after: 3 },
  { headers: { "content-encoding": SECRET.trouble } },
];

describe("traffic", () => {
  it("of every kind shows nothing of keys, prompts and answers", async () => {
    for (const endpoint of STREAMING) {
      for (const fake of TROUBLES) {
        for (const stream of [false, true]) {
          const path = `${endpoint.path}?key=${SECRET.query}&api_key=${SECRET.query}`;
          const headers = { ...auth(SECRET.caller), cookie: `session=${SECRET.cookie}` };
          const reply = await client.post(path, secretRequest(endpoint, fake, stream), { headers });
          const text = reply.body.toString("utf8");
          // What the upstream itself says to the caller is theirs; what the gateway adds must hold nothing.
          expect(text).not.toContain(SECRET.caller);
          if (!fake.body)
            for (const own of [SECRET.openai, SECRET.anthropic, SECRET.header]) expect(text).not.toContain(own);
          expect(JSON.stringify(reply.headers)).not.toMatch(MARK);
        }
      }
    }
    await expectNothingShows();
  });

  it("that is refused shows nothing either, and repeats nothing to the caller", async () => {
    const { path } = ENDPOINTS.chat;
    const body = { model: "gpt-x", messages: TALK };
    const wrongKeys: Record<string, string>[] = [
      auth(SECRET.stranger),
      { authorization: `Basic ${SECRET.stranger}` },
      { authorization: "", "x-api-key": SECRET.stranger },
      { authorization: "", "api-key": SECRET.stranger },
      { authorization: "", "x-goog-api-key": SECRET.stranger },
    ];
    for (const headers of wrongKeys) {
      const reply = await client.post(path, body, { headers });
      expect(reply.status).toBe(401);
      expect(reply.body.toString()).not.toMatch(MARK);
    }
    const headers = auth(SECRET.caller);
    const broken: unknown[] = [
      `{"model":"gpt-x","messages":[{"role":"user","content":"${SECRET.prompt}`,
      `${SECRET.prompt}`,
      Buffer.from(`{"model":"gpt-x","messages":["${SECRET.prompt}\xff"]}`, "latin1"),
      { messages: TALK },
      { model: "gpt-x", messages: SECRET.prompt },
      { model: "gpt-x", messages: TALK, stream: SECRET.prompt },
      { model: "gpt-x", messages: TALK, max_tokens: SECRET.prompt },
      { model: { name: SECRET.prompt }, messages: TALK },
      { model: "gpt-x", messages: [SECRET.prompt.repeat(20_000)] },
    ];
    for (const sent of broken) {
      const reply = await client.post(path, sent, { headers });
      expect([400, 413]).toContain(reply.status);
      expect(reply.body.toString()).not.toMatch(MARK);
    }
    await expectNothingShows();
  });

  it("that is cut by a client or by a crash shows nothing", async () => {
    const request = secretRequest(ENDPOINTS.chat, { words: 500, gap_ms: 5 }, true);
    await client.post(ENDPOINTS.chat.path, request, { headers: auth(SECRET.caller), leaveAfter: 1_000 });
    const cut = client.post(ENDPOINTS.chat.path, request, { headers: auth(SECRET.caller) }).catch(() => null);
    await gateway.until(() => upstream.stats().in_flight > 0);
    gateway.child.kill("SIGUSR2");
    await gateway.until(() => gateway.stdout().includes("acceptor crashed"));
    await cut;
    await expectNothingShows();
  });

  it("is looked for where traffic does show, by marks that would be found", async () => {
    for (const secret of Object.values(SECRET)) expect(secret).toMatch(MARK);
    const shown = await whatShows();
    const journals = Object.keys(shown).filter((place) => place.endsWith(".jsonl"));
    expect(journals.length).toBeGreaterThanOrEqual(2);
    const journal = journals.map((place) => shown[place]).join("");
    for (const text of [shown.stdout, shown.metrics, journal]) expect(text).toContain("claude-soak");
    expect(shown.status).toContain('"revision"');
  });

  it("did carry the secrets where they belong", () => {
    const sent = upstream.requests();
    const headers = sent.map((record) => record.rawHeaders.join("\n")).join("\n");
    for (const own of [SECRET.openai, SECRET.anthropic, SECRET.header]) expect(headers).toContain(own);
    for (const other of [SECRET.caller, SECRET.stranger, SECRET.cookie]) expect(headers).not.toContain(other);
    expect(sent.map((record) => record.path).join("\n")).not.toMatch(MARK);
    expect(sent.every((record) => record.body.includes(SECRET.prompt))).toBe(true);
  });
});

const provider = (fields: object): string =>
  stringify({
    _format_version: "1",
    provider_keys: [{ display_name: "k", provider: "openai", api_key: "x", ...fields }],
    models: [],
    api_keys: [],
  });
const caller = (fields: object): string =>
  stringify({ _format_version: "1", api_keys: [{ display_name: "k", key_hash: "0".repeat(64), ...fields }] });
const model = (fields: object): string =>
  stringify({
    _format_version: "1",
    provider_keys: [{ display_name: "k", provider: "openai", api_key: "x" }],
    models: [{ display_name: "m", provider: "openai", model_name: "m", provider_key: "k", ...fields }],
  });

/** Resource files with a mistake and, somewhere near it, a secret. */
const BAD_RESOURCES: Readonly<Record<string, string>> = {
  "a list as a secret": provider({ api_key: [SECRET.file] }),
  "a mapping as a secret": provider({ api_key: { secret_access_key: SECRET.file } }),
  "a secret twice": provider({ api_key: SECRET.file, secret: SECRET.file }),
  "a misspelt field": provider({ api_kee: SECRET.file }),
  "a line break in a secret": provider({ api_key: `${SECRET.file}\nx` }),
  "an open variable": provider({ api_key: `\${${SECRET.file}` }),
  "credentials in an address": provider({ api_base: `https://user:${SECRET.file}@127.0.0.1/` }),
  "no address at all": provider({ api_base: `nothing ${SECRET.file}` }),
  "an unknown provider": provider({ provider: SECRET.file }),
  "an unknown adapter": provider({ adapter: SECRET.file, provider: "own" }),
  "a bad default header": provider({ request: { default_headers: { authorization: `Bearer ${SECRET.file}\n` } } }),
  "a certificate that is none": provider({ tls: { ca_cert: SECRET.file, verify: SECRET.file } }),
  "a key for its hash": caller({ key_hash: SECRET.file }),
  "a time that is none": caller({ expires_at: SECRET.file }),
  "a limit that is none": caller({ rate_limit: { rpm: SECRET.file } }),
  "a route that is none": caller({ allowed_routes: [SECRET.file] }),
  "metadata that are none": caller({ metadata: [SECRET.file] }),
  "a key elsewhere": model({ provider_key: SECRET.file }),
  "an address range that is none": model({ allowed_cidrs: [SECRET.file] }),
  "a field to come": model({ retries: { secret: SECRET.file } }),
  "a version that is none": stringify({ _format_version: SECRET.file }),
  "a collection that is none": stringify({ _format_version: "1", api_keys: SECRET.file }),
  "a text for a file": SECRET.file,
  "an open quote": `_format_version: "1"\nprovider_keys:\n  - api_key: "${SECRET.file}\n`,
  "a colon too many": `_format_version: "1"\nprovider_keys:\n  - api_key: ${SECRET.file}: x: y\n`,
  "a tab": `_format_version: "1"\nprovider_keys:\n\t- api_key: ${SECRET.file}\n`,
  "a field twice": `_format_version: "1"\nprovider_keys:\n  - api_key: ${SECRET.file}\n    api_key: ${SECRET.file}\n`,
  "an alias to nothing": `_format_version: "1"\nprovider_keys:\n  - api_key: *${SECRET.file}\n`,
  "a tag": `_format_version: "1"\nprovider_keys:\n  - api_key: !${SECRET.file} ${SECRET.file}\n`,
};

describe("files with mistakes", () => {
  it.each(Object.entries(BAD_RESOURCES))("%s: refused without being repeated", async (_name, text) => {
    const before = gateway.stdout().length;
    gateway.writeResources(text);
    gateway.child.kill("SIGHUP");
    await gateway.until(() => gateway.stdout().slice(before).includes("resources refused"));
    const status = (await call(`${gateway.opsUrl}/status/config`, { headers: {} })).json() as {
      refused?: { errors: string[] };
    };
    expect(status.refused?.errors.length).toBeGreaterThan(0);
    await expectNothingShows();
  });

  it("have left no trace behind all together", async () => {
    expect(gateway.stdout().match(/resources refused/g)?.length).toBeGreaterThanOrEqual(
      Object.keys(BAD_RESOURCES).length,
    );
    await expectNothingShows();
  });

  it("serve and validate print no value of the files they refuse", () => {
    const badConfigs: Readonly<Record<string, string>> = {
      unknown: stringify({ admin_key: SECRET.file }),
      type: stringify({ ops: { admin_key_hashes: [SECRET.file] }, listen: { address: [SECRET.file] } }),
      range: stringify({ limits: { body_bytes: SECRET.file }, log: { level: SECRET.file } }),
      prefix: stringify({ identity: { header_prefix: `${SECRET.file} ` }, node_name: `${SECRET.file} !` }),
      syntax: `listen: "${SECRET.file}\n`,
      scalar: SECRET.file,
    };
    const configPath = join(directory, "weir.yaml");
    const resourcesPath = join(directory, "resources.yaml");
    writeFileSync(resourcesPath, provider({ api_key: [SECRET.file], api_kee: SECRET.file }));
    for (const [name, text] of Object.entries(badConfigs)) {
      writeFileSync(configPath, text);
      for (const command of ["serve", "validate"]) {
        const args = [MAIN, command, "--config", configPath, "--resources", resourcesPath];
        const env = { PATH: process.env.PATH ?? "", WEIR_DRAIN__MAX_MS: SECRET.file };
        const { status, stdout, stderr } = spawnSync(process.execPath, args, {
          env,
          encoding: "utf8",
          timeout: 20_000,
        });
        expect(status, `${command} ${name}`).toBe(1);
        expect(stdout + stderr, `${command} ${name}`).toMatch(/weir\.yaml|resources\.yaml/);
        expect(stdout + stderr, `${command} ${name}`).not.toMatch(MARK);
      }
    }
  });
});
