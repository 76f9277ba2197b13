/** A server that keeps things as an OpenAI-shaped vendor does: files, batches, fine-tuning jobs and responses. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface KeptRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface KeptUpstream {
  readonly url: string;
  readonly requests: KeptRequest[];
  /** One of each, named "file-X", "batch_X", "ftjob-X" and "resp_X", whatever has become of those before. */
  seed(): void;
  /** Requests from now on: answered with this status; 0 = as they should be. */
  fail(status: number): void;
  /** Requests from now on wait; false = those that wait are answered, and no more do. */
  hold(waits: boolean): void;
  /** Requests that are not answered yet. */
  readonly waiting: number;
  /** Batches asked for from now on have ended. */
  endBatches(): void;
  close(): Promise<void>;
}

type Thing = Record<string, unknown> & { readonly id: string };

interface State {
  readonly name: string;
  readonly files: Map<string, Thing>;
  readonly contents: Map<string, Buffer>;
  readonly batches: Map<string, Thing>;
  readonly jobs: Map<string, Thing>;
  readonly responses: Map<string, Thing>;
  ended: boolean;
  count: number;
  status: number;
  held: Set<() => void> | null;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: unknown;
}

export const BATCH_USAGE = { input_tokens: 1000, output_tokens: 500, total_tokens: 1500 };

/** `name`: stands in its ids, so that a test sees whose they are. */
export async function startKeptUpstream(name: string): Promise<KeptUpstream> {
  const requests: KeptRequest[] = [];
  const maps = { files: new Map(), contents: new Map(), batches: new Map(), jobs: new Map(), responses: new Map() };
  const state: State = { name, ...maps, ended: false, count: 0, status: 0, held: null };
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const { method = "", url = "", rawHeaders } = request;
      requests.push({ method, path: url, rawHeaders, body });
      const answer = () => send(response, answerTo(state, { method, path: url, rawHeaders, body }));
      const { held } = state;
      if (held === null) answer();
      else {
        held.add(answer);
        response.once("close", () => held.delete(answer));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    seed: () => seed(state),
    fail: (status) => {
      state.status = status;
    },
    hold: (waits) => {
      const { held } = state;
      state.held = waits ? (held ?? new Set()) : null;
      if (!waits) for (const answer of held ?? []) answer();
    },
    get waiting() {
      return state.held?.size ?? 0;
    },
    endBatches: () => {
      state.ended = true;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  const bytes = Buffer.isBuffer(body) ? body : typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, headers ?? { "content-type": "application/json" });
  response.end(bytes);
}

const ok = (body: unknown): Answer => ({ status: 200, body });
const NOT_FOUND: Answer = {
  status: 404,
  body: { error: { message: "No such thing.", type: "invalid_request_error" } },
};

function seed(state: State): void {
  const input_file_id = "file-X";
  state.files.set("file-X", { id: "file-X", object: "file", bytes: 1, created_at: 1, filename: "x", purpose: "batch" });
  state.contents.set("file-X", Buffer.from("x"));
  state.batches.set("batch_X", { id: "batch_X", object: "batch", input_file_id, status: "in_progress" });
  state.jobs.set("ftjob-X", { id: "ftjob-X", object: "fine_tuning.job", model: "gpt-x", status: "running" });
  state.responses.set("resp_X", { id: "resp_X", object: "response", status: "completed", output: [] });
}

function answerTo(state: State, request: KeptRequest): Answer {
  if (state.status > 0) return { status: state.status, body: { error: { message: "As told.", type: "server_error" } } };
  const [path = "", query = ""] = request.path.split("?");
  const parts = path.replace(/^\/v1\//, "").split("/");
  const [kind = "", id = "", action = ""] = parts[0] === "fine_tuning" ? ["jobs", ...parts.slice(2)] : parts;
  const asked = `${request.method} ${kind}${id === "" ? "" : "/id"}${action === "" ? "" : `/${action}`}`;
  const handler = HANDLERS[asked];
  return handler === undefined ? NOT_FOUND : handler({ state, id, query, body: request.body });
}

interface Asked {
  readonly state: State;
  readonly id: string;
  readonly query: string;
  readonly body: Buffer;
}

function next(state: State, prefix: string): string {
  state.count += 1;
  return `${prefix}${state.name}${state.count}`;
}
const parsed = (body: Buffer) => JSON.parse(body.toString("utf8")) as Record<string, unknown>;
const found = (map: ReadonlyMap<string, Thing>, id: string): Answer => (map.has(id) ? ok(map.get(id)) : NOT_FOUND);

/** Two a page. */
function page(map: ReadonlyMap<string, Thing>, query: string): Answer {
  const all = [...map.values()];
  const after = new URLSearchParams(query).get("after");
  const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
  const data = all.slice(from, from + 2);
  const ids = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return ok({ object: "list", data, has_more: all.length > from + 2, ...ids });
}

function batchNow(state: State, id: string): Answer {
  const batch = state.batches.get(id);
  if (batch === undefined) return NOT_FOUND;
  if (!state.ended) return ok(batch);
  const end = {
    status: "completed",
    output_file_id: `file-${state.name}-out`,
    usage: BATCH_USAGE,
    model: "gpt-4o-mini",
  };
  return ok({ ...batch, ...end });
}

const HANDLERS: Readonly<Record<string, (asked: Asked) => Answer>> = {
  "POST files": ({ state, body }) => {
    const id = next(state, "file-");
    const file = { id, object: "file", bytes: body.length, created_at: 1, filename: "a.jsonl", purpose: "batch" };
    state.files.set(id, file);
    state.contents.set(id, body);
    return ok(file);
  },
  "GET files": ({ state, query }) => page(state.files, query),
  "GET files/id": ({ state, id }) => found(state.files, id),
  "DELETE files/id": ({ state, id }) =>
    state.files.delete(id) ? ok({ id, object: "file", deleted: true }) : NOT_FOUND,
  "GET files/id/content": ({ state, id }) => {
    const body = state.contents.get(id);
    return body === undefined
      ? NOT_FOUND
      : { status: 200, headers: { "content-type": "application/octet-stream" }, body };
  },
  "POST batches": ({ state, body }) => {
    const { input_file_id, endpoint, completion_window } = parsed(body);
    if (!state.files.has(String(input_file_id))) return NOT_FOUND;
    const id = next(state, "batch_");
    const batch = {
      id,
      object: "batch",
      endpoint,
      input_file_id,
      completion_window,
      status: "in_progress",
      created_at: 1,
    };
    state.batches.set(id, batch);
    return ok(batch);
  },
  "GET batches": ({ state, query }) => page(state.batches, query),
  "GET batches/id": ({ state, id }) => batchNow(state, id),
  "POST batches/id/cancel": ({ state, id }) => found(state.batches, id),
  "POST jobs": ({ state, body }) => {
    const { model, training_file } = parsed(body);
    if (!state.files.has(String(training_file))) return NOT_FOUND;
    const id = next(state, "ftjob-");
    const job = { id, object: "fine_tuning.job", model, training_file, result_files: [], status: "queued" };
    state.jobs.set(id, job);
    return ok(job);
  },
  "GET jobs": ({ state, query }) => page(state.jobs, query),
  "GET jobs/id": ({ state, id }) => found(state.jobs, id),
  "POST jobs/id/cancel": ({ state, id }) => found(state.jobs, id),
  "POST jobs/id/pause": ({ state, id }) => found(state.jobs, id),
  "POST jobs/id/resume": ({ state, id }) => found(state.jobs, id),
  "GET jobs/id/events": () => ok({ object: "list", data: [{ id: "ftevent-1", object: "fine_tuning.job.event" }] }),
  "GET jobs/id/checkpoints": ({ id }) =>
    ok({ object: "list", data: [{ id: "ftckpt-1", fine_tuning_job_id: id }], has_more: false }),
  "POST responses": ({ state, body }) => {
    const { model, previous_response_id = null, stream, input } = parsed(body);
    if (previous_response_id !== null && !state.responses.has(String(previous_response_id))) return NOT_FOUND;
    const id = next(state, "resp_");
    const message = { id: "msg_1", type: "message", role: "assistant", status: "completed", content: [] };
    const usage = { input_tokens: 7, output_tokens: 3, total_tokens: 10 };
    const response = {
      id,
      object: "response",
      status: "completed",
      model,
      previous_response_id,
      output: [message],
      usage,
    };
    state.responses.set(id, { ...response, input });
    return stream === true ? streamed(response) : ok(response);
  },
  "GET responses/id": ({ state, id }) => found(state.responses, id),
  "DELETE responses/id": ({ state, id }) =>
    state.responses.delete(id) ? ok({ id, object: "response", deleted: true }) : NOT_FOUND,
  "POST responses/id/cancel": ({ state, id }) => found(state.responses, id),
  "GET responses/id/input_items": ({ state, id }) => {
    if (!state.responses.has(id)) return NOT_FOUND;
    const item = { id: "msg_0", type: "message", role: "user", content: [] };
    return ok({ object: "list", data: [item], first_id: "msg_0", last_id: "msg_0", has_more: false });
  },
};

function streamed(response: Record<string, unknown>): Answer {
  const event = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
  const body =
    event("response.created", { response: { ...response, status: "in_progress", usage: null } }) +
    event("response.output_text.delta", { item_id: "msg_1", delta: `the id is "${response.id}"` }) +
    event("response.completed", { response });
  return { status: 200, headers: { "content-type": "text/event-stream" }, body };
}
