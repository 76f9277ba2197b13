/** Conversations by `previous_response_id` with providers that keep none, through the vendor's own client. */
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { GEMINI, MODEL } from "../fake-upstream/vendor-gemini.js";
import { resultOf } from "../fake-upstream/vendor-talk.js";
import { startVendorUpstream, type VendorUpstream } from "../fake-upstream/vendor-upstream.js";
import { call, eventOf } from "./calls.js";
import { KEY, roomInWindow, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { acrossDialects, bodiesOf, failureOf } from "./hub-gateway.js";

type Response = OpenAI.Responses.Response;
type Wanted = OpenAI.Responses.ResponseCreateParamsNonStreaming;

const OTHER = "sk-other-key";
const LIMITED = "sk-limited-key";

let upstream: FakeUpstream;
let gemini: VendorUpstream;
let gateway: RunningGateway;
let client: OpenAI;

function resources(): Record<string, unknown> {
  const { provider_keys, models, api_keys, ...rest } = acrossDialects(upstream.url) as Record<string, object[]>;
  const google = { display_name: "google", provider: "gemini", api_base: gemini.url, api_key: "gemini-key" };
  const native = { display_name: "native", provider: "openai", api_base: `${upstream.url}/v1`, api_key: "sk-native" };
  return {
    ...rest,
    provider_keys: [...(provider_keys ?? []), google, native],
    models: [
      ...(models ?? []),
      { display_name: "gemini-x", provider: "gemini", model_name: MODEL, provider_key: "google" },
      { display_name: "native-x", provider: "openai", model_name: "gpt-4o", provider_key: "native" },
    ],
    api_keys: [
      ...(api_keys ?? []),
      { display_name: "other", key_hash: sha256(OTHER), allowed_models: ["*"] },
      { display_name: "limited", key_hash: sha256(LIMITED), allowed_models: ["*"], rate_limit: { tpm: 2_000 } },
    ],
  };
}

const clientOf = (apiKey: string, { url } = gateway) => new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });

beforeAll(async () => {
  [upstream, gemini] = await Promise.all([startFakeUpstream(), startVendorUpstream(GEMINI)]);
  gateway = await startGateway({ config: { acceptors: 2 }, resources: resources() });
  client = clientOf(KEY);
});
afterAll(async () => {
  await gateway?.dispose();
  await Promise.all([upstream?.close(), gemini?.close()]);
});
beforeEach(() => {
  upstream.reset();
  gemini.reset();
});

/** Each on a connection of its own, so that both acceptors are met. */
async function ask(wanted: Wanted, streamed = false, by = client): Promise<Response> {
  const options = { headers: { connection: "close" } };
  return streamed
    ? by.responses.stream({ ...(wanted as object) }, options).finalResponse()
    : by.responses.create(wanted, options);
}

const ROLES = ["user", "assistant", "user", "assistant", "user", "assistant", "user"];
const refusal = (param: string) => expect.objectContaining({ status: 400, code: "invalid_request_error", param });

describe.each([false, true])("streamed: %s", (streamed) => {
  test("three turns with tools on messages; instructions are each turn's own", async () => {
    const schema = { type: "object", properties: { city: { type: "string", default: "Vienna" } }, required: ["city"] };
    const tools: Wanted["tools"] = [{ type: "function", name: "weather", parameters: schema, strict: false }];
    const first = await ask({ model: "claude-x", tools, input: "call weather", instructions: "Be brief." }, streamed);
    expect(first).toMatchObject({ store: true, previous_response_id: null });
    const [called] = first.output;
    if (called?.type !== "function_call") throw new Error("no function was called");
    const output = [{ type: "function_call_output" as const, call_id: called.call_id, output: "21 degrees" }];
    const second = await ask({ model: "claude-x", tools, input: output, previous_response_id: first.id }, streamed);
    expect(second.output_text).toBe("The tool answered: 21 degrees");
    expect(second.previous_response_id).toBe(first.id);
    const wanted = { model: "claude-x", tools, input: "Thank you", store: true, previous_response_id: second.id };
    const third = await ask(wanted, streamed);
    expect(third.output_text).toContain("Thank you");
    const bodies = bodiesOf(upstream);
    expect(bodies.map(({ messages }) => messages.map(({ role }: { role: string }) => role))).toEqual([
      ROLES.slice(0, 1),
      ROLES.slice(0, 3),
      ROLES.slice(0, 5),
    ]);
    expect(JSON.stringify(bodies[0].system)).toContain("Be brief.");
    expect(bodies[1].system).toBeUndefined();
    expect(JSON.stringify(bodies[2])).not.toContain("resp_");
  });

  test("a loop of tools on Gemini, its thoughts and their signatures among what is kept", async () => {
    const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const schemas = [["now", { type: "object", properties: {} }] as const, ["weather", city] as const];
    const tools: Wanted["tools"] = schemas.map(([name, parameters]) => {
      return { type: "function", name, description: "Tells it.", parameters, strict: false };
    });
    const known = { model: "gemini-x", tools, reasoning: { effort: "medium", summary: "auto" } } as const;
    let answer = await ask({ ...known, input: "Loop." }, streamed);
    for (const count of [1, 2]) {
      const calls = answer.output.filter((item) => item.type === "function_call");
      expect(calls).toHaveLength(count);
      const input = calls.map(({ call_id, name, arguments: args }) => {
        return { type: "function_call_output" as const, call_id, output: resultOf(name, JSON.parse(args)) };
      });
      answer = await ask({ ...known, input, previous_response_id: answer.id }, streamed);
    }
    expect(answer.output_text).toBe("It is noon; Vienna 21, Rome 21.");
    const last = await ask({ ...known, input: "Thanks.", previous_response_id: answer.id }, streamed);
    expect(last.output_text).toBe("You are welcome.");
  });

  test("what is not to be stored is not kept", async () => {
    const answer = await ask({ model: "claude-x", input: "Hello", store: false }, streamed);
    expect(answer).toMatchObject({ store: false });
    expect(await failureOf(ask({ model: "claude-x", input: "On", previous_response_id: answer.id }))).toMatchObject({
      status: 400,
      param: "previous_response_id",
    });
  });

  test("is read, listed and deleted by its id, and by its own key only", async () => {
    const first = await ask({ model: "claude-x", input: "Hello" }, streamed);
    const second = await ask({ model: "claude-x", input: "Again", previous_response_id: first.id }, streamed);
    const read = await client.responses.retrieve(second.id);
    expect(read.output_text).toBe(second.output_text);
    expect(read).toMatchObject({ id: second.id, status: "completed", model: "claude-x" });
    const items = await client.responses.inputItems.list(second.id, { order: "asc", limit: 2 });
    const all: unknown[] = [];
    for await (const item of items) all.push(item);
    expect(all).toMatchObject([
      { type: "message", role: "user", content: [{ type: "input_text", text: "Hello" }] },
      { type: "message", role: "assistant" },
      { type: "message", role: "user", content: [{ type: "input_text", text: "Again" }] },
    ]);
    const other = clientOf(OTHER);
    expect(await failureOf(other.responses.retrieve(second.id))).toEqual(refusal("id"));
    expect(await failureOf(other.responses.delete(second.id))).toEqual(refusal("id"));
    const stolen = { model: "claude-x", input: "On", previous_response_id: second.id };
    expect(await failureOf(ask(stolen, false, other))).toEqual(refusal("previous_response_id"));
    expect(await failureOf(client.responses.cancel(second.id))).toEqual(refusal("id"));
    const deleted = await call(`${gateway.url}/v1/responses/${second.id}`, { method: "DELETE" });
    expect(deleted.json()).toEqual({ id: second.id, object: "response", deleted: true });
    expect(await failureOf(client.responses.retrieve(second.id))).toEqual(refusal("id"));
    expect(await failureOf(ask(stolen))).toEqual(refusal("previous_response_id"));
    expect((await client.responses.retrieve(first.id)).id).toBe(first.id);
  });
});

test("goes on at a provider that keeps its own, too; an id of that one goes nowhere else", async () => {
  const first = await ask({ model: "claude-x", input: "Hello" });
  const second = await ask({ model: "native-x", input: "On", previous_response_id: first.id });
  const [, sent] = bodiesOf(upstream);
  expect(sent.input.map(({ role }: { role: string }) => role)).toEqual(["user", "assistant", "user"]);
  expect(sent.previous_response_id).toBeNull();
  expect(second.id).not.toMatch(/^resp_wrs_/);
  const failure = await failureOf(ask({ model: "claude-x", input: "On", previous_response_id: second.id }));
  expect(failure).toMatchObject({ status: 400, code: "unsupported_operation", param: "previous_response_id" });
});

test("limits and usage count the whole conversation", async () => {
  const limited = clientOf(LIMITED);
  // Windows are aligned to the clock: begin where there is time enough left in the minute.
  await roomInWindow(60_000, 12_000);
  const first = await ask({ model: "claude-x", input: "word ".repeat(900), max_output_tokens: 20 }, false, limited);
  const on = { model: "claude-x", input: "On", max_output_tokens: 20, previous_response_id: first.id };
  const { data, response } = await limited.responses.create(on).withResponse();
  const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
  const before = first.usage?.input_tokens ?? Number.POSITIVE_INFINITY;
  expect(event.input_tokens).toBeGreaterThan(before);
  expect(data.usage?.input_tokens).toBe(event.input_tokens);
  // Both together are more than the limit; the new words alone are not.
  const failure = await failureOf(ask({ model: "claude-x", input: "On" }, false, limited));
  expect(failure).toMatchObject({ status: 429 });
}, 30_000);

test("what comes before counts against the longest body, too", async () => {
  const small = await startGateway({ config: { limits: { body_bytes: 4_096 } }, resources: resources() });
  try {
    const mine = clientOf(KEY, small);
    const first = await ask({ model: "claude-x", input: "x".repeat(3_900) }, false, mine);
    const on = { model: "claude-x", input: "y".repeat(300), previous_response_id: first.id };
    expect(await failureOf(ask(on, false, mine))).toMatchObject({ status: 413, code: "request_too_large" });
  } finally {
    await small.dispose();
  }
});

test("tells how much it keeps", async () => {
  await ask({ model: "claude-x", input: "Hello" });
  const page = await (await fetch(`${gateway.opsUrl}/metrics`)).text();
  expect(page).toMatch(/weir_turns_entries [1-9]/);
  expect(page).toMatch(/weir_turns_bytes [1-9]/);
});

describe("bounds", () => {
  const withState = (state: Record<string, number>) =>
    startGateway({ config: { acceptors: 1, responses: { state } }, resources: resources() });

  test("time, and length", async () => {
    const short = await withState({ ttl_seconds: 1, max_turn_bytes: 4_096 });
    try {
      const mine = clientOf(KEY, short);
      const kept = await ask({ model: "claude-x", input: "Hello" }, false, mine);
      const isGone = () =>
        mine.responses.retrieve(kept.id).then(
          () => false,
          () => true,
        );
      await until(isGone);
      const long = await ask({ model: "claude-x", input: "x".repeat(5_000) }, false, mine);
      expect(await failureOf(mine.responses.retrieve(long.id))).toEqual(refusal("id"));
    } finally {
      await short.dispose();
    }
  });

  test("none are kept where there is no memory for them", async () => {
    const none = await withState({ memory_bytes: 0 });
    try {
      const mine = clientOf(KEY, none);
      const answer = await ask({ model: "claude-x", input: "Hello" }, false, mine);
      expect(answer).toMatchObject({ store: false, id: expect.not.stringMatching(/^resp_wrs_/) });
      const failure = await failureOf(
        ask({ model: "claude-x", input: "On", previous_response_id: answer.id }, false, mine),
      );
      expect(failure).toMatchObject({ status: 400, code: "unsupported_operation", param: "previous_response_id" });
    } finally {
      await none.dispose();
    }
  });
});

describe("with a cache and a guardrail", () => {
  let guarded: RunningGateway;

  beforeAll(async () => {
    const mails = { name: "mails", kind: "pii", detectors: [{ type: "email" }] };
    guarded = await startGateway({
      config: { acceptors: 2 },
      resources: {
        ...resources(),
        cache_policies: [{ name: "everything", scope: "env" }],
        guardrails: [mails],
        guardrail_attachments: [{ guardrail_id: "mails", scope_type: "model", scope_id: "strict-claude" }],
      },
    });
  });
  afterAll(() => guarded?.dispose());

  test.each([false, true])("an answer from the cache is kept for whoever got it, streamed: %s", async (streamed) => {
    for (const key of [KEY, OTHER]) {
      const mine = clientOf(key, guarded);
      const first = await ask({ model: "chat-x", input: `Hello ${streamed}` }, streamed, mine);
      const second = await ask({ model: "chat-x", input: "On", previous_response_id: first.id }, streamed, mine);
      expect(second.output_text).toContain("On");
    }
    // The second key's requests were the first one's, what came before included.
    expect(upstream.requests()).toHaveLength(2);
  });

  test.each([false, true])("what was masked is kept masked, streamed: %s", async (streamed) => {
    const mine = clientOf(KEY, guarded);
    const first = await ask(
      { model: "strict-claude", store: true, input: `Write to jane@doe.example, ${streamed}` },
      streamed,
      mine,
    );
    await ask({ model: "strict-claude", input: "On", previous_response_id: first.id }, streamed, mine);
    const below = await call(`${guarded.url}/v1/responses/${first.id}/input_items`);
    const whole = await call(`${guarded.url}/v1/responses/${first.id}`);
    expect(below.text).toContain("Write to");
    expect(whole.text).toContain("Write to");
    for (const text of [below.text, whole.text, JSON.stringify(bodiesOf(upstream))]) expect(text).not.toContain("jane");
  });
});
