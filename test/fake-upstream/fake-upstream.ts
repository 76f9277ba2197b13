/** An HTTP server that answers as every vendor would, and misbehaves on request. For tests and benchmarks only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { vendorError } from "../../src/providers/simulator/simulate.js";
import { fieldsOf } from "../../src/providers/simulator/media-request.js";
import { type Behaviour, behaviourOfModel, type Route, routeOf, Script, type ScriptEntry } from "./behaviour.js";
import { Gate } from "./gate.js";
import { Ledger, type RecordedRequest, type Stats } from "./ledger.js";
import { planAnswer } from "./plan.js";
import { play } from "./play.js";

export interface FakeUpstream {
  /** "http://127.0.0.1:PORT" */
  readonly url: string;
  readonly port: number;
  script(...entries: ScriptEntry[]): void;
  requests(): readonly RecordedRequest[];
  stats(): Stats;
  /** Resolves when the condition holds; rejects after `timeoutMs` (default 15000). */
  until(condition: (stats: Stats) => boolean, timeoutMs?: number): Promise<Stats>;
  /** Lets the answers go that are `held` now. */
  release(): void;
  /** Forgets scripts, requests and counts; what was held goes. */
  reset(): void;
  /** Closes every connection. */
  close(): Promise<void>;
}

/** Starts it on a port of loopback; 0 = any free one. */
export async function startFakeUpstream(port = 0): Promise<FakeUpstream> {
  const ledger = new Ledger();
  const script = new Script();
  const gate = new Gate();
  const server = createServer((request, response) => {
    answer(request, response, { ledger, script, gate }).catch(() => response.destroy());
  });
  server.on("connection", (socket) => {
    ledger.openConnections++;
    socket.once("close", () => {
      ledger.openConnections--;
      ledger.changed();
    });
  });
  // Clients keep connections as long as they like; a server that closes first makes requests fail at random.
  server.keepAliveTimeout = 600_000;
  await listen(server, port);
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    script: (...entries) => script.add(entries),
    requests: () => ledger.records,
    stats: () => ledger.stats(),
    until: (condition, timeoutMs = 15_000) => ledger.until(condition, timeoutMs),
    release: () => gate.open(),
    reset: () => {
      script.clear();
      ledger.reset();
      gate.open();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", 4096, resolve);
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { ledger, script, gate }: Controlled,
): Promise<void> {
  const body = await readBody(request);
  const url = request.url ?? "/";
  const path = url.split("?", 1)[0] ?? "";
  if (path.startsWith("/__control/")) return control(path, body, response, { ledger, script, gate });
  const { model, fake } = peek(body);
  const record = ledger.begin({ method: request.method ?? "", path: url, rawHeaders: request.rawHeaders, body, model });
  const route = routeOf(path);
  if (route === null) return refuse(response, record, ledger, 404);
  if (request.method !== (route.operation === "models" ? "GET" : "POST")) return refuse(response, record, ledger, 405);
  const behaviour = fake ?? script.take(path, model, body) ?? behaviourOfModel(model);
  if (behaviour.held === true) {
    await gate.pass(response);
    if (response.closed) return ledger.end(record, "aborted");
  }
  if (behaviour.reset || behaviour.garbage === "http") return breakConnection(response, record, ledger, behaviour);
  await play(await planAnswer(route, body, withModels(route, behaviour)), response, record, ledger);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** The model and the behaviour asked for in the body; a body that is no JSON object has neither. */
function peek(body: Buffer): { model: string; fake: Behaviour | null } {
  try {
    const value = fieldsOf(body)?.fields ?? {};
    const fake = typeof value.fake === "object" ? (value.fake as Behaviour | null) : null;
    return { model: typeof value.model === "string" ? value.model : "", fake };
  } catch {
    return { model: "", fake: null };
  }
}

function withModels(route: Route, behaviour: Behaviour): Behaviour {
  if (route.operation !== "models" || behaviour.body !== undefined || behaviour.status !== undefined) return behaviour;
  const model = { id: "simulator", object: "model", created: 1_700_000_000, owned_by: "fake-upstream" };
  return { ...behaviour, body: { object: "list", data: [model] } };
}

function refuse(response: ServerResponse, record: RecordedRequest, ledger: Ledger, status: number): void {
  record.status = status;
  response.once("close", () => ledger.end(record, response.writableFinished ? "completed" : "aborted"));
  response.writeHead(status, { "content-type": "application/json" });
  response.end(
    vendorError("openai-chat", "invalid_request_error", `The fake upstream has no such endpoint (${status}).`),
  );
}

function breakConnection(response: ServerResponse, record: RecordedRequest, ledger: Ledger, how: Behaviour): void {
  setTimeout(() => {
    ledger.end(record, "broken");
    if (how.reset) response.socket?.resetAndDestroy();
    else response.socket?.end("HTTQ/9.9 two hundred and fine\r\nno colon here\r\n\r\n\u0000\u0001\u0002");
  }, how.delay_ms ?? 0);
}

interface Controlled {
  readonly ledger: Ledger;
  readonly script: Script;
  readonly gate: Gate;
}

function control(path: string, body: Buffer, response: ServerResponse, { ledger, script, gate }: Controlled): void {
  let status = 200;
  let result: unknown = { ok: true };
  if (path === "/__control/script") status = scripted(body, script) ? 200 : 400;
  else if (path === "/__control/stats") result = ledger.stats();
  else if (path === "/__control/requests") {
    result = ledger.records.map((record) => ({ ...record, body: record.body.toString("base64") }));
  } else if (path === "/__control/release") gate.open();
  else if (path === "/__control/reset") {
    script.clear();
    ledger.reset();
    gate.open();
  } else status = 404;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(status === 200 ? result : { ok: false }));
}

/** One entry or a list of them. */
function scripted(body: Buffer, script: Script): boolean {
  try {
    const entries: unknown = JSON.parse(body.toString("utf8"));
    script.add((Array.isArray(entries) ? entries : [entries]) as ScriptEntry[]);
    return true;
  } catch {
    return false;
  }
}
