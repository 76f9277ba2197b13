/** Upstreams behind TLS with certificates that no system trusts: `tls.ca_cert` and `tls.verify` of provider keys. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { chat } from "./wire.js";

const directory = mkdtempSync(join(tmpdir(), "weir-provider-tls-"));
const servers: Server[] = [];
let fake: FakeUpstream;
let gateway: RunningGateway;

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate for these names, signed by itself. */
function selfSigned(name: string, alternatives: string): Certificate {
  const [cert, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  const made = spawnSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"].concat(
      ["-subj", `/CN=${name}.test`, "-addext", `subjectAltName=${alternatives}`],
      ["-keyout", key, "-out", cert],
    ),
    { encoding: "utf8" },
  );
  expect(made.status, made.stderr).toBe(0);
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
}

/** The fake upstream behind TLS with this certificate; resolves with its address. */
async function behindTls({ cert, key }: Certificate): Promise<string> {
  const server = createServer({ cert, key }, (socket) => {
    const inner = connect(fake.port, "127.0.0.1");
    socket.pipe(inner).pipe(socket);
    socket.on("error", () => inner.destroy()).on("close", () => inner.destroy());
    inner.on("error", () => socket.destroy()).on("close", () => socket.destroy());
  });
  // A client that does not trust the certificate breaks the handshake off.
  server.on("tlsClientError", () => {});
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  fake = await startFakeUpstream();
  const right = selfSigned("right", "IP:127.0.0.1");
  const elsewhere = selfSigned("elsewhere", "DNS:elsewhere.test");
  const [url, misnamed] = await Promise.all([behindTls(right), behindTls(elsewhere)]);
  const keys: readonly (readonly [string, string, Record<string, unknown> | undefined])[] = [
    ["untrusting", url, undefined],
    ["trusting", url, { ca_cert: right.cert }],
    ["trusting-by-variable", url, { ca_cert: `\${PRIVATE_CA}` }],
    ["trusting-another", url, { ca_cert: elsewhere.cert }],
    ["unchecked", url, { verify: false }],
    ["misnamed", misnamed, { ca_cert: elsewhere.cert }],
    ["misnamed-unchecked", misnamed, { ca_cert: elsewhere.cert, verify: false }],
  ];
  const resources = oneProvider(fake.url);
  gateway = await startGateway({
    resources: {
      ...resources,
      provider_keys: keys.map(([name, address, tls]) => {
        return { display_name: name, provider: "openai", api_base: `${address}/v1`, api_key: "sk-up", tls };
      }),
      models: keys.map(([name]) => {
        return { display_name: name, provider: "openai", model_name: "gpt-upstream", provider_key: name };
      }),
    },
    environment: { PRIVATE_CA: right.cert },
  });
});

afterAll(async () => {
  await gateway?.dispose();
  for (const server of servers) server.close();
  await fake?.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(() => fake.reset());

function ask(model: string, stream = false): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ ...chat({ words: 5 }, { stream }), model }),
  });
}

describe("an upstream whose certificate the system does not trust", () => {
  it.each(["untrusting", "trusting-another", "misnamed"])("is not spoken to: %s", async (model) => {
    const answer = await ask(model);
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ error: { code: "transport_error" } });
    expect(fake.requests()).toHaveLength(0);
  });

  it.each(["trusting", "trusting-by-variable", "unchecked", "misnamed-unchecked"])(
    "answers where its key says so: %s",
    async (model) => {
      const whole = await ask(model);
      expect(whole.status).toBe(200);
      expect(((await whole.json()) as { choices: unknown[] }).choices).toHaveLength(1);
      const streamed = await ask(model, true);
      expect(streamed.status).toBe(200);
      expect(await streamed.text()).toContain("[DONE]");
      expect(fake.requests()).toHaveLength(2);
    },
  );

  it("is trusted by no other key than its own, whichever came first", async () => {
    expect((await ask("unchecked")).status).toBe(200);
    expect((await ask("untrusting")).status).toBe(502);
    expect((await ask("trusting")).status).toBe(200);
    expect((await ask("trusting-another")).status).toBe(502);
    expect(fake.requests()).toHaveLength(2);
  });
});
