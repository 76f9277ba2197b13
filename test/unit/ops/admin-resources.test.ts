// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resources is in play here.
import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import type { StoredEntry } from "../../../src/cluster/config-entries.js";
import type { ChangeOutcome, ConfigChange } from "../../../src/cluster/config-writer.js";
import { adminProblem, answerAdmin, type AdminSources } from "../../../src/ops/admin.js";
import type { AdminAnswer } from "../../../src/ops/admin-answer.js";
import type { ResourceStore } from "../../../src/ops/admin-resources.js";

const ADMIN = "the-admin-key";
const hash = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Takes every change that its own conditions allow. */
class Store implements ResourceStore {
  readonly entries = new Map<string, StoredEntry>();
  readonly changes: ConfigChange[] = [];
  /** What becomes of changes, where it is not what they want. */
  outcome: ChangeOutcome | null = null;
  asked: number | null = null;
  #revision = 10;

  put(collection: string, name: string, value: unknown, problem = ""): void {
    this.#revision += 1;
    this.entries.set(`${collection} ${name}`, { collection, name, value, revision: this.#revision, problem });
  }

  listing() {
    return { revision: this.#revision, source: "nats", entries: this.entries.values() };
  }

  change(change: ConfigChange): Promise<ChangeOutcome> {
    this.changes.push(change);
    const before = this.entries.get(`${change.collection} ${change.name}`) ?? null;
    const decision = change.decide(before);
    if ("kind" in decision) return Promise.resolve(decision);
    if (this.outcome !== null) return Promise.resolve(this.outcome);
    const { value } = decision;
    if (value === null) this.entries.delete(`${change.collection} ${change.name}`);
    else this.put(change.collection, change.name, value);
    const created = before === null;
    return Promise.resolve({ kind: "written", revision: this.#revision, created, value, errors: [] });
  }

  audit(limit: number): Promise<readonly unknown[]> {
    this.asked = limit;
    return limit === 13 ? Promise.reject(new Error("NATS cannot be reached.")) : Promise.resolve([{ v: 1 }]);
  }

  value(collection: string, name: string): Record<string, unknown> | undefined {
    return this.entries.get(`${collection} ${name}`)?.value as Record<string, unknown> | undefined;
  }
}

let store: Store;
let sources: AdminSources;

beforeEach(() => {
  store = new Store();
  sources = { keyHashes: [hash(ADMIN)], resources: store, purgeCache: () => 3 };
});

interface Headers {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

interface Answer extends AdminAnswer {
  // biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
  readonly body: any;
}

function call(method: string, path: string, body: unknown = "", headers: Headers = {}): Promise<Answer> {
  const [place = "", query = ""] = path.split("?");
  const request = {
    method,
    path: `/admin/v1/${place}`,
    query,
    authorization: `Bearer ${ADMIN}`,
    apiKey: "",
    ifMatch: "",
    ifNoneMatch: "",
    address: "127.0.0.1",
    body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)),
    ...headers,
  };
  expect(adminProblem(request, sources)).toBeNull();
  return answerAdmin(request, sources);
}

const KEY = { display_name: "main", provider: "openai", api_key: "sk-secret" };

describe("what is shown", () => {
  it("is in the order of the names, with revisions and without secrets", async () => {
    store.put("provider_keys", "b", { ...KEY, display_name: "b" });
    store.put("provider_keys", "a", {
      display_name: "a",
      api_key: "${VENDOR_KEY}",
      request: { default_headers: { authorization: "Bearer sk-other", "x-team": "blue" } },
    });
    store.put("models", "m", { display_name: "m" });
    store.put("models", "broken", null, "is not JSON");
    const { status, body } = await call("get", "provider_keys");
    expect([status, body.revision, body.source]).toEqual(["200 OK", 14, "nats"]);
    expect(body.items.map(({ name, revision }: StoredEntry) => [name, revision])).toEqual([
      ["a", 12],
      ["b", 11],
    ]);
    expect(body.items[0].value).toEqual({
      display_name: "a",
      api_key: "${VENDOR_KEY}",
      request: { default_headers: { authorization: "[redacted]", "x-team": "blue" } },
    });
    expect(JSON.stringify(body)).not.toContain("sk-");
    const one = await call("get", "provider_keys/b");
    expect([one.status, one.headers]).toEqual(["200 OK", { etag: '"11"' }]);
    expect(one.body.value.api_key).toBe("[redacted]");
    expect((await call("get", "models/broken")).body).toMatchObject({ value: {}, problem: "is not JSON" });
  });

  it.each(["nothing", "nothing/x", "models/none", "", "__proto__", "__proto__/x"])("is not %j", async (path) => {
    expect((await call("get", path)).status).toBe("404 Not Found");
  });

  it("are the latest changes, as many as are wanted", async () => {
    expect((await call("get", "audit")).body).toEqual({ items: [{ v: 1 }] });
    expect(store.asked).toBe(100);
    await call("get", "audit?limit=7");
    expect(store.asked).toBe(7);
    for (const limit of ["0", "1001", "x", "-1", "1e3"]) {
      expect((await call("get", `audit?limit=${limit}`)).status).toBe("400 Bad Request");
    }
    const away = await call("get", "audit?limit=13");
    expect([away.status, away.headers]).toEqual(["503 Service Unavailable", { "retry-after": "1" }]);
  });
});

describe("PUT", () => {
  it("puts the name of the address where the entry has none, and refuses another", async () => {
    const made = await call("put", "models/a%2Fb%20c", { provider: "openai" });
    expect([made.status, made.headers]).toEqual(["201 Created", { etag: '"11"' }]);
    expect(made.body).toEqual({ name: "a/b c", revision: 11, value: { display_name: "a/b c", provider: "openai" } });
    expect((await call("put", "models/a/b%20c", { name: "a/b c" })).status).toBe("200 OK");
    await call("put", "guardrail_attachments/pii-all", { guardrail: "pii", scope_type: "env" });
    expect(store.value("guardrail_attachments", "pii-all")?.id).toBe("pii-all");
    const wrong = await call("put", "models/a", { display_name: "b", name: "c" });
    expect(wrong.status).toBe("400 Bad Request");
    expect(wrong.body.error.errors.map(({ path }: { path: string }) => path)).toEqual(["display_name", "name"]);
    for (const path of ["models/%", "models/%ff"]) expect((await call("put", path, {})).status).toBe("400 Bad Request");
  });

  it.each(["", "[]", "null", "3", "{", `{"a":${"[".repeat(100)}${"]".repeat(100)}}`])("takes no %j", async (body) => {
    expect((await call("put", "models/a", body)).status).toBe("400 Bad Request");
    expect(store.changes).toEqual([]);
  });

  it("keeps the secrets that it only alludes to, each in its place", async () => {
    const request = { default_headers: { "x-api-key": "one", authorization: "two" } };
    store.put("provider_keys", "main", { ...KEY, request });
    const shown = (await call("get", "provider_keys/main")).body.value;
    const put = await call("put", "provider_keys/main", {
      ...shown,
      request: { default_headers: { ...shown.request.default_headers, authorization: "three" } },
    });
    expect(JSON.stringify(put.body)).not.toMatch(/sk-secret|"one"|"three"/);
    expect(store.value("provider_keys", "main")).toEqual({
      ...KEY,
      request: { default_headers: { "x-api-key": "one", authorization: "three" } },
    });
    const alluded = { provider: "openai", secret: "[redacted]" };
    const wrong = await call("put", "provider_keys/main", alluded);
    expect([wrong.status, wrong.body.error.errors[0].path]).toEqual(["400 Bad Request", "secret"]);
  });

  it("is made over the entry that was meant, or not at all", async () => {
    store.put("models", "a", { display_name: "a" });
    const met = "200 OK";
    const unmet = "412 Precondition Failed";
    const cases: readonly [string, Headers, string][] = [
      ["a", { ifMatch: '"11"' }, met],
      ["a", { ifMatch: '"11"' }, unmet],
      ["a", { ifMatch: 'W/"12"' }, met],
      ["a", { ifMatch: '"1", "13"' }, met],
      ["a", { ifMatch: "*" }, met],
      ["a", { ifMatch: "1" }, unmet],
      ["a", { ifNoneMatch: "*" }, unmet],
      ["a", { ifNoneMatch: '"1"' }, met],
      ["none", { ifMatch: "*" }, unmet],
      ["none", { ifNoneMatch: "*" }, "201 Created"],
    ];
    for (const [name, headers, status] of cases) {
      expect((await call("put", `models/${name}`, { retries: 1 }, headers)).status, JSON.stringify(headers)).toBe(
        status,
      );
    }
  });

  it.each([
    [{ kind: "refused", deletes: false, errors: [{ path: "p", message: "m" }] }, "400 Bad Request"],
    [{ kind: "refused", deletes: true, errors: [{ path: "p", message: "m" }] }, "409 Conflict"],
    [{ kind: "elsewhere", reason: "stands in the file" }, "409 Conflict"],
    [{ kind: "away", reason: "NATS cannot be reached." }, "503 Service Unavailable"],
  ] as const)("tells %j", async (outcome, status) => {
    store.outcome = outcome;
    const answer = await call("put", "models/a", {});
    expect(answer.status).toBe(status);
    if ("errors" in outcome) expect(answer.body.error.errors).toEqual(outcome.errors);
    else expect(answer.body.error.message).toBe(outcome.reason);
    expect(answer.headers?.["retry-after"]).toBe(outcome.kind === "away" ? "1" : undefined);
  });
});

describe("reasons", () => {
  it("are told in a bounded number, of a bounded length", async () => {
    const errors = Array.from({ length: 60_000 }, () => ({ path: "p".repeat(1_000), message: "m".repeat(1_000) }));
    store.outcome = { kind: "refused", deletes: false, errors };
    const refused = (await call("put", "models/a", {})).body.error.errors;
    expect([refused.length, refused[0].path.length, refused[100]]).toEqual([
      101,
      501,
      { path: "", message: "and 59900 more" },
    ]);
    store.outcome = { kind: "written", revision: 1, created: true, value: {}, errors };
    expect((await call("put", "models/a", {})).body.not_in_force).toHaveLength(101);
  });
});

describe("DELETE", () => {
  it("takes the entry away, once, and only the one that was meant", async () => {
    store.put("models", "a", { display_name: "a" });
    expect((await call("delete", "models/a", "", { ifMatch: '"1"' })).status).toBe("412 Precondition Failed");
    expect(await call("delete", "models/a", "", { ifMatch: '"11"' })).toEqual({
      status: "200 OK",
      body: { name: "a", revision: 11 },
    });
    expect((await call("delete", "models/a")).status).toBe("404 Not Found");
    expect((await call("delete", "models/a", "", { ifMatch: '"11"' })).status).toBe("412 Precondition Failed");
  });
});

describe("a new API key", () => {
  it("is told once; what stays is its hash", async () => {
    const { status, body } = await call("post", "api_keys", { display_name: "ann", allowed_models: ["*"] });
    expect(status).toBe("201 Created");
    expect(body.key).toMatch(/^sk-weir-[A-Za-z0-9_-]{43}$/);
    expect(store.value("api_keys", "ann")).toEqual({
      display_name: "ann",
      allowed_models: ["*"],
      key_hash: hash(body.key),
    });
    expect(store.changes[0]).toMatchObject({ action: "create_key", admin: hash(ADMIN).slice(0, 12) });
    expect(JSON.stringify([...store.entries.values()])).not.toContain(body.key);
    const twin = await call("post", "api_keys", { display_name: "ann" });
    expect([twin.status, twin.body.key]).toEqual(["409 Conflict", undefined]);
  });

  it.each([
    {},
    { display_name: 3 },
    { display_name: ".." },
    { display_name: "." },
    { display_name: "\ud800" },
    { display_name: "a", key_hash: hash("x") },
    { display_name: "a", key_env: "K" },
  ])("is not made of %j", async (body) => {
    expect((await call("post", "api_keys", body)).status).toBe("400 Bad Request");
    expect(store.changes).toEqual([]);
  });
});

describe("methods", () => {
  it.each([
    ["post", "models", "GET"],
    ["delete", "models", "GET"],
    ["put", "api_keys", "GET, POST"],
    ["post", "models/a", "GET, PUT, DELETE"],
    ["put", "audit", "GET"],
    ["get", "cache/purge", "POST"],
  ])("%s is none of %s", async (method, path, allow) => {
    const answer = await call(method, path);
    expect([answer.status, answer.headers]).toEqual(["405 Method Not Allowed", { allow }]);
  });

  it("POST purges the cache", async () => {
    expect((await call("post", "cache/purge", { model: "m" })).body).toEqual({ purged: 3 });
    expect((await call("post", "cache/purge", " ".repeat(70_000))).status).toBe("400 Bad Request");
  });
});
