import { describe, expect, it } from "vitest";
import { parseResources } from "../../../src/config/load.js";
import type { Traffic } from "../../../src/config/traffic.js";
import { contextWith, errorsOf, HASH, loaded } from "./files.js";

const OTHER_HASH = "cd".repeat(32);

/** A file with models, a pattern and two keys, and the entries in question. */
function file(...collections: string[]): string {
  return `_format_version: "1"
provider_keys: [{display_name: main, provider: openai, api_key: k}, {display_name: own, provider: in-house, adapter: openai, api_base: http://h}]
models:
  - {id: id-a, name: a, provider: openai, model_name: x, provider_key: main}
  - {id: id-p, name: "p-*", provider: openai, model_name: "*", provider_key: main}
  - {name: group, routing: {targets: [{model: a}]}}
api_keys: [{id: id-ci, name: ci, key_hash: ${HASH}}, {name: dev, key_hash: ${OTHER_HASH}}]
${collections.join("\n")}
`;
}

const traffic = (...collections: string[]): Traffic =>
  loaded(parseResources(file(...collections), contextWith())).traffic;
const errors = (...collections: string[]): string[] => errorsOf(parseResources(file(...collections), contextWith()));
const test = (dimension: string, value: unknown, operator = "==", negate = false): object => {
  return { kind: "test", dimension, operator, value, negate };
};

describe("a policy with scope and window", () => {
  const policy = (fields: string): unknown => traffic(`rate_limit_policies: [{name: p, ${fields}}]`).policies[0];

  it.each([
    ["second", { rps: 5, tps: 7 }],
    ["minute", { rpm: 5, tpm: 7 }],
    ["hour", { rph: 5, tph: 7 }],
    ["day", { rpd: 5, tpd: 7 }],
  ])("counts in windows of a %s", (window, limits) => {
    const found = policy(`scope: team, scope_ref: t, window: ${window}, max_requests: 5, max_tokens: 7`);
    const rule = { limits, condition: test("team", "t"), groupBy: [], schedules: [], onPartition: null };
    expect(found).toEqual({ id: "p", name: "p", ...rule });
  });

  it("says what it is for a node that cannot reach the fleet, if it says so", () => {
    const open = policy("scope: team, window: day, max_tokens: 1, on_partition: open");
    expect(open).toMatchObject({ onPartition: "open" });
    expect(policy("scope: team, window: day, max_tokens: 1")).toMatchObject({ onPartition: null });
  });

  it.each([
    ["api_key, scope_ref: ci", test("api_key", "ci"), []],
    ["api_key, scope_ref: id-ci", test("api_key", "ci"), []],
    ["api_key", null, ["api_key"]],
    ["model, scope_ref: id-a", test("model", "a"), []],
    ["model, scope_ref: p-9", test("model", "p-9"), []],
    ["model, scope_ref: group", test("model", "group"), []],
    ["model", null, ["model"]],
    ["team", null, ["team"]],
    ["member, scope_ref: u", test("member", "u"), []],
    ["member", null, ["member"]],
    ["team_member, scope_ref: t", test("team", "t"), ["member"]],
    ["team_member", null, ["team", "member"]],
  ])("of scope %s concerns whom it says", (scope, condition, groupBy) => {
    expect(policy(`scope: ${scope}, window: day, max_tokens: 1`)).toMatchObject({ condition, groupBy });
  });

  it.each([
    ["window: day, max_tokens: 1", "scope: is required"],
    ["scope: team, max_tokens: 1", "window: is required"],
    ["scope: team, window: day", "max_requests: is required (or max_tokens)"],
    ["scope: team, window: week, max_tokens: 1", "window: must be one of second, minute, hour, day"],
    ["scope: fleet, window: day, max_tokens: 1", "scope: must be one of api_key, model, team, member, team_member"],
    ["scope: team, window: day, max_tokens: 0", "max_tokens: must be at least 1"],
    ["scope: api_key, scope_ref: gone, window: day, max_tokens: 1", "scope_ref: there is no API key of this name"],
    ["scope: model, scope_ref: gone, window: day, max_tokens: 1", "scope_ref: there is no model of this name"],
    ["scope: model, scope_ref: id-p, window: day, max_tokens: 1", "scope_ref: must name one model, without a *"],
    [
      "scope: team, window: day, max_tokens: 1, limits: {rpm: 1}",
      "limits: cannot stand beside scope: a policy has scope and window, or limits and conditions",
    ],
    [
      "scope: team, window: day, max_tokens: 1, group_by: [team]",
      "group_by: cannot stand beside scope: a policy has scope and window, or limits and conditions",
    ],
  ])("with %s is refused", (fields, expected) => {
    expect(errors(`rate_limit_policies: [{name: p, ${fields}}]`)).toEqual([`rate_limit_policies[0].${expected}`]);
  });
});

describe("a policy with limits and conditions", () => {
  const condition = (conditions: string): unknown =>
    traffic(`rate_limit_policies: [{name: p, limits: {rpm: 1}, conditions: ${conditions}}]`).policies[0]?.condition;
  const refusals = (conditions: string): string[] =>
    errors(`rate_limit_policies: [{name: p, limits: {rpm: 1}, conditions: ${conditions}}]`).map((line) =>
      line.replace("rate_limit_policies[0].", ""),
    );

  it("has all limits, and an id of its own", () => {
    const limits = { rps: 1, rpm: 2, rph: 3, rpd: 4, tps: 5, tpm: 6, tph: 7, tpd: 8, concurrency: 9 };
    const entry = `{id: i, display_name: p, limits: ${JSON.stringify(limits)}, group_by: [model, team]}`;
    const rule = { limits, condition: null, groupBy: ["model", "team"], schedules: [], onPartition: null };
    expect(traffic(`rate_limit_policies: [${entry}]`).policies).toEqual([{ id: "i", name: "p", ...rule }]);
  });

  it("concerns everybody without conditions", () => {
    expect(condition("[]")).toBeNull();
  });

  it("takes a node, or a list of nodes that must all hold", () => {
    const node = '{dimension: team, operator: "==", value: t, negate: true}';
    expect(condition(node)).toEqual(test("team", "t", "==", true));
    expect(condition(`[${node}]`)).toEqual(test("team", "t", "==", true));
    const group = { kind: "group", logic: "or", children: [test("member", "u", "~=")], negate: true };
    const children = '[{dimension: member, operator: "~=", value: u}]';
    expect(condition(`[${node}, {logic: or, negate: true, children: ${children}}]`)).toEqual({
      kind: "group",
      logic: "and",
      children: [test("team", "t", "==", true), group],
      negate: false,
    });
  });

  it("tells names from ids where it compares for equality", () => {
    expect(condition("{dimension: api_key, operator: in, value: [id-ci, dev]}")).toEqual(
      test("api_key", ["ci", "dev"], "in"),
    );
    expect(condition('{dimension: model, operator: "==", value: id-a}')).toEqual(test("model", "a"));
    expect(condition('{dimension: model, operator: "~~", value: "^id-"}')).toEqual(test("model", "^id-", "~~"));
    expect(condition('{dimension: model_name, operator: "==", value: x}')).toEqual(test("model_name", "x"));
    expect(condition("{dimension: provider, operator: in, value: [openai, in-house, anthropic]}")).toEqual(
      test("provider", ["openai", "in-house", "anthropic"], "in"),
    );
    expect(condition('{dimension: member, operator: ">=", value: 4.5}')).toEqual(test("member", 4.5, ">="));
  });

  it.each([
    ["everyone", "conditions: must be a mapping"],
    ["[7]", "conditions[0]: must be a mapping"],
    ["[{logic: or, children: []}]", "conditions[0].children: must be a list of at least 1 entries"],
    [
      "[{logic: xor, children: [{dimension: team, operator: in, value: [t]}]}]",
      "conditions[0].logic: must be one of and, or",
    ],
    ["{dimension: team, operator: '==', value: t, negate: maybe}", "conditions.negate: must be true or false"],
    ["{dimension: team, operator: '==', value: t, also: 1}", "conditions.also: unknown field"],
    [
      "{dimension: address, operator: '==', value: t}",
      "conditions.dimension: must be one of team, member, api_key, model, model_name, provider",
    ],
    [
      "{dimension: team, operator: like, value: t}",
      "conditions.operator: must be one of ==, ~=, in, ~~, ~*, >, >=, <, <=",
    ],
    [
      "{dimension: team, operator: has, value: t}",
      "conditions.operator: asks what a list holds, and no dimension is a list: use in",
    ],
    [
      "{dimension: team, operator: ipmatch, value: [10.0.0.0/8]}",
      "conditions.operator: asks about an address, and no dimension is one: use allowed_cidrs of a model",
    ],
    ["{dimension: team, operator: in, value: t}", "conditions.value: must be a list of 1 to 256 strings"],
    ["{dimension: team, operator: in, value: []}", "conditions.value: must be a list of 1 to 256 strings"],
    ["{dimension: team, operator: in, value: [1]}", "conditions.value: must be a list of 1 to 256 strings"],
    ["{dimension: team, operator: '==', value: [t]}", "conditions.value: must be a string of 1 to 512 characters"],
    ["{dimension: team, operator: '==', value: 5}", "conditions.value: must be a string of 1 to 512 characters"],
    ["{dimension: team, operator: '==' }", "conditions.value: must be a string of 1 to 512 characters"],
    ["{dimension: team, operator: '>', value: '5'}", "conditions.value: must be a number"],
    ["{dimension: team, operator: '<', value: .nan}", "conditions.value: must be a number"],
    ["{dimension: team, operator: '~~', value: '(?=a)'}", "conditions.value: must be a pattern"],
    ["{dimension: team, operator: '~*', value: '(?=a)'}", "conditions.value: must be a pattern"],
    ["{dimension: api_key, operator: '~=', value: gone}", "conditions.value: there is no API key of this name"],
    ["{dimension: api_key, operator: in, value: [ci, gone]}", "conditions.value[1]: there is no API key of this name"],
    ["{dimension: model, operator: '==', value: gone}", "conditions.value: there is no model of this name"],
    ["{dimension: model, operator: '==', value: 'p-*'}", "conditions.value: must name one model, without a *"],
    ["{dimension: provider, operator: '==', value: gone}", "conditions.value: there is no provider of this name"],
  ])("with conditions %s is refused", (conditions, expected) => {
    expect(refusals(conditions)).toEqual([expected]);
  });

  it("is bounded in depth and number", () => {
    const leaf = "{dimension: team, operator: in, value: [t]}";
    const nested = (levels: number): string =>
      `${"{logic: and, children: [".repeat(levels)}${leaf}${"]}".repeat(levels)}`;
    expect(condition(nested(7))).toMatchObject({ kind: "group" });
    const path = `conditions${".children[0]".repeat(8)}`;
    expect(refusals(nested(8))).toEqual([`${path}: stands more than 8 levels deep`]);
    expect(refusals(nested(300))).toEqual([`${path}: stands more than 8 levels deep`]);
    const many = (count: number): string => `[${Array(count).fill(leaf).join(", ")}]`;
    expect(condition(many(64))).toMatchObject({ kind: "group" });
    expect(refusals(many(65))).toEqual(["conditions: must hold at most 64 tests"]);
  });

  it.each([
    ["group_by: [team]", "limits: is required (or scope, window and max_requests or max_tokens)"],
    ["limits: {}", "limits: must hold at least one limit"],
    ["limits: {rpm: 0}", "limits.rpm: must be at least 1"],
    ["limits: {rpw: 1}", "limits.rpw: unknown field"],
    ["limits: {rpm: 1}, group_by: [model_name]", "group_by[0]: must be one of team, member, api_key, model, provider"],
    ["limits: {rpm: 1}, group_by: [team, team]", "group_by: names the same dimension twice"],
  ])("with %s is refused", (fields, expected) => {
    expect(errors(`rate_limit_policies: [{name: p, ${fields}}]`)).toEqual([`rate_limit_policies[0].${expected}`]);
  });
});

describe("schedules", () => {
  const policy = (schedule: string): string =>
    `rate_limit_policies: [{name: p, limits: {rpm: 1}, schedules: [${schedule}]}]`;
  const schedules = (schedule: string): unknown => traffic(policy(schedule)).policies[0]?.schedules[0];

  it("are the whole of every day when nothing is said", () => {
    const day = { startMinute: 0, endMinute: 1440, timezone: "UTC" };
    expect(schedules("{}")).toEqual({ daysOfWeek: [], dates: [], ...day });
  });

  it("know days by name and by number, and dates", () => {
    const days = "days_of_week: [Sat, sunday, 3, wed]";
    const times = 'start_time: "22:30", end_time: "06:05", timezone: Asia/Kolkata';
    expect(schedules(`{${days}, ${times}}`)).toEqual({
      daysOfWeek: [0, 3, 6],
      dates: [],
      startMinute: 1350,
      endMinute: 365,
      timezone: "Asia/Kolkata",
    });
    expect(schedules('{dates: ["2028-02-29"]}')).toMatchObject({ daysOfWeek: [], dates: ["2028-02-29"] });
  });

  it.each([
    ["{days_of_week: [7]}", "days_of_week[0]: must be a day: its name (mon, monday) or a number from 0 (Sunday) to 6"],
    [
      "{days_of_week: [someday]}",
      "days_of_week[0]: must be a day: its name (mon, monday) or a number from 0 (Sunday) to 6",
    ],
    ['{dates: ["2027-02-29"]}', "dates[0]: must be a date, such as 2027-01-31"],
    [
      "{days_of_week: [true]}",
      "days_of_week[0]: must be a day: its name (mon, monday) or a number from 0 (Sunday) to 6",
    ],
    ['{dates: ["31.1.2027"]}', "dates[0]: must be a date, such as 2027-01-31"],
    [
      '{days_of_week: [1], dates: ["2027-01-31"]}',
      "dates: cannot stand beside days_of_week: a window opens on weekdays or on dates",
    ],
    ['{start_time: "24:00"}', "start_time: must be a time from 00:00 to 23:59"],
    ['{start_time: "9:00"}', "start_time: must be a time from 00:00 to 23:59"],
    ['{end_time: "24:01"}', "end_time: must be a time from 00:00 to 24:00"],
    ["{timezone: Mars/Base}", "timezone: must be an IANA timezone, such as Europe/Berlin"],
    ['{timezone: "+02:00"}', "timezone: must be an IANA timezone, such as Europe/Berlin"],
  ])("with %s are refused", (schedule, expected) => {
    expect(errors(policy(schedule))).toEqual([`rate_limit_policies[0].schedules[0].${expected}`]);
  });
});

describe("budgets", () => {
  const defaults = { period: "month", timezone: "UTC", action: "block", warnAt: [] };

  it("stand in their collection or at a key", () => {
    const keys = `api_keys: [{name: a-key, key_hash: ${HASH}, budget: {limit_usd: 0.5, warn_at: [0.9, 0.5, 0.9], action: warn}}]`;
    const text = file(
      "budgets: [{id: i, name: b, scope: model, scope_ref: id-a, limit_usd: 5, period: week}, {name: c, scope: all, limit_usd: 1}]",
    );
    const found = loaded(parseResources(text.replace(/^api_keys.*$/m, keys), contextWith())).traffic.budgets;
    expect(found).toEqual([
      { id: "i", name: "b", scope: "model", scopeRef: "a", limitUsd: 5, ...defaults, period: "week" },
      { id: "c", name: "c", scope: "all", scopeRef: null, limitUsd: 1, ...defaults },
      {
        id: "api_key:a-key",
        name: "api_key:a-key",
        scope: "key",
        scopeRef: "a-key",
        limitUsd: 0.5,
        ...defaults,
        action: "warn",
        warnAt: [0.5, 0.9],
      },
    ]);
  });

  it.each([
    ["key, scope_ref: id-ci", "ci"],
    ["key, scope_ref: ci", "ci"],
    ["key", null],
    ["model, scope_ref: p-5", "p-5"],
    ["team, scope_ref: anyone", "anyone"],
    ["user", null],
  ])("of scope %s concern whom they say", (scope, scopeRef) => {
    expect(traffic(`budgets: [{name: b, scope: ${scope}, limit_usd: 1}]`).budgets[0]).toMatchObject({ scopeRef });
  });

  it.each([
    ["name: b, scope: key", "limit_usd: is required"],
    ["name: b, limit_usd: 1", "scope: must be one of key, team, user, model, all"],
    ["name: b, scope: all, limit_usd: 0", "limit_usd: must be at least 0.000001"],
    ["name: b, scope: all, limit_usd: much", "limit_usd: must be a number"],
    ["name: b, scope: all, limit_usd: 1, scope_ref: x", "scope_ref: does not go with the scope all"],
    ["name: b, scope: key, limit_usd: 1, scope_ref: gone", "scope_ref: there is no API key of this name"],
    ["name: b, scope: model, limit_usd: 1, scope_ref: gone", "scope_ref: there is no model of this name"],
    ["name: b, scope: all, limit_usd: 1, warn_at: [80]", "warn_at[0]: must be at most 1"],
    ["name: b, scope: all, limit_usd: 1, period: year", "period: must be one of day, week, month, total"],
    ["name: b, scope: all, limit_usd: 1, timezone: X/Y", "timezone: must be an IANA timezone, such as Europe/Berlin"],
    ['name: "api_key:ci", scope: all, limit_usd: 1', "name: begins like a budget at an API key"],
    ["scope: all, limit_usd: 1", "name: is required (or display_name)"],
  ])("with %s are refused", (fields, expected) => {
    const found = errors(`budgets: [{${fields}}]`);
    expect(found).toEqual([`budgets[0].${expected}`]);
  });
});

describe("cache policies", () => {
  it("have their defaults", () => {
    expect(traffic("cache_policies: [{name: c}]").cachePolicies).toEqual([
      {
        id: "c",
        name: "c",
        enabled: true,
        appliesTo: { kind: "all", name: "" },
        backend: "memory",
        scope: "api_key",
        ttlSeconds: 3600,
        purgeGeneration: 0,
        semantic: null,
        streams: true,
        collapse: false,
      },
    ]);
  });

  it("have what is given, and names for ids", () => {
    const semantic = "semantic: {embedding_model_id: id-a, threshold: 0.5, embedding_timeout_ms: 9, max_entries: 2}";
    const fields = `id: i, enabled: false, applies_to: "api_key: id-ci", backend: cluster, scope: env, ttl_seconds: 5, purge_generation: 2, streams: false, collapse: true, ${semantic}`;
    expect(traffic(`cache_policies: [{name: c, ${fields}}]`).cachePolicies[0]).toMatchObject({
      id: "i",
      enabled: false,
      appliesTo: { kind: "api_key", name: "ci" },
      backend: "cluster",
      scope: "env",
      ttlSeconds: 5,
      purgeGeneration: 2,
      semantic: { embeddingModel: "a", threshold: 0.5, embeddingTimeoutMs: 9, maxEntries: 2 },
      streams: false,
      collapse: true,
    });
    expect(traffic("cache_policies: [{name: c, applies_to: 'model:p-1'}]").cachePolicies[0]?.appliesTo).toEqual({
      kind: "model",
      name: "p-1",
    });
  });

  it.each([
    ["applies_to: some", 'applies_to: must be "all", "model:NAME" or "api_key:NAME"'],
    ["applies_to: 'model:gone'", "applies_to: there is no model of this name"],
    ["applies_to: 'model:p-*'", "applies_to: must name one model, without a *"],
    ["applies_to: 'api_key:gone'", "applies_to: there is no API key of this name"],
    ["backend: redis", "backend: must be one of memory, cluster"],
    ["ttl_seconds: 0", "ttl_seconds: must be at least 1"],
    ["scope: team", "scope: must be one of api_key, env"],
    ["semantic: {}", "semantic.embedding_model: is required (or embedding_model_id)"],
    ["semantic: {embedding_model: group}", "semantic.embedding_model: must be a direct model"],
    ["semantic: {embedding_model: a, threshold: 2}", "semantic.threshold: must be at most 1"],
  ])("with %s are refused", (fields, expected) => {
    expect(errors(`cache_policies: [{name: c, ${fields}}]`)).toEqual([`cache_policies[0].${expected}`]);
  });
});
