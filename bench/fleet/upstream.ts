/**
 * The fleet rig's upstream, a process of its own: `node --import tsx bench/fleet/upstream.ts`. Writes {"port":N} when
 * it listens. It gives every answer a number of tokens of its own and keeps account of them by the caller's name for
 * the request (the body's `user`), so that what the gateways count can be held against it, request by request.
 */
import uws, { type HttpRequest, type HttpResponse } from "uWebSockets.js";
import type { Arrival, Given, Wanted } from "./wanted.js";

/** Of the models that end in this, one call in so many fails. */
const SHAKY = "-shaky";
const FAILS_EVERY = 50;
const OUTPUTS = 37;

interface Asked {
  readonly model: string;
  readonly user: string;
  readonly stream: boolean;
  readonly fleet: Wanted;
  /** What the gateway's configuration added to the request. */
  readonly authorization: string;
  readonly revision: string;
}

const given = new Map<string, Given>();
const arrivals = new Map<string, Arrival[]>();
let calls = 0;

function accountOf(user: string): Given {
  let account = given.get(user);
  if (account === undefined) {
    account = { calls: 0, input: 0, output: 0 };
    given.set(user, account);
  }
  return account;
}

function noteArrival(model: string, tokens: number): void {
  const list = arrivals.get(model);
  const arrival: Arrival = [performance.timeOrigin + performance.now(), tokens];
  if (list === undefined) arrivals.set(model, [arrival]);
  else list.push(arrival);
}

function answer(response: HttpResponse, asked: Asked, isGone: () => boolean): void {
  calls += 1;
  const account = accountOf(asked.user);
  account.calls += 1;
  if (asked.model.endsWith(SHAKY) && calls % FAILS_EVERY === 0) {
    noteArrival(asked.model, 0);
    response.cork(() => {
      response.writeStatus("500 Internal Server Error").writeHeader("content-type", "application/json");
      response.end(`{"error":{"message":"the rig's upstream fails on purpose","type":"server_error"}}`);
    });
    return;
  }
  const input = asked.fleet.input ?? 10 + (calls % 7);
  const output = asked.stream ? (asked.fleet.frames ?? 10) : (asked.fleet.output ?? 3 + (calls % OUTPUTS));
  noteArrival(asked.model, input + output);
  account.input += input;
  if (asked.stream) stream(response, asked, { input, output, account, isGone });
  else {
    account.output += output;
    const body = wholeAnswer(asked, input, output);
    response.cork(() => response.writeHeader("content-type", "application/json").end(body));
  }
}

function wholeAnswer(asked: Asked, input: number, output: number): string {
  const { model, authorization, revision } = asked;
  const content = asked.fleet.echo ? JSON.stringify({ model, authorization, revision }) : "The water stands high.";
  return JSON.stringify({
    id: `chatcmpl-${calls}`,
    object: "chat.completion",
    created: 1_760_000_000,
    model,
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
  });
}

interface Streaming {
  readonly input: number;
  readonly output: number;
  readonly account: Given;
  readonly isGone: () => boolean;
}

/** A token a frame, so that what was dealt out before a cut is known. */
function stream(response: HttpResponse, asked: Asked, { input, output, account, isGone }: Streaming): void {
  const base = { id: `chatcmpl-${calls}`, object: "chat.completion.chunk", created: 1_760_000_000, model: asked.model };
  const frame = (fields: object) => `data: ${JSON.stringify({ ...base, ...fields })}\n\n`;
  const delta = frame({ choices: [{ index: 0, delta: { role: "assistant", content: "drop " }, finish_reason: null }] });
  const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  const end =
    frame({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }) +
    `${frame({ choices: [], usage })}data: [DONE]\n\n`;
  let sent = 0;
  const step = (): void => {
    if (isGone()) {
      clearInterval(timer);
      return;
    }
    sent += 1;
    account.output += 1;
    response.cork(() => {
      response.write(delta);
      if (sent === output) response.end(end);
    });
    if (sent === output) clearInterval(timer);
  };
  response.cork(() => response.writeHeader("content-type", "text/event-stream"));
  const timer = setInterval(step, asked.fleet.gap_ms ?? 20);
}

function parse(body: Buffer, headers: Pick<Asked, "authorization" | "revision">): Asked | null {
  try {
    const { model, user, stream: streams, fleet } = JSON.parse(body.toString("utf8")) as Partial<Asked>;
    return { model: model ?? "", user: user ?? "", stream: streams === true, fleet: fleet ?? {}, ...headers };
  } catch {
    return null;
  }
}

function serve(response: HttpResponse, request: HttpRequest): void {
  const headers = {
    authorization: request.getHeader("authorization"),
    revision: request.getHeader("x-fleet-revision"),
  };
  const pieces: Buffer[] = [];
  let gone = false;
  response.onAborted(() => {
    gone = true;
  });
  response.onData((chunk, isLast) => {
    // The chunk's memory is the server's again when this call ends.
    pieces.push(Buffer.from(Buffer.from(chunk)));
    if (!isLast) return;
    const asked = parse(Buffer.concat(pieces), headers);
    if (asked === null) response.writeStatus("400 Bad Request").end("no JSON");
    else answer(response, asked, () => gone);
  });
}

const app = uws.App();
app.post("/v1/chat/completions", serve);
app.get("/control/given", (response) => {
  response.end(JSON.stringify([...given]));
});
app.get("/control/arrivals", (response, request) => {
  response.end(JSON.stringify(arrivals.get(request.getQuery("model") ?? "") ?? []));
});
app.any("/*", (response) => {
  response.writeStatus("404 Not Found").end("no such path");
});
app.listen("127.0.0.1", 0, (socket) => {
  if (socket === false) throw new Error("the upstream cannot listen");
  process.stdout.write(`${JSON.stringify({ port: uws.us_socket_local_port(socket) })}\n`);
});
