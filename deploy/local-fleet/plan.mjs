/** What the local fleet consists of: ports, secrets, files, and how each of its processes is started. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { ROOT } from "../install.mjs";
import { FleetError } from "./child.mjs";

const HOST = "127.0.0.1";
const NATS_SERVERS = 3;
/** Below those that systems give to connections going out. */
const FREE_PORTS = { first: 12_000, count: 18_000 };
const TRIES = 100;
/** Where each kind of process begins, behind the base port. */
const OFFSETS = { proxy: 0, status: 1, node: 10, ops: 20, nats: 30, monitor: 40, route: 50 };

/** Variables of the caller's that would mean something to the processes started here. */
const OURS = /^(?:WEIR_|NATS_)/;

/**
 * @typedef {{ name: string, program: string, args: string[], env: Record<string, string>, log: string,
 *   health: string }} Part
 */

/** @returns {Promise<{ addresses: object, secrets: Record<string, string>, nats: Part[], nodes: Part[], balancer: Part }>} */
export async function planFleet({ directory, port, nodes, programs }) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const ports = await findPorts(port, nodes);
  const secrets = keepSecrets(join(directory, "secrets.json"));
  const context = { directory, ports, secrets, programs, base: inheritedEnvironment() };
  writeResources(context);
  return {
    ports,
    secrets,
    nats: ports.nats.map((_port, index) => natsPart(context, index)),
    nodes: ports.node.map((_port, index) => nodePart(context, index)),
    balancer: balancerPart(context),
  };
}

export function addressOf(port) {
  return `${HOST}:${port}`;
}

function natsPart({ directory, ports, secrets, programs, base }, index) {
  const name = `nats-${index + 1}`;
  const folder = ownFolder(directory, name);
  const others = ports.route.filter((_port, at) => at !== index);
  return {
    name,
    program: programs["nats-server"],
    args: ["-c", join(ROOT, "deploy", "nats", "nats.conf")],
    env: {
      ...base,
      NATS_NAME: name,
      NATS_LISTEN: addressOf(ports.nats[index]),
      NATS_MONITOR: addressOf(ports.monitor[index]),
      NATS_CLUSTER_LISTEN: addressOf(ports.route[index]),
      NATS_ROUTES: `[${others.map((port) => `"nats://route:${secrets.nats_route}@${addressOf(port)}"`).join(", ")}]`,
      NATS_STORE: JSON.stringify(join(folder, "streams")),
      NATS_NODE_PASSWORD: secrets.nats_node,
      NATS_READER_PASSWORD: secrets.nats_reader,
      NATS_ADMIN_PASSWORD: secrets.nats_admin,
      NATS_SYSTEM_PASSWORD: secrets.nats_system,
      NATS_ROUTE_PASSWORD: secrets.nats_route,
    },
    log: join(folder, "log"),
    health: `http://${addressOf(ports.monitor[index])}/healthz`,
  };
}

function nodePart({ directory, ports, secrets, base }, index) {
  const name = `node-${index + 1}`;
  const folder = ownFolder(directory, name);
  const config = join(folder, "weir.yaml");
  writeFileSync(config, weirYaml({ name, folder, ports, index, secrets }));
  return {
    name,
    program: process.execPath,
    args: [
      join(ROOT, "dist", "main.js"),
      "serve",
      "--config",
      config,
      "--resources",
      join(directory, "resources.yaml"),
    ],
    env: { ...base, WEIR_CLUSTER__NATS__PASSWORD: secrets.nats_node },
    log: join(folder, "log"),
    health: `http://${addressOf(ports.ops[index])}/readyz`,
  };
}

function weirYaml({ name, folder, ports, index, secrets }) {
  return `node_name: ${name}
listen: ${addressOf(ports.node[index])}
ops:
  listen: ${addressOf(ports.ops[index])}
  admin_key_hashes: ["${sha256(secrets.admin_key)}"]
data_dir: ${JSON.stringify(join(folder, "data"))}
acceptors: 1
trusted_proxies: [${HOST}/32]
drain:
  notice_ms: 2000
  max_ms: 10000
cluster:
  replicas: ${NATS_SERVERS}
  nats:
    servers: [${ports.nats.map((port) => `"nats://${addressOf(port)}"`).join(", ")}]
    user: node
`;
}

function balancerPart({ directory, ports, programs, base }) {
  const nodes = ports.node.map((port, index) => [`WEIR_NODE_${index + 1}`, addressOf(port)]);
  return {
    name: "balancer",
    program: programs.haproxy,
    args: ["-db", "-f", join(ROOT, "deploy", "haproxy", "haproxy.cfg")],
    env: {
      ...base,
      WEIR_BALANCER_LISTEN: addressOf(ports.proxy[0]),
      WEIR_BALANCER_STATUS: addressOf(ports.status[0]),
      ...Object.fromEntries(nodes),
    },
    log: join(ownFolder(directory, "balancer"), "log"),
    health: `http://${addressOf(ports.status[0])}/healthz`,
  };
}

/** What the fleet serves at its first start; a file that is there already is left alone. */
function writeResources({ directory, secrets }) {
  const path = join(directory, "resources.yaml");
  if (existsSync(path)) return;
  const text = `_format_version: "1"
provider_keys:
  - { display_name: simulator, provider: simulator }
models:
  - { display_name: simulator, provider: simulator, model_name: simulator, provider_key: simulator }
api_keys:
  - { display_name: free, key_hash: "${sha256(secrets.key)}", allowed_models: ["*"] }
  - { display_name: limited, key_hash: "${sha256(secrets.limited_key)}", allowed_models: ["*"], rate_limit: { rpm: 60 } }
`;
  writeFileSync(path, text);
}

function ownFolder(directory, name) {
  const folder = join(directory, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Made once for a directory: its data is of no use without them. */
function keepSecrets(path) {
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8"));
  const names = ["key", "limited_key", "admin_key"];
  const users = ["nats_node", "nats_reader", "nats_admin", "nats_system", "nats_route"];
  const secrets = Object.fromEntries([
    ...names.map((name) => [name, `sk-weir-${randomBytes(16).toString("hex")}`]),
    // A letter first: a NATS server reads digits alone as a number.
    ...users.map((name) => [name, `p${randomBytes(16).toString("hex")}`]),
  ]);
  writeFileSync(path, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  return secrets;
}

function sha256(text) {
  return createHash("sha256").update(text).digest("hex");
}

function inheritedEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !OURS.test(name)));
}

/** Ports by kind; 0 as the base: whatever is free now. Throws a FleetError when a fixed one is taken. */
export async function findPorts(base, nodes) {
  const counts = { proxy: 1, status: 1, node: nodes, ops: nodes };
  for (const kind of ["nats", "monitor", "route"]) counts[kind] = NATS_SERVERS;
  const wanted = Object.entries(counts).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_none, index) => ({ kind, port: base === 0 ? 0 : base + OFFSETS[kind] + index })),
  );
  // All held at once, so that no two are the same.
  const held = await Promise.allSettled(wanted.map(({ port }) => (port === 0 ? holdFree() : hold(port))));
  const servers = held.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
  const found = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  const refused = held.findIndex(({ status }) => status === "rejected");
  if (refused >= 0) {
    const { port, kind } = wanted[refused];
    throw new FleetError(`port ${port} (${kind}) is taken: give another base with --port, or 0 for free ones`);
  }
  const ports = {};
  for (const [index, { kind }] of wanted.entries()) ports[kind] = [...(ports[kind] ?? []), found[index]];
  return ports;
}

/**
 * Not whatever the system would give: a port of those that it gives to connections going out may be theirs when a
 * program that was ended wants it back.
 */
async function holdFree() {
  for (let tried = 1; ; tried += 1) {
    try {
      return await hold(FREE_PORTS.first + Math.floor(Math.random() * FREE_PORTS.count));
    } catch (error) {
      if (tried === TRIES) throw error;
    }
  }
}

function hold(port) {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen({ port, host: HOST, exclusive: true }, () => done(server));
  });
}
