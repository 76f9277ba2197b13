/**
 * Every endpoint of the route table at every provider of the catalog: served as docs/providers.md says, with the right
 * units on its usage event, or refused with the documented 400. Both come from the code: a new row is walked by itself.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { COUNTING, type Operation, type WireId } from "../../src/dialects/dialect.js";
import type { UsageEvent } from "../../src/usage/event.js";
import {
  type Dealing,
  simulated,
  startWalkUpstream,
  type WalkRequest,
  type WalkUpstream,
} from "../fake-upstream/walk-upstream.js";
import { type Answer, BEARER, call } from "./calls.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { ASKED, type Asked, belowOf, misshapen, requestFor, type SentRequest } from "./walk-requests.js";
import { modelOf, placeOf, refusalOf, resourcesOf, type Vendor, vendorsAt } from "./walk-vendors.js";

const WALK_MS = 120_000;

interface Step {
  readonly asked: Asked;
  readonly sent: SentRequest;
  readonly answer: Answer;
  /** What the upstream got. */
  readonly received: readonly WalkRequest[];
}

/** Provider → operation → cell, as the page has it. */
const PAGE = readPage(readFileSync(new URL("../../docs/providers.md", import.meta.url), "utf8"));

function readPage(text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const page = new Map<string, Map<string, string>>();
  let head: readonly string[] = [];
  for (const line of text
    .split("\n## ")
    .find((part) => part.startsWith("What each serves"))
    ?.split("\n") ?? []) {
    if (!line.startsWith("| ")) continue;
    const [first = "", ...cells] = line.slice(2, -2).split(" | ");
    if (first === "provider") head = cells;
    else {
      const provider = first.replaceAll("`", "");
      const row = page.get(provider) ?? new Map<string, string>();
      for (const [index, cell] of cells.entries()) row.set(head[index] ?? "", cell);
      page.set(provider, row);
    }
  }
  return page;
}

function cellOf({ row }: Vendor, operation: Operation): string {
  const cell = PAGE.get(row.id)?.get(operation);
  if (cell === undefined) throw new Error(`the page says nothing of ${operation} at ${row.id}`);
  return cell;
}

let upstream: WalkUpstream;
let gateway: RunningGateway;
const walked = new Map<string, Map<string, Step>>();
const eventsById = new Map<string, UsageEvent[]>();
/** The names alone: the rows of the table must be there before anything runs. */
const VENDORS = vendorsAt("");

beforeAll(async () => {
  upstream = await startWalkUpstream();
  const vendors = vendorsAt(upstream.url);
  const api_keys = [{ name: "tester", key_hash: sha256(KEY), allowed_models: ["*"] }];
  gateway = await startGateway({ resources: { ...resourcesOf(vendors, upstream.url), api_keys } });
  const left = [...vendors];
  const walkers = Array.from({ length: 6 }, async () => {
    for (let vendor = left.shift(); vendor !== undefined; vendor = left.shift()) {
      walked.set(vendor.name, await walk(vendor));
    }
  });
  await Promise.all(walkers);
  await gatherEvents();
}, WALK_MS);
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

/** One endpoint after the other, so that what the upstream gets is this one's. */
async function walk(vendor: Vendor): Promise<Map<string, Step>> {
  const steps = new Map<string, Step>();
  for (const asked of ASKED) {
    const sent = requestFor(asked, vendor);
    const { method, path, body } = sent;
    const type = body === null ? {} : { "content-type": body.contentType };
    const headers = { ...BEARER, ...sent.headers, ...type };
    const answer = await call(gateway.url + path, { method, headers, ...(body === null ? {} : { body: body.bytes }) });
    steps.set(asked.name, { asked, sent, answer, received: upstream.taken(vendor.name) });
  }
  return steps;
}

const idOf = ({ answer }: Step): string => String(answer.headers["x-weir-request-id"]);

/** Waits for the events of all that was answered by a provider. */
async function gatherEvents(): Promise<void> {
  const all = [...walked].flatMap(([name, steps]) => [...steps.values()].map((step) => ({ name, step })));
  const answered = all.filter(
    ({ name, step }) => step.received.length > 0 || (name === "simulator" && step.answer.status === 200),
  );
  await gateway
    .until(async () => {
      eventsById.clear();
      for (const event of await gateway.events()) {
        eventsById.set(event.request_id, [...(eventsById.get(event.request_id) ?? []), event]);
      }
      return answered.every(({ step }) => eventsById.has(idOf(step)));
    })
    .catch(() => {});
}

function stepOf(vendor: Vendor, asked: Asked): Step {
  const step = walked.get(vendor.name)?.get(asked.name);
  if (step === undefined) throw new Error("the walk did not come here");
  return step;
}

/** Which operations the page says that a model, or a provider key, serves. */
function servedAt({ row }: Vendor, operations: (operation: Operation) => boolean): Operation[] {
  const cells = [...(PAGE.get(row.id) ?? [])] as [Operation, string][];
  return cells.filter(([operation, cell]) => cell !== "none" && operations(operation)).map(([operation]) => operation);
}

const KEPT: ReadonlySet<Operation> = new Set<Operation>([
  "files",
  "batches",
  "fine_tuning",
  "responses_items",
  "passthrough",
]);

/** 400, in the caller's words, with the names of what is served; nobody was asked and nothing used. */
function expectRefused(vendor: Vendor, step: Step): void {
  const { answer, received, asked } = step;
  const { operation, dialect } = asked.endpoint;
  expect([answer.status, answer.text.slice(0, 500)]).toEqual([400, expect.anything()]);
  const { error, message } = JSON.parse(answer.text);
  if (dialect.id === "anthropic-messages") expect(error.type).toBe("invalid_request_error");
  else expect(error.code).toBe("unsupported_operation");
  const said = String(error?.message ?? message);
  expect(said).toContain(vendor.name);
  if (operation !== "passthrough") {
    const named = /It serves: (.*)\.$/.exec(said)?.[1]?.split(", ") ?? [];
    const byKey = KEPT.has(operation);
    const isSaid = (each: Operation) => (byKey ? each !== "passthrough" : !KEPT.has(each));
    const served = servedAt(vendor, isSaid).filter((each) => !byKey || !isOwn(vendor, each));
    expect(named.sort()).toEqual(served.sort());
  }
  expect(received).toEqual([]);
  expect(eventsById.get(idOf(step))).toBeUndefined();
}

/** Does the gateway do it by itself? */
const isOwn = (vendor: Vendor, operation: Operation) => ["estimate", "kept"].includes(cellOf(vendor, operation));

/** The provider has no such ids; those of answers that the gateway keeps are answered by the gateway, for nothing. */
async function expectKept(vendor: Vendor, { asked }: Step): Promise<void> {
  const model = `${vendor.name}/${modelOf(vendor, "responses")}`;
  const made = await call(`${gateway.url}/v1/responses`, {
    headers: { ...BEARER, "content-type": "application/json" },
    body: Buffer.from(JSON.stringify({ model, input: "Hello" })),
  });
  expect(made.status).toBe(200);
  upstream.taken(vendor.name);
  const { id } = JSON.parse(made.text);
  const { method, path } = asked.endpoint;
  const answer = await call(gateway.url + path.replace("{id}", id), { method, headers: BEARER });
  const { error, ...json } = JSON.parse(answer.text);
  if (path.endsWith("/cancel")) expect([answer.status, error.param]).toEqual([400, "id"]);
  else if (path.endsWith("/input_items")) expect([answer.status, json.data.length]).toEqual([200, 1]);
  else expect([answer.status, json.id]).toEqual([200, id]);
  expect(upstream.taken(vendor.name)).toEqual([]);
}

/** The upstream was asked once, at the vendor's own place, in the vendor's own way, for its own model. */
function expectAsked(vendor: Vendor, { asked, received }: Step, wire: WireId): void {
  const { endpoint, stream } = asked;
  const { operation } = endpoint;
  expect(received.map(({ refusal }) => refusal)).toEqual([""]);
  const [request] = received as [WalkRequest];
  const below = belowOf(endpoint);
  expect(request.method).toBe(endpoint.method === "ANY" ? "POST" : endpoint.method);
  const place = operation === "passthrough" ? below : placeOf(vendor, { operation, wire, stream, below });
  expect(request.path).toBe(place);
  expect(refusalOf(vendor, wire, request.headers)).toBe("");
  expect(JSON.stringify(request.headers)).not.toContain(KEY);
  if (KEPT.has(operation) || wire === "tei-rerank") return;
  const model = modelOf(vendor, operation);
  const isNamed = request.path.includes(encodeURIComponent(model)) || request.body.includes(model);
  expect([isNamed, request.body.includes(`${vendor.name}/${model}`)]).toEqual([true, false]);
}

/** What the provider dealt out: as the upstream knows, or, of the one that is built in, as the same request has it. */
async function dealtTo({ row }: Vendor, { asked, sent, received }: Step): Promise<{ dealt: Dealing; counted: number }> {
  if (row.family !== "simulator") return received[0] ?? { dealt: {}, counted: -1 };
  const { operation, dialect } = asked.endpoint;
  const { dealt, counted = -1 } = await simulated(
    { operation, dialect: dialect.id },
    sent.body?.bytes ?? Buffer.alloc(0),
  );
  return { dealt, counted };
}

const NO_UNITS = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  reasoning_tokens: 0,
  images: 0,
  audio_seconds: 0,
  characters: 0,
  search_units: 0,
  estimated: false,
};

async function expectEvent(vendor: Vendor, step: Step, wire: WireId): Promise<void> {
  const { operation, dialect } = step.asked.endpoint;
  const { dealt, counted } = await dealtTo(vendor, step);
  const events = eventsById.get(idOf(step)) ?? [];
  expect(events).toHaveLength(1);
  const [event] = events as [UsageEvent];
  expect(event).toMatchObject({
    operation,
    client_dialect: dialect.id,
    target_dialect: wire,
    provider: vendor.row.id,
    provider_key: vendor.name,
    streamed: step.asked.stream,
    status: 200,
    upstream_status: 200,
    error: "",
    complete: true,
    response_bytes: expect.any(Number),
  });
  const units = Object.fromEntries(Object.keys(NO_UNITS).map((name) => [name, event[name as keyof UsageEvent]]));
  // An upstream that does not say how many tokens it read leaves the gateway a guess.
  const isGuess = dealt.estimated === true && operation === "embeddings";
  expect(units).toEqual({ ...NO_UNITS, ...dealt, ...(isGuess ? { input_tokens: expect.any(Number) } : {}) });
  if (isGuess) expect(event.input_tokens).toBeGreaterThan(0);
  if (COUNTING.has(operation)) {
    const told = JSON.parse(step.answer.text);
    expect(told.input_tokens ?? told.count).toBe(counted);
  }
}

describe.each(VENDORS)("$name", (vendor) => {
  test.each(ASKED)("$name", async (asked) => {
    const step = stepOf(vendor, asked);
    const { operation, dialect } = asked.endpoint;
    const cell = cellOf(vendor, operation);
    if (cell === "none") return expectRefused(vendor, step);
    if (cell === "kept") {
      expectRefused(vendor, step);
      return expectKept(vendor, step);
    }
    expect([step.answer.status, step.answer.status === 200 ? "" : step.answer.text]).toEqual([200, ""]);
    expect(misshapen(asked, step.answer, vendor)).toBe("");
    expect(step.answer.headers["x-weir-estimated"]).toBe(cell === "estimate" ? "true" : undefined);
    if (cell === "estimate") return expect(step.received).toEqual([]);
    const wire = cell === "native" ? dialect.id : (/\((.*)\)/.exec(cell)?.[1] as WireId);
    if (vendor.row.family !== "simulator") expectAsked(vendor, step, wire);
    await expectEvent(vendor, step, wire);
  });
});

test("the page tells of every provider and every operation", () => {
  expect([...PAGE.keys()].sort()).toEqual([...new Set(VENDORS.map(({ row }) => row.id))].sort());
  const operations = [...new Set(ASKED.map(({ endpoint }) => endpoint.operation))].sort();
  for (const cells of PAGE.values()) expect([...cells.keys()].sort()).toEqual(operations);
});

test("the list of models holds those of every provider", async () => {
  const { text } = await call(`${gateway.url}/v1/models`);
  for (const { name } of VENDORS) expect(text).toContain(`${name}/`);
});
