/** Columns of the table of controls: who may ask, and how much. */
import { expect } from "vitest";
import { type Answer, call } from "./calls.js";
import { openStream } from "./table-streams.js";
import {
  BODY_BYTES,
  contentOf,
  earlyInTheMinute,
  expectGood,
  expectRefusal,
  keyName,
  keyOf,
  PRICES,
  send,
  sendTimes,
  statusesOf,
  type Table,
  tokensOf,
  upstreamName,
} from "./table-gateway.js";
import { isAsking, padded, type Row } from "./table-surfaces.js";
import { metricSum, metricsPage } from "./traffic.js";

/** One column of the table. */
export interface Control {
  readonly name: string;
  /** Why the control is not for this row; null: it is. */
  exempt(row: Row): string | null;
  /** The control does what it is for. */
  holds(table: Table, row: Row): Promise<void>;
  /** Where it is not for the row: it does nothing, and nothing goes wrong. */
  none(table: Table, row: Row): Promise<void>;
}

export const never = (): null => null;
export const noModel = ({ traits }: Row): string | null =>
  traits === null ? "it names no model" : traits.names === true ? null : traits.names;
export const free = ({ traits }: Row): string | null =>
  traits === null ? "it is answered from memory" : traits.costs === true ? null : traits.costs;
const tokenless = (row: Row): string | null => (tokensOf(row) === 0 ? "it uses no tokens" : null);
const noBody = (row: Row): string | null => ((contentOf(row)?.bytes ?? "") === "" ? "it has no body" : null);
export const instant = (row: Row): string | null => (isAsking(row) ? null : "it is answered at once");

/** Nothing here can refuse anything: everything passes. */
export async function passes(table: Table, row: Row): Promise<void> {
  for (const answer of await sendTimes(table, row, 2)) expectGood(row, answer);
}

const passesWith =
  (key: string) =>
  async (table: Table, row: Row): Promise<void> => {
    for (const answer of await sendTimes(table, row, 3, { key })) expectGood(row, answer);
  };

function expectAsked({ upstream }: Table, row: Row, model: string, times: number): void {
  if (isAsking(row)) expect(upstream.bodies(upstreamName(row, model))).toHaveLength(times);
}

function expectLimited(row: Row, answer: Answer | undefined): void {
  if (answer === undefined) throw new Error("there is no answer");
  expectRefusal(row, answer, 429, "rate_limit_exceeded");
  expect(Number(answer.headers["retry-after"])).toBeGreaterThanOrEqual(1);
}

const ACCESS: readonly Control[] = [
  {
    name: "without a known key: 401",
    exempt: never,
    none: passes,
    async holds(table, row) {
      for (const authorization of ["", "Bearer sk-unknown"]) {
        const answer = await send(table, row, { model: "locked", headers: { authorization } });
        expectRefusal(row, answer, 401, "invalid_api_key");
      }
      expectAsked(table, row, "locked", 0);
    },
  },
  {
    name: "with a key for other operations: 403",
    exempt: never,
    none: passes,
    async holds(table, row) {
      const answer = await send(table, row, { key: "elsewhere", model: "locked" });
      expectRefusal(row, answer, 403, "permission_denied");
      expectAsked(table, row, "locked", 0);
    },
  },
  {
    name: "with a key for other models: 403",
    exempt: noModel,
    async none(table, row) {
      const answer = await send(table, row, { key: "stranger" });
      if (isAsking(row)) {
        // Ways on which models can be used unseen are not for keys that may not use them all.
        expect(answer.status).toBe(row.operation === "responses_items" ? 200 : 403);
        return;
      }
      // A list shows what the key may use, and that is none of these.
      expect([answer.status, answer.json().data]).toEqual([200, []]);
    },
    async holds(table, row) {
      const answer = await send(table, row, { key: "stranger", model: "locked" });
      expectRefusal(row, answer, 403, "permission_denied");
      expectAsked(table, row, "locked", 0);
    },
  },
  {
    name: "from an address that the model does not serve: 403",
    exempt: noModel,
    none: passes,
    async holds(table, row) {
      expectRefusal(row, await send(table, row, { model: "far" }), 403, "ip_restricted");
      expectAsked(table, row, "far", 0);
    },
  },
  {
    name: "with too large a body: 413",
    exempt: noBody,
    none: passes,
    async holds(table, row) {
      const content = contentOf(row, { model: "locked" });
      if (content === null) throw new Error("the row has no body");
      const { type, bytes: body } = padded(content, BODY_BYTES);
      const headers = { authorization: `Bearer ${keyOf(row, "plain")}`, "content-type": type };
      for (const chunked of [false, true]) {
        const answer = await call(table.gateway.url + row.path, { body, chunked, headers });
        expectRefusal(row, answer, 413, "request_too_large");
      }
      expectAsked(table, row, "locked", 0);
    },
  },
];

const REQUESTS: readonly Control[] = [
  {
    name: "requests a minute of a key",
    exempt: never,
    none: passes,
    async holds(table, row) {
      await earlyInTheMinute();
      const answers = await sendTimes(table, row, 3, { key: "few" });
      expect(statusesOf(answers)).toEqual([200, 200, 429]);
      expectLimited(row, answers[2]);
    },
  },
  {
    name: "requests a minute of a model",
    exempt: noModel,
    none: passes,
    async holds(table, row) {
      await earlyInTheMinute();
      const answers = [
        ...(await sendTimes(table, row, 1, { model: "few" })),
        ...(await sendTimes(table, row, 2, { model: "few", key: "keeping" })),
      ];
      expect(statusesOf(answers)).toEqual([200, 200, 429]);
      expectLimited(row, answers[2]);
      expectAsked(table, row, "few", 2);
    },
  },
  {
    name: "a policy with conditions and groups",
    exempt: never,
    none: passes,
    async holds(table, row) {
      const answers = await sendTimes(table, row, 3, { key: "policed" });
      expect(statusesOf(answers)).toEqual([200, 200, 429]);
      expectLimited(row, answers[2]);
      expect(answers[2]?.json().error).toMatchObject({ policy: { id: "policed", name: "policed" } });
      const others = await sendTimes(table, row, 3, { key: "policed-too" });
      expect(statusesOf(others)).toEqual([200, 200, 429]);
      await passes(table, row);
    },
  },
  {
    name: "a policy that its schedule suspends",
    exempt: never,
    none: passes,
    async holds(table, row) {
      expect(statusesOf(await sendTimes(table, row, 3, { key: "asleep" }))).toEqual([200, 200, 200]);
    },
  },
  {
    name: "requests at once",
    exempt: instant,
    none: passesWith("alone"),
    async holds(table, row) {
      const asking = { key: "alone", model: "alone" };
      const first = openStream(table, row, asking);
      await first.underWay();
      expectLimited(row, await send(table, row, asking));
      table.upstream.release(upstreamName(row, "alone"));
      expect((await first.ended()).status).toBe(200);
      // The place is free when the answer has ended, not when something was tidied up.
      expectGood(row, await send(table, row, asking));
      expectAsked(table, row, "alone", 2);
    },
  },
  {
    name: "tokens of a key",
    exempt: tokenless,
    none: passesWith("thrifty"),
    async holds(table, row) {
      const answers = await sendTimes(table, row, 2, { key: "thrifty" });
      expect(statusesOf(answers)).toEqual([200, 429]);
      expectLimited(row, answers[1]);
    },
  },
  {
    name: "the headers that tell of limits",
    exempt: never,
    none: passes,
    async holds(table, row) {
      const { headers } = await send(table, row, { key: "blocked" });
      expect([headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]]).toEqual(["2", "1"]);
      expect(headers["x-ratelimit-reset-requests"]).toMatch(/^\d+s$/);
      expect(headers["x-ratelimit-limit-tokens"]).toBe("100000");
      expect(Number(headers["x-ratelimit-remaining-tokens"])).toBeLessThanOrEqual(100_000);
      expect(headers["x-ratelimit-reset-tokens"]).toMatch(/^\d+s$/);
      const { headers: none } = await send(table, row);
      expect(Object.keys(none).filter((name) => name.startsWith("x-ratelimit-"))).toEqual([]);
    },
  },
];

const REFUSALS: readonly Control[] = [
  {
    name: "a refusal leaves every counter as it was",
    exempt: noModel,
    none: passes,
    async holds(table, row) {
      // The model's one request a day is spent by another key; this one has room for three, in everything.
      expectGood(row, await send(table, row, { model: "full" }));
      const key = "refused";
      expect(statusesOf(await sendTimes(table, row, 2, { key }))).toEqual([200, 200]);
      for (const answer of await sendTimes(table, row, 3, { key, model: "full" })) expectLimited(row, answer);
      expect(statusesOf(await sendTimes(table, row, 2, { key }))).toEqual([200, 429]);
      expectAsked(table, row, "full", 1);
    },
  },
];

const MONEY: readonly Control[] = [
  {
    name: "a budget that is spent",
    exempt: free,
    none: passesWith("poor"),
    async holds(table, row) {
      const [first, second] = await sendTimes(table, row, 2, { key: "poor" });
      if (first === undefined || second === undefined) throw new Error("there is no answer");
      expectGood(row, first);
      expectRefusal(row, second, 429, "budget_exceeded");
      expect(second.json().error).toMatchObject({
        budget: { scope: "key", limit_usd: PRICES.per_request, resets_at: null },
      });
    },
  },
  {
    name: "a budget that only warns",
    exempt: free,
    async none(table, row) {
      await passesWith("warned")(table, row);
      expect(await warnings(table, row)).toBe(0);
    },
    async holds(table, row) {
      await passesWith("warned")(table, row);
      await table.gateway.until(async () => (await warnings(table, row)) === 2);
    },
  },
];

async function warnings({ gateway }: Table, row: Row): Promise<number> {
  const budget = `api_key:${keyName(row, "warned")}`;
  return metricSum(await metricsPage(gateway.opsUrl), "weir_budget_warnings_total", { budget });
}

export const LIMITS: readonly Control[] = [...ACCESS, ...REQUESTS, ...REFUSALS, ...MONEY];
