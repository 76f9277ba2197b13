/** GET /v1/models and its siblings: what this key may use, in the caller's shape. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";

const NARROW_KEY = "sk-narrow-key";
const NO_MODELS_KEY = "sk-no-models-key";
const NO_ROUTE_KEY = "sk-no-route-key";

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = oneProvider(upstream.url) as Record<"models" | "api_keys", unknown[]>;
  const slashed = { provider: "openai", provider_key: "openai-main" };
  resources.models.push({ ...slashed, display_name: "openai/*", model_name: "*" });
  resources.models.push({ ...slashed, display_name: "team/gpt large", model_name: "gpt-large" });
  resources.api_keys.push(
    { display_name: "narrow", key_hash: sha256(NARROW_KEY), allowed_models: ["gpt-a*", "claude-*", "openai/gpt-4o"] },
    { display_name: "no models", key_hash: sha256(NO_MODELS_KEY) },
    { display_name: "no route", key_hash: sha256(NO_ROUTE_KEY), allowed_models: ["*"], allowed_routes: ["chat"] },
  );
  gateway = await startGateway({ resources });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const get = (path: string, key = KEY, headers = {}) =>
  call(gateway.url + path, { headers: { authorization: `Bearer ${key}`, ...headers } });

interface List {
  readonly object?: string;
  readonly data: readonly Readonly<Record<string, unknown>>[];
}

const ALL = ["gpt-alias", "gpt-*", "text-embedding-*", "claude-*", "openai/*", "team/gpt large"];
const NARROW = ["gpt-alias", "claude-*"];

describe.each(["/v1/models", "/openai/v1/models"])("%s", (path) => {
  test("lists what the key may use", async () => {
    const before = Math.floor(Date.now() / 1000) - 3600;
    const answer = await get(path);
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toContain("application/json");
    expect(answer.headers["x-weir-request-id"]).toBeTruthy();
    const list = answer.json() as unknown as List;
    expect(list.object).toBe("list");
    expect(list.data.map((model) => model.id)).toEqual(ALL);
    for (const model of list.data) {
      expect(model.object).toBe("model");
      expect(model.owned_by).toBe(model.id === "claude-*" ? "anthropic" : "openai");
      expect(model.created).toBeGreaterThan(before);
    }
    expect(Object.keys(list.data[0] ?? {}).sort()).toEqual(["created", "id", "object", "owned_by"]);
  });

  test("leaves out what the key may not use", async () => {
    const ids = async (key: string) => ((await get(path, key)).json() as unknown as List).data.map(({ id }) => id);
    expect(await ids(NARROW_KEY)).toEqual(NARROW);
    expect(await ids(NO_MODELS_KEY)).toEqual([]);
  });

  test.each([
    ["gpt-alias", "gpt-alias", "openai"],
    ["gpt-of-next-year", "gpt-of-next-year", "openai"],
    ["openai/gpt-4o", "openai/gpt-4o", "openai"],
    ["openai%2Fgpt-4o", "openai/gpt-4o", "openai"],
    ["team%2Fgpt%20large", "team/gpt large", "openai"],
    ["claude-x", "claude-x", "anthropic"],
  ])("tells one: %s", async (segment, id, owned_by) => {
    const answer = await get(`${path}/${segment}`);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ id, object: "model", owned_by });
  });

  test("an unknown one is 404", async () => {
    const answer = await get(`${path}/nothing`);
    expect(answer.status).toBe(404);
    expect(answer.json().error).toMatchObject({ type: "model_not_found", code: "model_not_found", param: "model" });
  });

  test("one that the key may not use is not told", async () => {
    expect((await get(`${path}/gpt-alias`, NARROW_KEY)).status).toBe(200);
    expect((await get(`${path}/openai/gpt-4o`, NARROW_KEY)).status).toBe(200);
    const answer = await get(`${path}/openai/gpt-4o-mini`, NARROW_KEY);
    expect([403, 404]).toContain(answer.status);
    expect(answer.text).not.toContain("owned_by");
  });

  test("a key without this route is refused", async () => {
    const answer = await get(path, NO_ROUTE_KEY);
    expect(answer.status).toBe(403);
    expect(answer.json().error).toMatchObject({ type: "permission_denied", code: "permission_denied" });
  });
});

const SHAPES: readonly [path: string, headers: Record<string, string>][] = [
  ["/anthropic/v1/models", {}],
  ["/v1/models", { "anthropic-version": "2023-06-01" }],
];
describe.each(SHAPES)("%s with %j is a list of the messages API", (path, headers) => {
  test("lists what the key may use", async () => {
    const list = (await get(path, NARROW_KEY, headers)).json() as unknown as List;
    expect(list).toMatchObject({ has_more: false, first_id: NARROW[0], last_id: NARROW.at(-1) });
    expect(list.data.map((model) => model.id)).toEqual(NARROW);
    for (const model of list.data) {
      expect(model).toMatchObject({ type: "model", display_name: model.id });
      expect(String(model.created_at)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
    }
  });

  test("an empty list has no first and no last", async () => {
    const answer = await get(path, NO_MODELS_KEY, headers);
    expect(answer.json()).toEqual({ data: [], has_more: false, first_id: null, last_id: null });
  });

  test("tells one", async () => {
    const answer = await get(`${path}/claude-x`, KEY, headers);
    expect(answer.json()).toMatchObject({ type: "model", id: "claude-x", display_name: "claude-x" });
  });
});

test("an unknown one under /anthropic is 404 in that envelope", async () => {
  const answer = await get("/anthropic/v1/models/nothing");
  expect(answer.status).toBe(404);
  expect(answer.json()).toMatchObject({
    type: "error",
    error: { type: "not_found_error" },
    request_id: answer.headers["x-weir-request-id"],
  });
});

test("no upstream is asked, and no usage event written", async () => {
  expect(upstream.requests()).toHaveLength(0);
  expect(await gateway.events()).toHaveLength(0);
});
