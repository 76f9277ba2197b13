/** Files, batches, fine-tuning jobs and stored responses, through the vendor's own client, with two providers behind. */
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BATCH_USAGE, type KeptUpstream, startKeptUpstream } from "../fake-upstream/kept-upstream.js";
import { BEARER, call, eventOf } from "./calls.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";

let one: KeptUpstream;
let two: KeptUpstream;
let gateway: RunningGateway;
let client: OpenAI;

const CONFINED = "sk-confined";
const NAMED = "sk-named";

function resources(): Record<string, unknown> {
  const key = (name: string, { url }: KeptUpstream) => ({
    display_name: name,
    provider: "openai",
    api_base: `${url}/v1`,
    api_key: `sk-upstream-${name}`,
  });
  const model = (name: string, provider_key: string) => ({
    display_name: name,
    provider: "openai",
    model_name: "gpt-4o-mini",
    provider_key,
  });
  const confined = { allowed_models: ["other"] };
  return {
    _format_version: "1",
    provider_keys: [key("one", one), key("two", two)],
    models: [model("first", "one"), model("second", "two")],
    api_keys: [
      { display_name: "tester", key_hash: sha256(KEY), allowed_models: ["*"] },
      { display_name: "confined", key_hash: sha256(CONFINED), ...confined },
      { display_name: "named", key_hash: sha256(NAMED), ...confined, allowed_routes: ["files", "fine_tuning"] },
    ],
  };
}

beforeAll(async () => {
  one = await startKeptUpstream("A");
  two = await startKeptUpstream("B");
  gateway = await startGateway({ config: { acceptors: 2 }, resources: resources() });
  client = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await Promise.all([one?.close(), two?.close()]);
});
beforeEach(() => {
  one.requests.length = 0;
  two.requests.length = 0;
});

const LINES = '{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini"}}\n';
const at = (provider: string) => ({ headers: { "x-weir-provider": provider } });
const upload = async (provider: string, text = LINES) =>
  client.files.create({ file: await toFile(Buffer.from(text), "a.jsonl"), purpose: "batch" }, at(provider));

describe("files", () => {
  test("go where a header says, and are found again by their ids alone", async () => {
    const mine = await upload("one");
    const other = await upload("two");
    expect(mine.id).toMatch(/^file-wr1/);
    expect(mine.id).not.toBe(other.id);
    expect((await client.files.retrieve(mine.id)).id).toBe(mine.id);
    expect((await client.files.retrieve(other.id)).id).toBe(other.id);
    expect(one.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /v1/files",
      expect.stringMatching(/^GET \/v1\/files\/file-A\d+$/),
    ]);
    const content = await (await client.files.content(other.id)).text();
    expect(content).toContain(LINES);
    expect(await client.files.delete(other.id)).toMatchObject({ id: other.id, deleted: true });
    expect((await call(`${gateway.url}/v1/files/${other.id}`)).status).toBe(404);
  });

  test("carry the provider's secret and not the caller's", async () => {
    await upload("one");
    const headers = one.requests[0]?.rawHeaders.join("\n") ?? "";
    expect(headers).toContain("Bearer sk-upstream-one");
    expect(headers).not.toContain(KEY);
    expect(headers).not.toContain("x-weir");
  });

  test("go where a form's target_model says, and the field goes no further", async () => {
    const form = new FormData();
    form.append("purpose", "batch");
    form.append("target_model", "second");
    form.append("file", new Blob([LINES]), "a.jsonl");
    const answer = await fetch(`${gateway.url}/v1/files`, { method: "POST", body: form, headers: BEARER });
    expect(answer.status).toBe(200);
    const body = two.requests[0]?.body.toString("latin1") ?? "";
    expect(body).toContain('name="purpose"');
    expect(body).toContain(LINES);
    expect(body).not.toContain("target_model");
    const type = two.requests[0]?.rawHeaders.find((_, at, all) => all[at - 1]?.toLowerCase() === "content-type") ?? "";
    const again = await new Response(body, { headers: { "content-type": type } }).formData();
    expect([...again.keys()]).toEqual(["purpose", "file"]);
  });

  test("without a word about where: 400 that names the header", async () => {
    const answer = await call(`${gateway.url}/v1/files`);
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ error: { code: "invalid_request_error", param: "x-weir-provider" } });
  });

  test("are listed by page, each page cut by the id before it", async () => {
    for (let count = 0; count < 3; count++) await upload("two");
    const ids: string[] = [];
    for await (const file of client.files.list({}, at("two"))) ids.push(file.id);
    expect(ids.length).toBeGreaterThanOrEqual(3);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^file-wr1/);
  });

  test("large ones pass whole", async () => {
    const text = "x".repeat(5_000_000);
    const file = await upload("one", text);
    expect(file.bytes).toBeGreaterThan(text.length);
    expect((await (await client.files.content(file.id)).text()).includes(text)).toBe(true);
  });

  test("a path that leads elsewhere is refused", async () => {
    for (const id of ["..", "%2e%2e", "a%2Fb", "a%00"]) {
      const answer = await call(`${gateway.url}/v1/files/${id}`, { headers: { ...BEARER, "x-weir-provider": "one" } });
      expect([id, answer.status >= 400 && answer.status < 405]).toEqual([id, true]);
    }
    expect(one.requests).toEqual([]);
  });
});

describe("batches", () => {
  test("are made of a file, wherever that is, and what they used is counted once", async () => {
    const file = await upload("two");
    const made = await client.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
    expect(made.id).toMatch(/^batch_wr1/);
    expect(made.input_file_id).toBe(file.id);
    expect(JSON.parse(two.requests.at(-1)?.body.toString() ?? "")).toMatchObject({
      input_file_id: expect.stringMatching(/^file-B\d+$/),
    });
    expect((await client.batches.retrieve(made.id)).status).toBe("in_progress");
    two.endBatches();
    const answers = [];
    for (let count = 0; count < 4; count++) answers.push(await client.batches.retrieve(made.id).withResponse());
    expect(answers[0]?.data.output_file_id).toMatch(/^file-wr1/);
    const ids = answers.map(({ response }) => response.headers.get("x-weir-request-id"));
    const events = [];
    for (const id of ids) events.push(await eventOf(gateway, id));
    const counted = events.filter((event) => event.input_tokens > 0);
    expect(counted).toHaveLength(1);
    const { input_tokens, output_tokens } = BATCH_USAGE;
    expect(counted[0]).toMatchObject({ input_tokens, output_tokens, operation: "batches" });
    expect(counted[0]?.cost_usd).toBeCloseTo((1000 * 0.15 + 500 * 0.6) / 1e6 / 2, 12);
    expect(counted[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect((await client.batches.list({}, at("two"))).data.map(({ id }) => id)).toContain(made.id);
    expect((await client.batches.cancel(made.id)).id).toBe(made.id);
  });

  test("ids of two providers in one request are refused", async () => {
    const [mine, other] = [await upload("one"), await upload("two")];
    const body = { model: "gpt-4o-mini", training_file: mine.id, validation_file: other.id };
    expect((await call(`${gateway.url}/v1/fine_tuning/jobs`, { body })).status).toBe(400);
  });
});

describe("fine-tuning jobs", () => {
  test("every call finds its way", async () => {
    const file = await upload("one");
    const job = await client.fineTuning.jobs.create({ model: "gpt-4o-mini", training_file: file.id });
    expect(job.id).toMatch(/^ftjob-wr1/);
    expect(job.training_file).toBe(file.id);
    expect((await client.fineTuning.jobs.retrieve(job.id)).id).toBe(job.id);
    expect((await client.fineTuning.jobs.cancel(job.id)).id).toBe(job.id);
    expect((await client.fineTuning.jobs.listEvents(job.id)).data).toHaveLength(1);
    const checkpoints = await client.fineTuning.jobs.checkpoints.list(job.id);
    expect(checkpoints.data[0]?.fine_tuning_job_id).toBe(job.id);
    expect((await client.fineTuning.jobs.list({}, at("one"))).data.map(({ id }) => id)).toContain(job.id);
    expect(two.requests).toEqual([]);
  });
});

describe("keys that may not use every model", () => {
  const as = (key: string) => ({ headers: { authorization: `Bearer ${key}`, "x-weir-provider": "one" } });

  test("need the operation in their allowed_routes", async () => {
    expect((await call(`${gateway.url}/v1/files`, as(CONFINED))).status).toBe(403);
    expect((await call(`${gateway.url}/v1/files`, as(NAMED))).status).toBe(200);
    expect((await call(`${gateway.url}/v1/batches`, as(NAMED))).status).toBe(403);
  });

  test("may not tune a model that they may not use", async () => {
    const body = { model: "gpt-4o-mini", training_file: "file-A1" };
    expect((await call(`${gateway.url}/v1/fine_tuning/jobs`, { ...as(NAMED), body })).status).toBe(403);
  });
});

describe("responses by id", () => {
  test("are found again at whoever made them", async () => {
    const made = await client.responses.create({ model: "second", input: "Hello" });
    expect(made.id).toMatch(/^resp_wr1/);
    const read = await client.responses.retrieve(made.id).withResponse();
    expect(read.data.id).toBe(made.id);
    const event = await eventOf(gateway, read.response.headers.get("x-weir-request-id"));
    expect(event).toMatchObject({ operation: "responses_items", input_tokens: 0, cost_usd: 0, provider_key: "two" });
    expect((await client.responses.inputItems.list(made.id)).data).toHaveLength(1);
    expect((await client.responses.cancel(made.id)).id).toBe(made.id);
    const next = await client.responses.create({ model: "second", input: "And?", previous_response_id: made.id });
    expect(next.previous_response_id).toBe(made.id);
    expect(JSON.parse(two.requests.at(-1)?.body.toString() ?? "")).toMatchObject({
      previous_response_id: expect.stringMatching(/^resp_B\d+$/),
    });
    await client.responses.delete(made.id);
    expect((await call(`${gateway.url}/v1/responses/${made.id}`)).status).toBe(404);
    expect(one.requests).toEqual([]);
  });

  test("streams name them in the same words, and texts stay as they are", async () => {
    const stream = await client.responses.create({ model: "first", input: "Hello", stream: true });
    const ids: string[] = [];
    let text = "";
    for await (const event of stream) {
      if ("response" in event) ids.push(event.response.id);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    expect(new Set(ids).size).toBe(1);
    expect(ids[0]).toMatch(/^resp_wr1/);
    expect(text).toMatch(/^the id is "resp_A\d+"$/);
    expect((await client.responses.retrieve(ids[0] ?? "")).id).toBe(ids[0]);
  });

  test("another provider's is refused before it is asked", async () => {
    const made = await client.responses.create({ model: "second", input: "Hello" });
    const body = { model: "first", input: "And?", previous_response_id: made.id };
    expect((await call(`${gateway.url}/v1/responses`, { body })).status).toBe(400);
    expect(one.requests).toEqual([]);
  });

  test("an id without a provider needs a model or a header", async () => {
    const made = await client.responses.create({ model: "first", input: "Hello" });
    const plain = JSON.parse(one.requests.at(-1)?.body.toString() ?? "{}") && (await listedId());
    expect((await call(`${gateway.url}/v1/responses/${plain}`)).status).toBe(400);
    const answer = await call(`${gateway.url}/v1/responses/${plain}?model=first`);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ id: plain });
    expect(one.requests.at(-1)?.path).toBe(`/v1/responses/${plain}`);
    expect(made.id).not.toBe(plain);
  });

  /** The upstream's own id of the response made last. */
  async function listedId(): Promise<string> {
    const last = await client.responses.create({ model: "first", input: "Hello" });
    await client.responses.retrieve(last.id);
    return one.requests.at(-1)?.path.split("/").at(-1) ?? "";
  }
});
