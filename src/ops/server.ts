/** The ops listener on the main thread: health, metrics and status. It carries no caller's traffic. */
import uWS, { type HttpRequest, type HttpResponse, type TemplatedApp, type us_listen_socket } from "uWebSockets.js";
import { ADMIN_PREFIX, type AdminSources, adminProblem, answerAdmin, MAX_ADMIN_BODY_BYTES } from "./admin.js";
import type { AdminAnswer } from "./admin-answer.js";

/** What the listener shows; each part is asked when somebody looks. */
export interface OpsSources {
  ready(): boolean;
  metrics(): Promise<string>;
  metricsContentType: string;
  configStatus(): unknown;
  modelStatus(): unknown;
  clusterStatus(): unknown;
  readonly admin: AdminSources;
}

/** The library takes listen options after a host too; its types do not say so. */
interface ExclusiveListener {
  listen(host: string, port: number, options: number, done: (socket: us_listen_socket | false) => void): void;
}

/** LIBUS_LISTEN_EXCLUSIVE_PORT. */
const EXCLUSIVE = 1;

interface Answer {
  readonly status: string;
  readonly contentType: string;
  readonly body: string;
}

type Handler = (sources: OpsSources) => Answer | Promise<Answer>;

const ROUTES: Readonly<Record<string, Handler>> = {
  "/livez": () => json("200 OK", { status: "ok" }),
  "/readyz": (sources) =>
    sources.ready() ? json("200 OK", { status: "ok" }) : json("503 Service Unavailable", { status: "not ready" }),
  "/metrics": async (sources) => ({
    status: "200 OK",
    contentType: sources.metricsContentType,
    body: await sources.metrics(),
  }),
  "/status/config": (sources) => json("200 OK", sources.configStatus()),
  "/status/models": (sources) => json("200 OK", sources.modelStatus()),
  "/status/cluster": (sources) => json("200 OK", sources.clusterStatus()),
};

export class OpsServer {
  readonly #app: TemplatedApp;
  readonly #sources: OpsSources;
  #socket: us_listen_socket | null = null;

  constructor(sources: OpsSources) {
    this.#sources = sources;
    this.#app = uWS.App();
    this.#app.any("/*", (response, request) => this.#answer(response, request));
  }

  /** Resolves with the port, or null when the address cannot be had. */
  listen(host: string, port: number): Promise<number | null> {
    return new Promise((done) => {
      // Not shared: a second gateway on the same ops address is a mistake that must show.
      (this.#app as unknown as ExclusiveListener).listen(host, port, EXCLUSIVE, (socket) => {
        this.#socket = socket || null;
        done(this.#socket === null ? null : uWS.us_socket_local_port(socket as never));
      });
    });
  }

  close(): void {
    if (this.#socket !== null) uWS.us_listen_socket_close(this.#socket);
    this.#socket = null;
    this.#app.close();
  }

  #answer(response: HttpResponse, request: HttpRequest): void {
    const method = request.getMethod();
    if (request.getUrl().startsWith(ADMIN_PREFIX)) {
      answerAdminCall(response, request, this.#sources.admin);
      return;
    }
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    const send = (answer: Answer) => {
      if (aborted) return;
      response.cork(() => {
        response.writeStatus(answer.status).writeHeader("content-type", answer.contentType);
        if (answer.status.startsWith("405")) response.writeHeader("allow", "GET, HEAD");
        if (method !== "head") response.end(answer.body);
        else {
          // As a header: a length told to `endWithoutBody` is taken for a body still to come.
          response.writeHeader("content-length", String(Buffer.byteLength(answer.body)));
          response.endWithoutBody();
        }
      });
    };
    const handler = ROUTES[request.getUrl()];
    if (handler === undefined) send(problem("404 Not Found", "There is no such page."));
    else if (method !== "get" && method !== "head") send(problem("405 Method Not Allowed", "Use GET."));
    else {
      Promise.resolve(handler(this.#sources)).then(send, () => {
        send(problem("500 Internal Server Error", "The status could not be gathered."));
      });
    }
  }
}

/** Reads the body of a call to the admin API, if its key is known, and answers it. */
function answerAdminCall(response: HttpResponse, request: HttpRequest, sources: AdminSources): void {
  const head = {
    method: request.getMethod(),
    path: request.getUrl(),
    query: request.getQuery() ?? "",
    authorization: request.getHeader("authorization"),
    apiKey: request.getHeader("x-api-key"),
    ifMatch: request.getHeader("if-match"),
    ifNoneMatch: request.getHeader("if-none-match"),
    address: Buffer.from(response.getRemoteAddressAsText()).toString("latin1"),
  };
  let over = false;
  response.onAborted(() => {
    over = true;
  });
  const send = ({ status, body, headers = {} }: AdminAnswer, close: boolean) => {
    if (over) return;
    over = true;
    response.cork(() => {
      response.writeStatus(status).writeHeader("content-type", "application/json");
      for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
      response.end(`${JSON.stringify(body)}\n`, close);
    });
  };
  const refusal = adminProblem(head, sources);
  if (refusal !== null) {
    send(refusal, true);
    return;
  }
  let body = Buffer.alloc(0);
  response.onData((piece, isLast) => {
    body = Buffer.concat([body, Buffer.from(piece)]);
    if (body.length > MAX_ADMIN_BODY_BYTES) send({ status: "400 Bad Request", body: TOO_LONG }, true);
    else if (isLast) {
      answerAdmin({ ...head, body }, sources).then(
        (answer) => send(answer, false),
        () => send({ status: "500 Internal Server Error", body: FAULT }, true),
      );
    }
  });
}

const FAULT = { error: { message: "The request failed inside." } };
const TOO_LONG = { error: { message: "The request body is too long." } };

function problem(status: string, message: string): Answer {
  return json(status, { error: { message } });
}

function json(status: string, value: unknown): Answer {
  return { status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}
