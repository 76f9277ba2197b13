/**
 * An acceptor: one thread's whole hot path. It owns its uWebSockets.js app, its upstream connections and
 * its journal; it shares nothing with other acceptors but the counters of limits and load.
 */
import uWS, { type HttpRequest, type HttpResponse, type TemplatedApp, type us_listen_socket } from "uWebSockets.js";
import { type AddressSet, clientAddress, parseCidrs } from "../config/cidr.js";
import { failure } from "../errors.js";
import type { Failure } from "../errors.js";
import { noteLeft } from "../pipeline/client-left.js";
import { Exchange, type RequestHeaders, type Route } from "../pipeline/exchange.js";
import type { Node } from "../pipeline/node.js";
import { begin, proceed } from "../pipeline/pipeline.js";
import { refuse } from "../pipeline/refuse.js";
import { settle } from "../pipeline/settle.js";
import { newEventId } from "../usage/meter.js";
import { Cors } from "./cors.js";
import type { NodeLoad } from "./load.js";
import { type BodyProblem, readBody } from "./read-body.js";
import { HeaderReader } from "./request-headers.js";
import { endHead, ResponseSink, type SinkSettings } from "./response-sink.js";
import type { RouteMatch } from "./route-table.js";
import { dialectForUnknown, rawMatch, ROUTE_TABLE } from "./routes.js";

/** How often deadlines and silent streams are looked at, milliseconds. */
const TICK_MS = 250;
const SWEEP_POOLS_MS = 60_000;
const OVERLOAD_RETRY_SECONDS = 1;
const BODYLESS = new Set(["get", "head", "options", "delete"]);

export class Acceptor {
  readonly #node: Node;
  readonly #load: NodeLoad;
  readonly #app: TemplatedApp;
  readonly #sinkSettings: SinkSettings;
  readonly #headerReader: HeaderReader;
  readonly #trusted: AddressSet;
  readonly #cors: Cors;
  #socket: us_listen_socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #sweptAt = 0;
  #closed = false;

  constructor(node: Node, load: NodeLoad) {
    this.#node = node;
    this.#load = load;
    const { config } = node;
    this.#sinkSettings = { serverHeader: config.identity.server_header, draining: false };
    this.#headerReader = new HeaderReader({
      modelHeader: `${config.identity.header_prefix}model`,
      providerHeader: `${config.identity.header_prefix}provider`,
      strictHeader: `${config.identity.header_prefix}strict`,
      maxBytes: config.limits.header_bytes,
    });
    this.#trusted = parseCidrs(config.trusted_proxies);
    this.#cors = new Cors(config.cors);
    // The library names itself in every answer unless told not to; there is no other switch for it.
    (uWS as unknown as { _cfg(code: string): void })._cfg("999999990007");
    const tls = config.listen.tls;
    this.#app = tls === null ? uWS.App() : uWS.SSLApp({ key_file_name: tls.key_file, cert_file_name: tls.cert_file });
    this.#app.filter((response, count) => this.#countConnection(response, Number(count)));
    this.#app.any("/*", (response, request) => this.#accept(response, request));
  }

  /** Listens on the shared port. The callback hears the port, or null when listening failed. */
  listen(done: (port: number | null) => void): void {
    const { host, port } = this.#node.config.listen;
    this.#app.listen(host, port, (socket) => {
      if (!socket) {
        done(null);
        return;
      }
      this.#socket = socket;
      this.#timer = setInterval(() => this.#tick(), TICK_MS);
      done(uWS.us_socket_local_port(socket as never));
    });
  }

  /** Readiness and answers change at once; the port stays open until `stopListening`. */
  beginDrain(): void {
    this.#sinkSettings.draining = true;
  }

  /** Takes no new connections. */
  stopListening(): void {
    if (this.#socket === null) return;
    uWS.us_listen_socket_close(this.#socket);
    this.#socket = null;
  }

  get listening(): boolean {
    return this.#socket !== null;
  }

  get inFlight(): number {
    return this.#node.exchanges.size;
  }

  /**
   * Closes everything at once: what is in flight is cut and settled. An app that is still open when its
   * thread ends aborts the whole process, so this must run before the thread exits, whatever happened.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stopListening();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#app.close();
    this.#node.ledger.flush();
  }

  #tick(): void {
    const now = performance.now();
    this.#node.exchanges.visit((exchange) => exchange.work?.tick(now));
    if (now - this.#sweptAt < SWEEP_POOLS_MS) return;
    this.#sweptAt = now;
    this.#node.sender.sweep(now);
  }

  #countConnection(response: HttpResponse, change: number): void {
    this.#load.changeConnections(change > 0 ? 1 : -1);
    // Past twice the bound nobody is owed an answer; up to there each gets a 503 that says so.
    if (change > 0 && this.#load.connections > 2 * this.#node.config.limits.connections) response.close();
  }

  #accept(response: HttpResponse, request: HttpRequest): void {
    const path = request.getUrl();
    const method = request.getMethod();
    if (path === "/livez" || path === "/readyz") {
      this.#answerProbe(response, path, method);
      return;
    }
    const { passthrough } = this.#node.snapshot;
    const ofHost = passthrough.hasHosts ? passthrough.byHost(request.getHeader("host"), path) : undefined;
    const known = ofHost === undefined ? ROUTE_TABLE.find(method, path) : undefined;
    const passage = ofHost ?? (known === undefined ? passthrough.byPath(path) : undefined);
    const match = passage === undefined ? known : rawMatch(method);
    const everything = match?.route.method === "ANY";
    const headers = this.#headerReader.read(request, everything || this.#node.collectsHeaders);
    const sink = new ResponseSink(response, this.#sinkSettings, method === "head");
    const origin = this.#cors.isOn ? request.getHeader("origin") : "";
    sink.extra = this.#cors.headersFor(origin);
    const exchange = new Exchange(
      match?.route ?? unknownRoute(path),
      { method, path, pathParameter: match?.parameter ?? "", query: request.getQuery() ?? "" },
      headers,
      {
        id: newEventId(),
        clientAddress: this.#addressOf(response, headers),
        sink,
        snapshot: this.#node.snapshot,
        now: performance.now(),
        nowWall: Date.now(),
      },
    );
    exchange.passage = passage ?? null;
    response.onAborted(() => this.#gone(exchange, sink));
    this.#enter(exchange);
    if (headers.problem?.param === "content-length") {
      this.#refuseFraming(exchange, sink);
      return;
    }
    const asked = method === "options" ? request.getHeader("access-control-request-method") : "";
    if (method === "options" && match !== undefined && (asked !== "" || !everything)) {
      const wanted = request.getHeader("access-control-request-headers");
      this.#answerOptions(exchange, match, asked === "" ? [] : this.#cors.permission(origin, match.allow, wanted));
      return;
    }
    const problem = this.#turnAway(exchange, match);
    if (problem !== null) {
      this.#refuse(exchange, sink, problem, headers);
      return;
    }
    if (!begin(exchange, this.#node)) return;
    if (BODYLESS.has(method) && !everything) proceed(exchange, this.#node);
    else this.#readBody(response, exchange, sink);
  }

  /** What a path takes is no secret, and browsers ask without a key. */
  #answerOptions(exchange: Exchange, { allow }: RouteMatch, permission: readonly string[]): void {
    exchange.status = 204;
    exchange.sink.answer(204, ["allow", allow, this.#node.headerNames.requestId, exchange.id, ...permission], "");
    settle.run(exchange, this.#node);
  }

  /** What needs no key to be refused: unknown ways in, and more than the node can carry. */
  #turnAway(exchange: Exchange, match: RouteMatch | undefined): Failure | null {
    const { limits } = this.#node.config;
    if (match === undefined) return failure("route_not_found", `There is no endpoint ${exchange.path}.`);
    if (!match.fits) {
      exchange.allow = match.allow;
      return failure("method_not_allowed", `${match.route.path} takes ${match.allow} requests.`);
    }
    if (this.#load.inFlight > limits.in_flight) return this.#shed("in_flight");
    if (this.#load.connections > limits.connections) return this.#shed("connections");
    if (exchange.headers.contentLength > limits.body_bytes) return tooLarge(limits.body_bytes);
    return null;
  }

  #shed(reason: "in_flight" | "connections" | "body_memory"): Failure {
    this.#node.metrics.cell("weir_requests_shed_total", reason).add(1);
    return failure("overloaded", undefined, null, OVERLOAD_RETRY_SECONDS);
  }

  #refuse(exchange: Exchange, sink: ResponseSink, problem: Failure, headers: RequestHeaders): void {
    // A body we do not want to read still comes down this connection: it must not be used again. The same
    // holds when two readers could disagree about where the body ends.
    const bodyComes = headers.contentLength !== 0 && !BODYLESS.has(exchange.method);
    if (bodyComes && problem.code !== "route_not_found") sink.closeAfter = true;
    refuse(exchange, this.#node, problem);
    settle.run(exchange, this.#node);
  }

  /**
   * Where the body ends is in dispute, so nothing behind this head may be taken for a request. While an
   * answer is owed, uWebSockets.js cuts a connection on which more requests come; an answer given at once
   * would let those in the same packet pass, even with "connection: close".
   */
  #refuseFraming(exchange: Exchange, sink: ResponseSink): void {
    sink.closeAfter = true;
    setImmediate(() => {
      if (!exchange.settled) begin(exchange, this.#node);
    });
  }

  #readBody(response: HttpResponse, exchange: Exchange, sink: ResponseSink): void {
    const { limits } = this.#node.config;
    const bodyLimits = {
      maxBytes: limits.body_bytes,
      announced: exchange.headers.contentLength,
      take: (bytes: number) => this.#load.takeBodyMemory(exchange, bytes),
    };
    readBody(response, bodyLimits, (body) => {
      if (exchange.settled) return;
      if (typeof body === "string") {
        this.#refuseBody(exchange, sink, body);
        return;
      }
      exchange.body = body;
      proceed(exchange, this.#node);
    });
  }

  #refuseBody(exchange: Exchange, sink: ResponseSink, problem: BodyProblem): void {
    sink.closeAfter = true;
    const { body_bytes } = this.#node.config.limits;
    refuse(exchange, this.#node, problem === "too-large" ? tooLarge(body_bytes) : this.#shed("body_memory"));
    settle.run(exchange, this.#node);
  }

  /** The client has gone, or the connection was closed under the exchange. */
  #gone(exchange: Exchange, sink: ResponseSink): void {
    const before = sink.closed;
    sink.gone();
    if (exchange.settled || before) return;
    exchange.clientGone = true;
    if (exchange.work !== null) {
      exchange.work.cancel();
      return;
    }
    noteLeft(exchange);
    settle.run(exchange, this.#node);
  }

  #enter(exchange: Exchange): void {
    this.#node.exchanges.add(exchange);
    this.#load.enter();
  }

  #addressOf(response: HttpResponse, headers: RequestHeaders): string {
    const remote = Buffer.from(response.getRemoteAddressAsText()).toString("latin1");
    return clientAddress(remote, headers.forwardedFor, this.#trusted);
  }

  #answerProbe(response: HttpResponse, path: string, method: string): void {
    const ready = path === "/livez" || !this.#sinkSettings.draining;
    response.cork(() => {
      response.writeStatus(ready ? "200 OK" : "503 Service Unavailable");
      response.writeHeader("content-type", "application/json");
      const body = ready ? '{"status":"ok"}' : '{"status":"draining"}';
      if (method === "head") endHead(response, body.length, false);
      else response.end(body);
    });
  }
}

function tooLarge(limit: number): Failure {
  return failure("request_too_large", `The request body is larger than ${limit} bytes.`);
}

function unknownRoute(path: string): Route {
  return { method: "POST", path, operation: "models", dialect: dialectForUnknown(path) };
}
