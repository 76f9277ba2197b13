/** The local fleet: starts the parts in their order, tells where they are, keeps them running, ends them in order. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureBuilt, ensureInstalled, SetupError } from "../install.mjs";
import { Child, FleetError } from "./child.mjs";
import { readOptions, USAGE } from "./options.mjs";
import { addressOf, planFleet } from "./plan.mjs";
import { findPrograms } from "./programs.mjs";

const READY_MS = 60_000;
const PROBE_MS = 1_000;
/** Above drain.notice_ms and drain.max_ms of the nodes. */
const NODE_STOP_MS = 20_000;
const STOP_MS = 5_000;

const children = [];
let stopping = null;
let exitCode = 0;
let directory = null;
let isTemporary = false;
let finish;
const finished = new Promise((done) => {
  finish = done;
});

const tell = (line) => process.stderr.write(`fleet: ${line}\n`);

function probe(url) {
  return new Promise((done) => {
    const request = get(url, { timeout: PROBE_MS, agent: false }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => done(false));
  });
}

/** Starts a part; it is ready when its health page says so. */
async function bringUp(parts, changed) {
  const started = parts.map((part) => {
    const child = new Child({ ...part, tell, changed, failed });
    children.push(child);
    child.start();
    return { child, health: part.health };
  });
  await Promise.all(started.map(({ child, health }) => child.ready(() => probe(health), READY_MS)));
}

function failed(error) {
  tell(error.message);
  exitCode = 1;
  void stop();
}

/** Nodes first, while the balancer and NATS still carry what they finish. */
function stop() {
  stopping ??= (async () => {
    tell("stopping");
    const named = (prefix) => children.filter(({ name }) => name.startsWith(prefix));
    await Promise.all(named("node-").map((child) => child.stop("SIGTERM", NODE_STOP_MS)));
    await Promise.all(named("balancer").map((child) => child.stop("SIGTERM", STOP_MS)));
    await Promise.all(named("nats-").map((child) => child.stop("SIGTERM", STOP_MS)));
    finish();
  })();
  return stopping;
}

/** For programs: where everything is, as it is now. Holds secrets, so it is the owner's alone. */
function writeState({ ports, secrets }) {
  const pidOf = (name) => children.find((child) => child.name === name)?.pid ?? null;
  const state = {
    pid: process.pid,
    url: `http://${addressOf(ports.proxy[0])}`,
    key: secrets.key,
    limited_key: secrets.limited_key,
    admin_key: secrets.admin_key,
    balancer: { pid: pidOf("balancer"), status: `http://${addressOf(ports.status[0])}` },
    nodes: ports.node.map((port, index) => ({
      name: `node-${index + 1}`,
      pid: pidOf(`node-${index + 1}`),
      url: `http://${addressOf(port)}`,
      ops: `http://${addressOf(ports.ops[index])}`,
    })),
    nats: ports.nats.map((port, index) => ({
      name: `nats-${index + 1}`,
      pid: pidOf(`nats-${index + 1}`),
      url: `nats://${addressOf(port)}`,
    })),
    nats_admin: { user: "admin", password: secrets.nats_admin },
  };
  const path = join(directory, "fleet.json");
  writeFileSync(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function introduce({ ports, secrets }) {
  const url = `http://${addressOf(ports.proxy[0])}`;
  const body = '{"model":"simulator","messages":[{"role":"user","content":"Hello"}]}';
  const ops = ports.ops.map((port) => `http://${addressOf(port)}`);
  const lines = [
    `callers: ${url}`,
    `ops:     ${ops.join("  ")}`,
    `NATS:    ${ports.nats.map((port) => `nats://${addressOf(port)}`).join("  ")}`,
    `figures: http://${addressOf(ports.status[0])}/metrics (the balancer's)`,
    `files:   ${directory} (logs, data; fleet.json holds every address, pid and secret)`,
    `keys:    ${secrets.key}`,
    `         ${secrets.limited_key} (60 requests a minute)`,
    `         ${secrets.admin_key} (admin, on ops)`,
    "try it, kill a node or a NATS server by the pid in fleet.json, try it again; Ctrl-C ends it all:",
  ];
  for (const line of lines) tell(line);
  process.stdout.write(
    `curl ${url}/v1/chat/completions -H 'Authorization: Bearer ${secrets.key}' -H 'Content-Type: application/json' -d '${body}'\ncurl ${ops[0]}/status/cluster\n`,
  );
}

function handleSignals() {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      // The second one does not wait for requests under way.
      if (stopping === null) void stop();
      else for (const child of children) child.kill();
    });
  }
  process.on("exit", () => {
    for (const child of children) child.kill();
    if (isTemporary) rmSync(directory, { recursive: true, force: true });
  });
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options === null) {
    process.stdout.write(USAGE);
    return;
  }
  const programs = findPrograms();
  if (options.build) {
    await ensureInstalled();
    await ensureBuilt();
  }
  isTemporary = options.directory === null;
  directory = isTemporary ? mkdtempSync(join(tmpdir(), "weir-fleet-")) : resolve(options.directory);
  handleSignals();
  const plan = await planFleet({ directory, port: options.port, nodes: options.nodes, programs });
  const changed = () => writeState(plan);
  for (const parts of [plan.nats, plan.nodes, [plan.balancer]]) {
    if (stopping === null) await bringUp(parts, changed);
  }
  if (stopping === null) introduce(plan);
  const timer = options.seconds === null ? undefined : setTimeout(() => void stop(), options.seconds * 1000);
  await finished;
  clearTimeout(timer);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof FleetError || error instanceof SetupError)) throw error;
  if (stopping === null) tell(error.message);
  exitCode = 1;
}
process.exit(exitCode);
