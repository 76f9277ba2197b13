/** The ways in which a node gets into NATS: TLS with certificates of both sides, nkeys, and credentials files. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nkeys } from "nats";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { ask, chat } from "./wire.js";

const directory = mkdtempSync(join(tmpdir(), "weir-logins-"));
const path = (name: string) => join(directory, name);

let upstream: FakeUpstream;
let nats: NatsServer | null = null;
let gateway: RunningGateway | null = null;

/** A certificate that signs itself: server, client and authority in one. */
function certificate(name: string): { cert: string; key: string } {
  const [cert, key] = [path(`${name}.pem`), path(`${name}.key`)];
  const made = spawnSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"].concat(
      ["-keyout", key, "-out", cert, "-subj", `/CN=${name}`],
      ["-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth,clientAuth"],
    ),
  );
  if (made.status !== 0) throw new Error(String(made.stderr));
  return { cert, key };
}

/** A claim, signed as NATS does it: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt */
function signed(subject: string, name: string, issuer: ReturnType<typeof nkeys.createUser>, claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = { jti: name, iat: Math.floor(Date.now() / 1_000), iss: issuer.getPublicKey(), name, sub: subject };
  const text = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part({ ...body, nats: { version: 2, ...claims } })}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url")}`;
}

const NO_LIMITS = { subs: -1, data: -1, payload: -1 };
const ACCOUNT_LIMITS = { ...NO_LIMITS, conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true };
const STORAGE = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

/** A server that knows accounts by their claims, and a credentials file for a user of one of them. */
function operatorMode(): { readonly config: string; readonly creds: string } {
  const [operator, system, account, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ];
  const accountOf = (pair: typeof account, name: string, limits: object) =>
    signed(pair.getPublicKey(), name, operator, { type: "account", limits });
  const config = `
    operator: ${signed(operator.getPublicKey(), "operator", operator, { type: "operator" })}
    system_account: ${system.getPublicKey()}
    resolver: MEMORY
    resolver_preload: {
      ${system.getPublicKey()}: ${accountOf(system, "SYS", ACCOUNT_LIMITS)}
      ${account.getPublicKey()}: ${accountOf(account, "weir", { ...ACCOUNT_LIMITS, ...STORAGE })}
    }`;
  const jwt = signed(user.getPublicKey(), "node", account, { type: "user", ...NO_LIMITS });
  const lines = [
    "-----BEGIN NATS USER JWT-----",
    jwt,
    "------END NATS USER JWT------",
    "",
    "-----BEGIN USER NKEY SEED-----",
    Buffer.from(user.getSeed()).toString(),
    "------END USER NKEY SEED------",
    "",
  ];
  return { config, creds: lines.join("\n") };
}

/** A node that logs in like this; its usage event says that it is in. */
async function logsIn(login: object, server: string): Promise<void> {
  gateway = await startGateway({
    config: { acceptors: 1, cluster: { nats: { servers: [server], ...login } } },
    resources: oneProvider(upstream.url),
  });
  expect((await ask(gateway.url, chat())).status).toBe(200);
  const { opsUrl } = gateway;
  await gateway.until(async () => (await statusOf(opsUrl)).usage?.published === 1, 15_000);
  expect((await statusOf(opsUrl)).nats).toMatchObject({ state: "connected", problem: "" });
}

async function statusOf(opsUrl: string): Promise<ClusterStatus> {
  return (await (await fetch(`${opsUrl}/status/cluster`)).json()) as ClusterStatus;
}

describe.skipIf(NATS_PROGRAM === null)(`a node logs in${NATS_REASON}`, () => {
  beforeAll(async () => {
    upstream = await startFakeUpstream();
  });
  afterEach(async () => {
    await gateway?.dispose();
    await nats?.dispose();
    gateway = null;
    nats = null;
  });
  afterAll(async () => {
    await upstream?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it("over TLS, with a certificate of its own, and not to a server that it does not trust", async () => {
    const [server, node, other] = [certificate("server"), certificate("node"), certificate("other")];
    const tls = `cert_file: "${server.cert}", key_file: "${server.key}", ca_file: "${node.cert}", verify: true`;
    nats = await NatsServer.create({ config: `tls: { ${tls}, timeout: 5 }` });
    const files = { ca_file: server.cert, cert_file: node.cert, key_file: node.key };
    // The client checks certificates against names, not against addresses.
    const named = nats.url.replace("127.0.0.1", "localhost");
    await logsIn({ tls: files }, named.replace("nats:", "tls:"));
    await gateway?.dispose();
    gateway = await startGateway({
      config: { cluster: { nats: { servers: [named], tls: { ...files, ca_file: other.cert } } } },
      resources: oneProvider(upstream.url),
    });
    expect((await ask(gateway.url, chat())).status).toBe(200);
    const { opsUrl } = gateway;
    await gateway.until(async () => (await statusOf(opsUrl)).nats?.problem !== "");
    expect((await statusOf(opsUrl)).nats?.state).toBe("connecting");
  });

  it("with an nkey", async () => {
    const user = nkeys.createUser();
    writeFileSync(path("node.nk"), `${Buffer.from(user.getSeed()).toString()}\n`, { mode: 0o600 });
    nats = await NatsServer.create({ config: `authorization: { users: [ { nkey: ${user.getPublicKey()} } ] }` });
    await logsIn({ nkey_file: path("node.nk") }, nats.url);
    expect(gateway?.stdout()).not.toContain(readFileSync(path("node.nk"), "utf8").trim());
  });

  it("with a credentials file", async () => {
    const { config, creds } = operatorMode();
    writeFileSync(path("node.creds"), creds, { mode: 0o600 });
    nats = await NatsServer.create({ config });
    await logsIn({ creds_file: path("node.creds") }, nats.url);
  });
});
