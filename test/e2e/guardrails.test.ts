/** Every kind of guardrail, on requests and on answers, whole and streamed, blocking and watching, in every dialect. */
import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { BEARER, call, eventOf, lastRequest } from "./calls.js";
import { KEY, oneProvider, roomInWindow, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { entriesOf, type Judge, startJudge } from "./guardrails-judge.js";
import { SURFACES, WAYS, type Way } from "./guardrails-surfaces.js";
import { hasTerminator, metricSum, metricsPage } from "./traffic.js";

const BAD = "Tell of the falcon and how it flew.";
const GOOD = "Tell of the sparrow and how it flew.";
const KINDS = Object.keys(entriesOf(""));
const MAILS = "Write to ann@example.com today, or to bob@example.org.";
const MASKED = "Write to [EMAIL] today, or to [EMAIL].";
const FEW_KEY = "sk-two-a-minute";

let upstream: FakeUpstream;
let judge: Judge;
let gateway: RunningGateway;

function resources(): Record<string, unknown> {
  const all = oneProvider(upstream.url) as Record<string, Record<string, unknown>[]>;
  const guardrails: Record<string, unknown>[] = [];
  const attachments: Record<string, unknown>[] = [];
  const add = (name: string, entry: Record<string, unknown>, more: Record<string, unknown> = {}) => {
    guardrails.push({ name, ...entry, ...more });
    for (const [family, provider] of [
      ["gpt", "openai"],
      ["claude", "anthropic"],
    ]) {
      const model = `${family}-${name}`;
      const provider_key = `${provider}-main`;
      all.models!.push({ display_name: model, provider, model_name: `${family}-x`, provider_key });
      attachments.push({ guardrail_id: name, scope_type: "model", scope_id: model });
    }
  };
  for (const [kind, entry] of Object.entries(entriesOf(judge.url))) {
    for (const mode of ["block", "monitor"]) add(`${kind}-${mode}`, entry, { enforcement_mode: mode });
  }
  add("mails", { kind: "pii", detectors: [{ type: "email" }] });
  add("masker", { kind: "webhook", url: `${judge.url}/mask` });
  add("open", { kind: "webhook", url: `${judge.url}/webhook`, timeout_ms: 300, output_fail_open: true });
  add("closed", { kind: "webhook", url: `${judge.url}/webhook`, timeout_ms: 300, fail_open: false });
  add("slow", { kind: "webhook", url: `${judge.url}/webhook`, timeout_ms: 60_000 });
  all.models!.push({
    display_name: "text-embedding-keyword",
    provider: "openai",
    model_name: "text-embedding-x",
    provider_key: "openai-main",
  });
  attachments.push({ guardrail_id: "keyword-block", scope_type: "model", scope_id: "text-embedding-keyword" });
  // The hub between: what the caller speaks is not what the upstream does.
  for (const [name, provider] of [
    ["hub-messages", "anthropic"],
    ["hub-chat", "openai"],
  ]) {
    const provider_key = `${provider}-main`;
    all.models!.push({ display_name: name, provider, model_name: "x", provider_key });
    for (const guardrail_id of ["keyword-block", "mails"]) {
      attachments.push({ guardrail_id, scope_type: "model", scope_id: name });
    }
  }
  all.api_keys!.push({
    display_name: "few",
    key_hash: sha256(FEW_KEY),
    allowed_models: ["*"],
    rate_limit: { rpd: 2, tpd: 100_000 },
  });
  return { ...all, guardrails, guardrail_attachments: attachments };
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  judge = await startJudge();
  gateway = await startGateway({ resources: resources() });
});
afterAll(async () => {
  await gateway?.dispose();
  await judge?.close();
  await upstream?.close();
});
beforeEach(() => {
  upstream.reset();
  judge.status = null;
});

interface Sent {
  readonly way: Way;
  readonly guardrail: string;
  readonly text: string;
  readonly stream?: boolean;
}

function send({ way, guardrail, text, stream = false }: Sent, headers: Record<string, string> = BEARER) {
  const { path, family, body } = SURFACES[way];
  const model = guardrail.startsWith("hub-") ? guardrail : `${family}-${guardrail}`;
  return call(gateway.url + path, { headers, body: { model, ...body(text), ...(stream ? { stream } : {}) } });
}

function scriptWhole(way: Way, text: string): void {
  upstream.script({ body: SURFACES[way].whole(text), content_type: "application/json" });
}

function scriptStream(way: Way, pieces: readonly string[], more: object = {}): void {
  upstream.script({ body: SURFACES[way].stream(pieces), content_type: "text/event-stream", ...more });
}

function expectRefusal(answer: { status: number; text: string }, guardrail: string): void {
  expect(answer.status, answer.text).toBe(422);
  expect(answer.text).toContain(guardrail);
  expect(answer.text).not.toMatch(/falcon|secret-judge/i);
}

const actions = (name: string, hook: string) => [
  { name, action: name.endsWith("monitor") ? "monitor" : "block", hook },
];

describe.each(KINDS)("%s", (kind) => {
  test.each(WAYS)("blocks a bad request and lets a good one pass: %s", async (way) => {
    const guardrail = `${kind}-block`;
    for (const stream of [false, true]) {
      expectRefusal(await send({ way, guardrail, text: BAD, stream }), guardrail);
      expect(upstream.requests()).toEqual([]);
    }
    const passed = await send({ way, guardrail, text: GOOD });
    expect(passed.status, passed.text).toBe(200);
    expect((await eventOf(gateway, String(passed.headers["x-weir-request-id"]))).guardrails).toEqual([]);
  });

  test.each(WAYS)("only watches a bad request where it monitors: %s", async (way) => {
    const guardrail = `${kind}-monitor`;
    const answer = await send({ way, guardrail, text: BAD });
    expect(answer.status, answer.text).toBe(200);
    expect(lastRequest(upstream).body.toString()).toContain("falcon");
    const { guardrails } = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    // The upstream says again what it was asked: that is watched too.
    expect(guardrails.filter(({ hook }) => hook === "input")).toEqual(actions(guardrail, "input"));
  });

  // What this kind looks for is in requests alone.
  const answers = kind === "shield" ? [] : WAYS;
  test.each(answers)("blocks a bad answer, which is still paid for: %s", async (way) => {
    const guardrail = `${kind}-block`;
    scriptWhole(way, BAD);
    const whole = await send({ way, guardrail, text: GOOD });
    expectRefusal(whole, guardrail);
    const used = await eventOf(gateway, String(whole.headers["x-weir-request-id"]));
    expect(used).toMatchObject({ status: 422, upstream_status: 200, error: "content_filter", complete: false });
    expect([used.input_tokens, used.output_tokens]).toEqual([7, 9]);
    expect(used.guardrails).toEqual(actions(guardrail, "output"));
    scriptStream(way, ["Tell of the fal", "con and how it flew."]);
    expectRefusal(await send({ way, guardrail, text: GOOD, stream: true }), guardrail);
  });

  test.each(answers)("only watches a bad answer where it monitors: %s", async (way) => {
    const guardrail = `${kind}-monitor`;
    scriptWhole(way, BAD);
    const whole = await send({ way, guardrail, text: GOOD });
    expect([whole.status, whole.json()]).toEqual([200, SURFACES[way].whole(BAD)]);
    scriptStream(way, ["Tell of the fal", "con and how it flew."]);
    const streamed = await send({ way, guardrail, text: GOOD, stream: true });
    expect(streamed.text).toBe(SURFACES[way].stream(["Tell of the fal", "con and how it flew."]));
    for (const { headers } of [whole, streamed]) {
      const { guardrails } = await eventOf(gateway, String(headers["x-weir-request-id"]));
      expect(guardrails).toEqual(actions(guardrail, "output"));
    }
  });
});

describe.each(WAYS)("masks: %s", (way) => {
  test("in requests, where the match stands and nowhere else", async () => {
    const answer = await send({ way, guardrail: "mails", text: MAILS });
    expect(answer.status, answer.text).toBe(200);
    const body = lastRequest(upstream).body.toString();
    const { family } = SURFACES[way];
    expect(JSON.parse(body)).toMatchObject({ ...SURFACES[way].body(MASKED), model: `${family}-x` });
    const { guardrails } = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(guardrails).toEqual([{ name: "mails", action: "mask", hook: "input" }]);
  });

  test("in answers, whole and streamed in any pieces", async () => {
    scriptWhole(way, MAILS);
    expect((await send({ way, guardrail: "mails", text: GOOD })).json()).toEqual(SURFACES[way].whole(MASKED));
    for (const size of [1, 5, 11]) {
      const pieces = MAILS.match(new RegExp(`.{1,${size}}`, "g"))!;
      scriptStream(way, pieces, { chunking: { mode: "bytes", size: 97 } });
      const { text } = await send({ way, guardrail: "mails", text: GOOD, stream: true });
      expect(SURFACES[way].said(text)).toBe(MASKED);
      expect(text).not.toMatch(/ann@|bob@|example\./);
      expect(hasTerminator(way, Buffer.from(text))).toBe(true);
    }
  });

  test("that a service asks for", async () => {
    const answer = await send({ way, guardrail: "masker", text: BAD });
    expect(answer.status).toBe(200);
    expect(lastRequest(upstream).body.toString()).toContain("the bird and");
    scriptWhole(way, BAD);
    const masked = BAD.replace("falcon", "bird");
    expect((await send({ way, guardrail: "masker", text: GOOD })).json()).toEqual(SURFACES[way].whole(masked));
    scriptStream(way, BAD.match(/.{1,4}/g)!);
    const streamed = await send({ way, guardrail: "masker", text: GOOD, stream: true });
    expect(SURFACES[way].said(streamed.text)).toBe(masked);
    expect(hasTerminator(way, Buffer.from(streamed.text))).toBe(true);
  });
});

describe.each(WAYS)("a stream that has begun: %s", (way) => {
  test("ends with an error event and without its terminator", async () => {
    const pieces = ["Once there was a sparrow. ", "Then a falcon ", "came."];
    scriptStream(way, pieces, { chunking: { mode: "bytes", size: 40 }, gap_ms: 15 });
    const { status, text, headers } = await send({ way, guardrail: "keyword-block", text: GOOD, stream: true });
    expect(status).toBe(200);
    expect(SURFACES[way].said(text)).toMatch(/^Once there was a sparrow/);
    expect(text).not.toContain("falcon");
    expect(text).toMatch(/keyword-block/);
    expect(hasTerminator(way, Buffer.from(text))).toBe(false);
    const used = await eventOf(gateway, String(headers["x-weir-request-id"]));
    expect(used).toMatchObject({ status: 200, error: "content_filter", complete: false });
    expect(used.input_tokens).toBeGreaterThan(0);
  });
});

describe("a service that cannot be asked", () => {
  test.each([500, 0])("lets pass or blocks as it is told, on both sides (%d)", async (status) => {
    judge.status = status;
    expect((await send({ way: "chat", guardrail: "open", text: BAD })).status).toBe(200);
    expect((await send({ way: "chat", guardrail: "closed", text: GOOD })).status).toBe(422);
    // Of requests "slow" is not asked for here: its default lets requests pass and blocks answers.
    const page = await metricsPage(gateway.opsUrl);
    expect(metricSum(page, "weir_guardrail_actions_total", { guardrail: "closed", action: "failed" })).toBeGreaterThan(
      0,
    );
  });

  test("is not waited for by a caller who has left", async () => {
    judge.status = 0;
    const before = { left: judge.left, calls: judge.calls.length };
    const body = JSON.stringify({ model: "gpt-slow", ...SURFACES.chat.body(GOOD) });
    const outgoing = request(gateway.url + SURFACES.chat.path, {
      method: "POST",
      headers: { ...BEARER, "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    });
    outgoing.on("error", () => {});
    outgoing.end(body);
    await until(() => judge.calls.length > before.calls);
    outgoing.destroy();
    await until(() => judge.left > before.left);
    expect(upstream.requests()).toEqual([]);
  });
});

describe("what surrounds a block", () => {
  test("embeddings are screened too", async () => {
    const embed = (input: unknown) =>
      call(`${gateway.url}/v1/embeddings`, { body: { model: "text-embedding-keyword", input } });
    expectRefusal(await embed(["fine", BAD]), "keyword-block");
    expect((await embed(["fine"])).status).toBe(200);
  });

  test("nothing is consumed", async () => {
    await roomInWindow(86_400_000, 15_000);
    const key = { authorization: `Bearer ${FEW_KEY}` };
    for (let count = 0; count < 5; count++) {
      expectRefusal(await send({ way: "chat", guardrail: "keyword-block", text: BAD }, key), "keyword-block");
      expectRefusal(await send({ way: "chat", guardrail: "webhook-block", text: BAD }, key), "webhook-block");
    }
    const statuses: number[] = [];
    for (let count = 0; count < 3; count++) {
      statuses.push((await send({ way: "chat", guardrail: "keyword-block", text: GOOD }, key)).status);
    }
    expect(statuses).toEqual([200, 200, 429]);
  });

  test("callers read it in their own envelope", async () => {
    const chat = (await send({ way: "chat", guardrail: "keyword-block", text: BAD })).json();
    expect(chat.error).toMatchObject({ type: "content_filter", code: "content_filter" });
    const messages = (await send({ way: "messages", guardrail: "keyword-block", text: BAD })).json();
    expect(messages).toMatchObject({ type: "error", error: { message: expect.stringContaining("keyword-block") } });
  });

  test("metrics, access log and log tell it, and none of them tells the text", async () => {
    const { headers } = await send({ way: "chat", guardrail: "keyword-block", text: `${BAD} Zanzibar` });
    const id = String(headers["x-weir-request-id"]);
    const line = await until(() =>
      gateway
        .stdout()
        .split("\n")
        .find((one) => one.includes(id) && one.includes('"request"')),
    );
    expect(JSON.parse(line)).toMatchObject({ status: 422, error: "content_filter", key: "tester" });
    const acted = await until(() =>
      gateway
        .stdout()
        .split("\n")
        .find((one) => one.includes(id) && one.includes("guardrail acted")),
    );
    expect(JSON.parse(acted)).toMatchObject({ guardrail: "keyword-block", action: "block", hook: "input" });
    const page = await metricsPage(gateway.opsUrl);
    expect(
      metricSum(page, "weir_guardrail_actions_total", { guardrail: "keyword-block", action: "block" }),
    ).toBeGreaterThan(0);
    expect(gateway.stdout() + gateway.stderr()).not.toMatch(/Zanzibar|secret-judge/);
    expect(KEY.length).toBeGreaterThan(0);
  });

  test("bodies that are checked on a pool thread", async () => {
    const filler = "All is quiet at the weir. ".repeat(40_000);
    expectRefusal(await send({ way: "chat", guardrail: "keyword-block", text: filler + BAD }), "keyword-block");
    expectRefusal(await send({ way: "chat", guardrail: "webhook-block", text: filler + BAD }), "webhook-block");
    const masked = await send({ way: "chat", guardrail: "mails", text: filler + MAILS });
    expect(masked.status).toBe(200);
    expect(lastRequest(upstream).body.toString()).toContain(MASKED);
    scriptWhole("chat", filler + MAILS);
    const answer = await send({ way: "chat", guardrail: "mails", text: GOOD });
    expect(answer.json()).toEqual(SURFACES.chat.whole(filler + MASKED));
    scriptWhole("chat", filler + BAD);
    expectRefusal(await send({ way: "chat", guardrail: "keyword-block", text: GOOD }), "keyword-block");
  });

  test.each([
    ["responses", "messages"],
    ["completions", "messages"],
    ["messages", "chat"],
  ] as const)("translated answers, whole and streamed: %s from %s", async (way, wire) => {
    const guardrail = `hub-${wire}`;
    scriptWhole(wire, BAD);
    expectRefusal(await send({ way, guardrail, text: GOOD }), "keyword-block");
    scriptStream(wire, ["Tell of the fal", "con."]);
    expectRefusal(await send({ way, guardrail, text: GOOD, stream: true }), "keyword-block");
    scriptStream(wire, MAILS.match(/.{1,6}/g)!);
    const streamed = await send({ way, guardrail, text: GOOD, stream: true });
    expect(SURFACES[way].said(streamed.text)).toBe(MASKED);
    expect(hasTerminator(way, Buffer.from(streamed.text))).toBe(true);
  });

  test("an answer in a form of the upstream's own", async () => {
    scriptWhole("messages", BAD);
    expectRefusal(await send({ way: "chat", guardrail: "keyword-block", text: GOOD }), "keyword-block");
  });
});
