import { afterAll, describe, expect, it } from "vitest";
import { loadConfig, RESERVED } from "../../../src/config/load.js";
import { errorsOf, HASH, temporaryDirectory, loaded } from "./files.js";

const directory = temporaryDirectory();
afterAll(() => directory.remove());

let files = 0;
function load(yaml: string, environment: Record<string, string> = {}) {
  return loadConfig(directory.write(`weir-${files++}.yaml`, yaml), environment);
}

describe("loadConfig", () => {
  it("is whole without a file", () => {
    const config = loaded(loadConfig(null, { PATH: "/bin" }));
    expect(config.listen).toEqual({ address: "127.0.0.1:3000", host: "127.0.0.1", port: 3000, tls: null });
    expect(config.ops).toEqual({
      listen: { address: "127.0.0.1:3001", host: "127.0.0.1", port: 3001 },
      admin_key_hashes: [],
    });
    expect(config.acceptors).toBeGreaterThanOrEqual(1);
    expect(config.pool.threads).toBe(1);
    expect(config.limits.body_bytes).toBe(33_554_432);
    expect(config.identity).toEqual({ header_prefix: "x-weir-", server_header: "weir" });
    expect(config.node_name).not.toBe("");
  });

  it.each(["", "# nothing\n", "limits:\n#  body_bytes: 1\nusage:\n  journal:\n"])(
    "is whole with the file %j",
    (yaml) => {
      expect(loaded(load(yaml)).limits.in_flight).toBe(4096);
    },
  );

  it("reads every form of a listener", () => {
    const files = { cert_file: "c.pem", key_file: "k.pem" };
    const long = loaded(load("listen: {address: '[::1]:3443', tls: {cert_file: c.pem, key_file: k.pem}}"));
    expect(long.listen).toEqual({ address: "[::1]:3443", host: "::1", port: 3443, tls: files });
    expect(loaded(load("listen: gateway.internal:0")).listen.port).toBe(0);
    for (const bad of ["3000", "'3000'", "localhost", "a:b", "1.2.3.4:65536", "'[::1]'", "'::1:3000'", "'x:3000/'"]) {
      expect(errorsOf(load(`listen: ${bad}`)).length, bad).toBe(1);
    }
    expect(errorsOf(load("listen: {address: a:1, tls: {cert_file: c}}"))).toEqual(["listen.tls.key_file: is required"]);
  });

  it("reads where NATS is, from the file or the environment", () => {
    const alone = { name: "weir", replicas: 1, on_partition: "fair_share", nats: null };
    expect(loaded(load("")).cluster).toMatchObject(alone);
    expect(loaded(load("cluster: {nats: }")).cluster.nats).toBeNull();
    const none = { creds_file: null, nkey_file: null, user: null, password: null, token: null, tls: null };
    const nats = { ...none, servers: ["nats://a:4222", "b"] };
    expect(loaded(load("cluster: {nats: {servers: ['nats://a:4222', b]}}")).cluster.nats).toEqual(nats);
    const environment = { WEIR_CLUSTER__NATS__SERVERS: "nats://a:4222,b", WEIR_CLUSTER__NATS__TLS__CA_FILE: "ca.pem" };
    const tls = { ca_file: "ca.pem", cert_file: null, key_file: null };
    expect(loaded(loadConfig(null, environment)).cluster.nats).toEqual({ ...nats, tls });
  });

  it.each([
    ["{nats: {}}", "cluster.nats.servers: is required"],
    ["{nats: {servers: []}}", "cluster.nats.servers: must have at least 1 entries"],
    ["{nats: {servers: ['nats://user:secret@a']}}", "cluster.nats.servers[0]: must be a server's address"],
    ["{nats: {servers: ['http://a']}}", "cluster.nats.servers[0]: must be a server's address"],
    ["{nats: {servers: [a], user: u}}", "cluster.nats.password: user and password go together"],
    ["{nats: {servers: [a], token: t, creds_file: c}}", "cluster.nats: give one of creds_file"],
    ["{nats: {servers: [a], tls: {cert_file: c}}}", "cluster.nats.tls.key_file: cert_file and key_file go together"],
    ["{name: Weir}", "cluster.name: must be 1 to 64 of a-z"],
    ["{name: a.b}", "cluster.name: must be 1 to 64 of a-z"],
  ])("refuses the fleet %s", (written, message) => {
    const errors = errorsOf(load(`cluster: ${written}`));
    expect(errors.length, errors.join()).toBe(1);
    expect(errors[0]).toContain(message);
  });

  it("keeps events for at least the window in which their ids are known", () => {
    expect(errorsOf(load("usage: {stream: {max_age_ms: 599999}}"))).toEqual([
      "usage.stream.max_age_ms: must be 0 or at least dedupe_window_ms",
    ]);
    expect(errorsOf(load("usage: {stream: {dedupe_window_ms: 599999}}")).length).toBe(1);
    expect(loaded(load("usage: {stream: {max_age_ms: 0}}")).usage.stream.max_age_ms).toBe(0);
  });

  it("has one pool thread an acceptor unless told otherwise", () => {
    expect(loaded(load("acceptors: 7")).pool.threads).toBe(1);
    expect(loaded(load("acceptors: 7\npool: {threads: 2}")).pool.threads).toBe(2);
  });

  it("reports everything at once, with path and line", () => {
    const result = load(
      `listen: 3000
limits:
  body_bytes: 5
  body_byte: 5
acceptors: 65
identity:
  header_prefix: X-Weir
log: {level: loud, access: 1}
trusted_proxies: [10.0.0.0/8, here]
ops: {admin_key_hashes: [abc]}
usage: {journal: {segment_bytes: 131072, max_bytes: 65536}}
drain: []
fleet: {}
`,
    );
    expect(errorsOf(result).sort()).toEqual([
      "acceptors: must be at most 64",
      "drain: must be a mapping",
      "fleet: unknown field",
      'identity.header_prefix: must be a header name in lower case that ends in "-"',
      "limits.body_byte: unknown field",
      "limits.body_bytes: must be at least 1024",
      "listen: must be a string",
      "log.access: must be true or false",
      "log.level: must be one of trace, debug, info, warn, error, fatal, silent",
      "ops.admin_key_hashes[0]: must be a SHA-256 hash: 64 hex digits",
      "trusted_proxies[1]: must be an address or a CIDR block, such as 10.0.0.0/8 or 2001:db8::/32",
      "usage.journal.max_bytes: must be at least segment_bytes",
    ]);
    const lines = new Map(result.ok ? [] : result.errors.map((error) => [error.path, error.line]));
    expect(lines.get("limits.body_byte")).toBe(4);
    expect(lines.get("trusted_proxies[1]")).toBe(9);
  });

  it.each([
    ["x", false],
    ["-", false],
    ["x-Weir-", false],
    ["x weir-", false],
    ["x-weir", false],
    ["g-", true],
    ["x-llm.gateway-", true],
  ])("header_prefix %j is valid: %s", (prefix, valid) => {
    expect(load(`identity: {header_prefix: "${prefix}"}`).ok).toBe(valid);
  });

  it("says so when the file is no mapping, missing, or not UTF-8", () => {
    expect(errorsOf(load("- a"))).toEqual([": must be a mapping"]);
    expect(errorsOf(loadConfig("/nonexistent/weir.yaml", {}))).toEqual([": the file cannot be read (ENOENT)"]);
    expect(errorsOf(loadConfig(directory.write("latin.yaml", Buffer.from([0x61, 0xff])), {}))).toEqual([
      ": the file is not valid UTF-8",
    ]);
  });
});

describe("WEIR_ variables", () => {
  it("go before the file", () => {
    const environment = {
      WEIR_LISTEN: "0.0.0.0:8080",
      WEIR_OPS__LISTEN: "0.0.0.0:8081",
      WEIR_OPS__ADMIN_KEY_HASHES: `${HASH}, ${HASH.toUpperCase()}`,
      WEIR_LIMITS__BODY_BYTES: "2048",
      WEIR_LOG__ACCESS: "false",
      WEIR_NODE_NAME: "0123",
      WEIR_IDENTITY__SERVER_HEADER: "",
      WEIR_USAGE__JOURNAL__SEGMENT_BYTES: "65536",
    };
    const config = loaded(load("listen: 127.0.0.1:1\nlimits: {body_bytes: 4096, header_bytes: 2048}", environment));
    expect(config.listen.address).toBe("0.0.0.0:8080");
    expect(config.ops.listen.port).toBe(8081);
    expect(config.ops.admin_key_hashes).toEqual([HASH, HASH]);
    expect(config.limits).toMatchObject({ body_bytes: 2048, header_bytes: 2048 });
    expect(config.log.access).toBe(false);
    expect(config.node_name).toBe("0123");
    expect(config.identity.server_header).toBe("");
    expect(config.usage.journal.segment_bytes).toBe(65_536);
  });

  it.each([
    ["10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]],
    ["[10.0.0.0/8, '::1']", ["10.0.0.0/8", "::1"]],
    ["10.0.0.1", ["10.0.0.1"]],
    ["", []],
  ])("take the list %j", (written, expected) => {
    expect(loaded(loadConfig(null, { WEIR_TRUSTED_PROXIES: written })).trusted_proxies).toEqual(expected);
  });

  it("reach below a listener that the file writes as an address, and leave TLS on", () => {
    const tls = { WEIR_LISTEN__TLS__CERT_FILE: "c", WEIR_LISTEN__TLS__KEY_FILE: "k" };
    expect(loaded(load("listen: 127.0.0.1:1", tls)).listen).toMatchObject({ port: 1, tls: { cert_file: "c" } });
    expect(loaded(loadConfig(null, { WEIR_LISTEN: "127.0.0.1:2", ...tls })).listen.tls).not.toBeNull();
    const file = "listen: {address: 127.0.0.1:1, tls: {cert_file: a, key_file: b}}";
    expect(loaded(load(file, { WEIR_LISTEN: "127.0.0.1:2" })).listen).toMatchObject({
      port: 2,
      tls: { key_file: "b" },
    });
  });

  it("are named when they are wrong or name nothing", () => {
    const environment = {
      WEIR_LIMITS__BODY_BYTES: "much",
      WEIR_LIMITS__BODY: "1",
      WEIR_LIMITS: "{}",
      WEIR_NOTHING: "1",
      WEIR_PORT: "8080",
      WEIR_TRUSTED_PROXIES: "10.0.0.0/8,there",
    };
    const result = loadConfig(null, environment);
    expect(errorsOf(result).sort()).toEqual([
      "WEIR_LIMITS: names no field of weir.yaml",
      "WEIR_LIMITS__BODY: names no field of weir.yaml",
      "WEIR_LIMITS__BODY_BYTES: must be a whole number",
      "WEIR_NOTHING: names no field of weir.yaml",
      "WEIR_PORT: names no field of weir.yaml",
      "WEIR_TRUSTED_PROXIES: must be an address or a CIDR block, such as 10.0.0.0/8 or 2001:db8::/32",
    ]);
    expect(result.ok || result.errors.every((error) => error.file === "environment")).toBe(true);
  });

  it("are left alone when other parts read them or an orchestrator sets them", () => {
    const links = {
      WEIR_PORT: "tcp://10.0.0.1:3000",
      WEIR_SERVICE_HOST: "10.0.0.1",
      WEIR_SERVICE_PORT_HTTP: "3000",
      WEIR_OPS_PORT_3001_TCP_ADDR: "10.0.0.1",
      WEIR_OPS_PORT_3001_TCP: "tcp://10.0.0.1:3001",
    };
    const reserved = Object.fromEntries([...RESERVED].map((name) => [name, "x"]));
    expect(loadConfig(null, { ...links, ...reserved }).ok).toBe(true);
  });
});
