/** The gateway of the table of controls: for every row models and keys of its own, so that no cell knows of another. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { ROUTES } from "../../src/acceptor/routes.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { journalDirectory } from "../../src/usage/segments.js";
import { type Answer, call } from "./calls.js";
import { roomInWindow, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { type AskingRow, ASKING, type Content, type Face, isAsking, type Row, ROWS } from "./table-surfaces.js";
import { type Behaviour, GOOD, type TableUpstream, upstreamModel } from "./table-upstream.js";

export const BODY_BYTES = 8_192;
/** Dollars: of every request, of a thousand tokens in and out. */
export const PRICES = { per_request: 0.5, input_per_1k: 10, output_per_1k: 100 } as const;

export interface Table {
  readonly gateway: RunningGateway;
  readonly upstream: TableUpstream;
}

type Entry = Record<string, unknown>;

/** What a key of a use may have beside its name; a function where that depends on the row. */
const KEYS: Readonly<Record<string, (row: Row) => Entry>> = {
  plain: () => ({ team_id: "red", user_id: "ann", metadata: { room: "9" } }),
  elsewhere: ({ operation }) => ({
    allowed_routes: [...new Set(ROUTES.map((route) => route.operation))].filter((other) => other !== operation),
  }),
  stranger: () => ({ allowed_models: ["another"] }),
  few: () => ({ rate_limit: { rpm: 2 } }),
  policed: () => ({}),
  "policed-too": () => ({}),
  asleep: () => ({}),
  alone: () => ({ rate_limit: { concurrency: 1 } }),
  thrifty: (row) => ({ rate_limit: { tpd: Math.max(1, tokensOf(row)) } }),
  poor: () => ({ budget: { limit_usd: PRICES.per_request, period: "total" } }),
  warned: () => ({ budget: { limit_usd: PRICES.per_request, period: "total", action: "warn", warn_at: [0.5, 1] } }),
  blocked: () => ({ rate_limit: { rpd: 2, tpd: 100_000 } }),
  guarded: () => ({ rate_limit: { rpd: 2, tpd: 100_000 } }),
  keeping: () => ({ rate_limit: { rpd: 100, tpd: 1_000_000 } }),
  // Two requests leave room for a third, if nothing else has taken it.
  refused: (row) => ({
    rate_limit: { rpd: 3, tpd: 2 * tokensOf(row) + 1, concurrency: 1 },
    budget: { limit_usd: 2 * costOf(row) + 0.000_001, period: "total" },
  }),
  leaving: () => ({}),
  drained: () => ({}),
};
export type KeyUse = keyof typeof KEYS;

/** Tokens that an answer of the row says it used. */
export function tokensOf({ traits }: Row): number {
  return (traits?.used.input_tokens ?? 0) + (traits?.used.output_tokens ?? 0);
}

/** Dollars that an answer of the row costs. */
export function costOf({ traits }: Row): number {
  if (traits?.costs !== true) return 0;
  const { input_tokens = 0, output_tokens = 0 } = traits.used;
  const tokens = input_tokens * PRICES.input_per_1k + output_tokens * PRICES.output_per_1k;
  return PRICES.per_request + tokens / 1_000;
}

interface ModelUse {
  readonly behaviour: Behaviour;
  readonly more?: Entry;
  readonly guardrails?: readonly string[];
}

const COOLS = { cooldown: { enabled: true, default_seconds: 60 } };
const CALM = { cooldown: { enabled: false } };
const MODELS: Readonly<Record<string, ModelUse>> = {
  plain: { behaviour: "ok" },
  locked: { behaviour: "ok" },
  far: { behaviour: "ok", more: { allowed_cidrs: ["192.0.2.0/24"] } },
  few: { behaviour: "ok", more: { rate_limit: { rpm: 2 } } },
  full: { behaviour: "ok", more: { rate_limit: { rpd: 1 } } },
  alone: { behaviour: "hold" },
  blocked: { behaviour: "ok", guardrails: ["no-falcons", "no-numbers"] },
  watched: { behaviour: "ok", guardrails: ["watch-falcons", "watch-numbers"] },
  masked: { behaviour: "ok", guardrails: ["no-mails"] },
  "tells-bad": { behaviour: "bad", guardrails: ["no-falcons"] },
  "tells-watched": { behaviour: "bad", guardrails: ["watch-falcons"] },
  "tells-mail": { behaviour: "mail", guardrails: ["no-mails"] },
  kept: { behaviour: "ok" },
  "spread-a": { behaviour: "fail", more: CALM },
  "spread-b": { behaviour: "ok", more: CALM },
  "cools-a": { behaviour: "fail", more: COOLS },
  "cools-b": { behaviour: "ok", more: COOLS },
  retried: { behaviour: "once", more: { retries: 1 } },
  late: { behaviour: "late", more: { timeout: 150 } },
  left: { behaviour: "hold" },
  measured: { behaviour: "ok" },
  drained: { behaviour: "hold" },
};
export type ModelUseName = keyof typeof MODELS;

const FACES: Readonly<Record<Face, { readonly provider: string; readonly more?: Entry; readonly root: string }>> = {
  openai: { provider: "openai", root: "/v1" },
  anthropic: { provider: "anthropic", root: "" },
  vllm: { provider: "vllm", root: "/v1" },
  "in-house": { provider: "in-house", more: { adapter: "openai" }, root: "/v1" },
};

export const modelName = (row: Row, use: string): string => `${use}.${row.id}`;
export const keyName = (row: Row, use: string): string => `${use} ${row.id}`;
/** The name that the upstream knows a model by. */
export function upstreamName(row: Row, use: ModelUseName): string {
  return upstreamModel((MODELS[use] as ModelUse).behaviour, row, use);
}

/** What records call the model of a request. */
export function namesOf(row: Row, use: ModelUseName) {
  if (noModelIn(row)) return { model: "", model_entry: "", upstream_model: "" };
  const upstream_model = upstreamName(row, use);
  const model_entry = modelName(row, use);
  return { model: row.passed ? upstream_model : model_entry, model_entry, upstream_model };
}

const noModelIn = ({ traits }: Row): boolean => traits?.names !== true;

function resources(upstream: string): Entry {
  const provider_keys = Object.entries(FACES).map(([name, { provider, more, root }]) => ({
    display_name: name,
    provider,
    ...more,
    api_base: upstream + root,
    api_key: "sk-upstream",
  }));
  const direct = (row: AskingRow) =>
    Object.entries(MODELS).map(([use, { more }]) => ({
      display_name: modelName(row, use),
      provider: FACES[row.face].provider,
      model_name: upstreamName(row, use),
      provider_key: row.face,
      cost: PRICES,
      ...more,
    }));
  const spread = (row: AskingRow) =>
    ["spread", "cools"].map((use) => ({
      display_name: modelName(row, use),
      routing: { targets: ["a", "b"].map((which) => ({ model: modelName(row, `${use}-${which}`) })) },
    }));
  const keys = (row: Row) =>
    Object.entries(KEYS).map(([use, more]) => ({
      display_name: keyName(row, use),
      key_hash: sha256(keyOf(row, use)),
      allowed_models: ["*"],
      ...more(row),
    }));
  return {
    _format_version: "1",
    provider_keys,
    models: ASKING.flatMap((row) => [...direct(row), ...spread(row)]),
    api_keys: ROWS.flatMap(keys),
    rate_limit_policies: POLICIES,
    cache_policies: ASKING.map((row) => ({ name: row.id, applies_to: `model:${modelName(row, "kept")}` })),
    guardrails: GUARDRAILS,
    guardrail_attachments: ASKING.flatMap((row) =>
      Object.entries(MODELS).flatMap(([use, { guardrails = [] }]) =>
        guardrails.map((guardrail_id) => ({ guardrail_id, scope_type: "model", scope_id: modelName(row, use) })),
      ),
    ),
  };
}

const always = { start_time: "00:00", end_time: "24:00" };
const keysLike = (value: string) => [{ dimension: "api_key", operator: "~~", value }];
const POLICIES = [
  { name: "policed", limits: { rph: 2 }, conditions: keysLike("^policed"), group_by: ["api_key"] },
  {
    name: "asleep",
    limits: { rph: 1 },
    conditions: keysLike("^asleep"),
    group_by: ["api_key"],
    schedules: [always],
  },
];

const FALCONS = { kind: "keyword", patterns: [{ kind: "literal", value: "falcon" }] };
const NUMBERS = { kind: "pii", detectors: [{ type: "us_ssn", action: "block" }] };
const GUARDRAILS = [
  { name: "no-falcons", ...FALCONS },
  { name: "no-numbers", ...NUMBERS },
  { name: "no-mails", kind: "pii", detectors: [{ type: "email", action: "mask" }] },
  { name: "watch-falcons", ...FALCONS, enforcement_mode: "monitor" },
  { name: "watch-numbers", ...NUMBERS, enforcement_mode: "monitor" },
];

/** Two acceptors in front of the upstream of the table. */
export function startTable(upstream: TableUpstream): Promise<RunningGateway> {
  return startGateway({
    config: { acceptors: 2, limits: { body_bytes: BODY_BYTES } },
    resources: resources(upstream.url),
  });
}

/** The secret of a row's key. */
export function keyOf(row: Row, use: KeyUse): string {
  return `sk-${use}-${row.id}`;
}

export interface Sending {
  readonly key?: KeyUse;
  readonly model?: string;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the row's caller sends; null: no body. */
export function contentOf(row: Row, { model = "plain", text = GOOD }: Sending = {}): Content | null {
  if (!isAsking(row)) return null;
  return row.traits.request(row.passed ? upstreamName(row, model) : modelName(row, model), text);
}

/** One request on a connection of its own, so that either acceptor may get it. */
export function send({ gateway }: Table, row: Row, sending: Sending = {}): Promise<Answer> {
  const content = contentOf(row, sending);
  const headers = { authorization: `Bearer ${keyOf(row, sending.key ?? "plain")}`, ...row.headers, ...sending.headers };
  if (content === null || content.bytes === "") {
    return call(gateway.url + row.path + (content?.query ?? ""), { method: row.method, headers });
  }
  return call(gateway.url + row.path, {
    method: row.method,
    body: content.bytes,
    headers: { ...headers, "content-type": content.type },
  });
}

export async function sendTimes(table: Table, row: Row, count: number, sending: Sending = {}): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let index = 0; index < count; index += 1) answers.push(await send(table, row, sending));
  return answers;
}

export const statusesOf = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status);
export const weir = (answer: Answer, name: string): string => String(answer.headers[`x-weir-${name}`] ?? "");

/** A refusal in the caller's envelope: Anthropic's has types of its own. */
export function expectRefusal(row: Row, answer: Answer, status: number, code: string): void {
  expect(answer.status, answer.text).toBe(status);
  // biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
  const { error } = answer.json() as any;
  expect(error.message).not.toBe("");
  if (row.dialect !== "anthropic-messages") expect(error.code).toBe(code);
}

/** The answer came whole, and says what the upstream said. */
export function expectGood(row: Row, answer: Answer, text: string = GOOD): void {
  expect(answer.status, answer.text).toBe(200);
  if (!isAsking(row)) return;
  const { said, answer: answered } = row.traits;
  expect(String(answer.headers["content-type"])).toContain(answered([text]).type);
  expect(said(answer.text)).toBe(said(answered([text]).bytes));
}

/** All events of one request, by attempt; they are on file when the answer's end has come. */
export function eventsOf(table: Table, requestId: string): UsageEvent[] {
  expect(requestId).not.toBe("");
  return eventsWhere(table, "request_id", requestId);
}

/** The events with this value in a field. A journal of thousands is not read as a whole for every cell. */
export function eventsWhere({ gateway }: Table, field: keyof UsageEvent, value: string): UsageEvent[] {
  const directory = journalDirectory(gateway.dataDirectory);
  const wanted = `"${field}":${JSON.stringify(value)}`;
  const found: UsageEvent[] = [];
  for (const name of readdirSync(directory)) {
    const text = readFileSync(join(directory, name), "utf8");
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
      const end = text.indexOf("\n", at);
      if (end > 0) found.push(JSON.parse(text.slice(text.lastIndexOf("\n", at) + 1, end)));
    }
  }
  return found.sort((one, other) => one.attempt - other.attempt);
}

/** Begins where enough of the minute is left for a few requests. */
export function earlyInTheMinute(): Promise<void> {
  return roomInWindow(60_000, 8_000);
}
