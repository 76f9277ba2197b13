/** Columns of the table of controls: how a request gets its answer, and what is known of it afterwards. */
import { expect } from "vitest";
import { openStream } from "./table-streams.js";
import {
  contentOf,
  costOf,
  eventsOf,
  eventsWhere,
  expectGood,
  expectRefusal,
  keyName,
  modelName,
  namesOf,
  send,
  type Table,
  upstreamName,
  weir,
} from "./table-gateway.js";
import { type Control, instant, never, noModel, passes } from "./table-limits.js";
import { isAsking, type Row } from "./table-surfaces.js";
import { metricSum, metricsPage } from "./traffic.js";

const timesAsked = ({ upstream }: Table, row: Row, model: string) => upstream.bodies(upstreamName(row, model)).length;

const oneTarget = ({ traits }: Row): string | null =>
  traits === null ? "it has no target" : traits.routes === true ? null : traits.routes;

const ROUTING: readonly Control[] = [
  {
    name: "a failing target is followed by the next",
    exempt: oneTarget,
    none: passes,
    async holds(table, row) {
      const answer = await send(table, row, { model: "spread" });
      expectGood(row, answer);
      expect([weir(answer, "attempts"), weir(answer, "upstream-model")]).toEqual(["2", upstreamName(row, "spread-b")]);
      expect([timesAsked(table, row, "spread-a"), timesAsked(table, row, "spread-b")]).toEqual([1, 1]);
      const events = eventsOf(table, weir(answer, "request-id"));
      const told = events.map(({ attempt, status, upstream_model }) => [attempt, status, upstream_model]);
      expect(told).toEqual([
        [1, 500, upstreamName(row, "spread-a")],
        [2, 200, upstreamName(row, "spread-b")],
      ]);
    },
  },
  {
    name: "a failing target is asked again",
    exempt: oneTarget,
    none: passes,
    async holds(table, row) {
      const answer = await send(table, row, { model: "retried" });
      expectGood(row, answer);
      expect(weir(answer, "attempts")).toBe("2");
      expect(timesAsked(table, row, "retried")).toBe(2);
    },
  },
  {
    name: "a target that has failed cools down",
    exempt: oneTarget,
    none: passes,
    async holds(table, row) {
      expect(weir(await send(table, row, { model: "cools" }), "attempts")).toBe("2");
      for (let times = 0; times < 2; times += 1) {
        const answer = await send(table, row, { model: "cools" });
        expectGood(row, answer);
        expect(weir(answer, "attempts")).toBe("1");
      }
      expect(timesAsked(table, row, "cools-a")).toBe(1);
    },
  },
  {
    name: "an upstream that says nothing in time: 504",
    exempt: noModel,
    none: passes,
    async holds(table, row) {
      const answer = await send(table, row, { model: "late" });
      expectRefusal(row, answer, 504, "timeout");
      const [event] = eventsOf(table, weir(answer, "request-id"));
      expect(event).toMatchObject({ status: 504, error: "timeout", complete: false, upstream_status: 0 });
      await table.gateway.until(() => table.upstream.aborted(upstreamName(row, "late")) > 0);
    },
  },
];

const RECORDS: readonly Control[] = [
  {
    name: "its usage event",
    exempt: (row) => (isAsking(row) ? null : "it uses nothing"),
    async none(table, row) {
      const answer = await send(table, row);
      expectGood(row, answer);
      expect(eventsOf(table, weir(answer, "request-id"))).toEqual([]);
    },
    async holds(table, row) {
      const answer = await send(table, row, { headers: { "user-agent": "table/1.0" } });
      expectGood(row, answer);
      const events = eventsOf(table, weir(answer, "request-id"));
      const { operation, dialect, stream } = row;
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({
        ...row.traits?.used,
        operation,
        client_dialect: dialect,
        target_dialect: dialect,
        attempt: 1,
        node: "test-node",
        api_key: keyName(row, "plain"),
        team_id: "red",
        user_id: "ann",
        metadata: { room: "9" },
        ...namesOf(row, "plain"),
        provider_key: row.face,
        streamed: stream,
        status: 200,
        upstream_status: 200,
        error: "",
        complete: true,
        price_known: true,
        request_bytes: contentOf(row)?.bytes.length,
        client_address: "127.0.0.1",
        user_agent: "table/1.0",
        cache: "bypass",
        guardrails: [],
        losses: [],
      });
      expect(events[0]?.cost_usd).toBeCloseTo(costOf(row), 9);
    },
  },
  {
    name: "its metrics",
    exempt: noModel,
    async none(table, row) {
      const labels = { operation: row.operation, status: "200" };
      const count = async () => metricSum(await metricsPage(table.gateway.opsUrl), "weir_requests_total", labels);
      const before = await count();
      await send(table, row);
      await table.gateway.until(async () => (await count()) === before + 1);
    },
    async holds(table, row) {
      expectGood(row, await send(table, row, { model: "measured" }));
      const model = modelName(row, "measured");
      const { input_tokens = 0, output_tokens = 0 } = row.traits?.used ?? {};
      const expected = {
        asked: 1,
        input: input_tokens,
        output: output_tokens,
        dollars: rounded(costOf(row)),
      };
      const read = async () => {
        const page = await metricsPage(table.gateway.opsUrl);
        const asked = { gen_ai_request_model: model };
        const tokens = (token_type: string) => metricSum(page, "weir_usage_tokens_total", { model, token_type });
        return {
          asked: metricSum(page, "gen_ai_server_request_duration_count", asked),
          input: tokens("input"),
          output: tokens("output"),
          dollars: rounded(metricSum(page, "weir_cost_usd_total", { model })),
        };
      };
      await table.gateway.until(async () => (await read()).asked > 0);
      expect(await read()).toEqual(expected);
    },
  },
  {
    name: "its line in the access log",
    exempt: never,
    none: passes,
    async holds(table, row) {
      const answer = await send(table, row, { headers: { "user-agent": "table/1.0" } });
      const id = weir(answer, "request-id");
      const [line] = await table.gateway.until(() => {
        const found = linesOf(table).filter(({ request_id }) => request_id === id);
        return found.length > 0 ? found : null;
      });
      const { method, path, operation } = row;
      const common = { msg: "request", level: "info", method, path, operation, status: 200, error: "" };
      const { model, upstream_model } = namesOf(row, "plain");
      const asking = { attempts: 1, model, upstream_model };
      const { input_tokens, output_tokens } = row.traits?.used ?? {};
      expect(line).toMatchObject({
        ...common,
        key: keyName(row, "plain"),
        user_agent: "table/1.0",
        client_address: "127.0.0.1",
        ...(isAsking(row) ? { ...asking, input_tokens, output_tokens } : { attempts: 0 }),
      });
      expect(line?.bytes_out).toBe(Buffer.byteLength(answer.text));
    },
  },
];

/** To millionths of a dollar. */
function rounded(dollars: number): number {
  return Math.round(dollars * 1e6) / 1e6;
}

function linesOf({ gateway }: Table): Record<string, unknown>[] {
  const lines = gateway.stdout().split("\n").slice(0, -1);
  return lines.slice(-50).map((line) => JSON.parse(line));
}

const ENDS: readonly Control[] = [
  {
    name: "a caller who leaves",
    exempt: instant,
    none: passes,
    async holds(table, row) {
      const open = openStream(table, row, { model: "left", key: "leaving" });
      await open.underWay();
      open.leave();
      const { gateway, upstream } = table;
      await gateway.until(() => upstream.aborted(upstreamName(row, "left")) === 1);
      const events = await gateway.until(() => {
        const found = eventsWhere(table, "api_key", keyName(row, "leaving"));
        return found.length > 0 ? found : null;
      });
      expect(events).toMatchObject([
        { status: 499, error: "client_closed_request", complete: false, operation: row.operation },
      ]);
    },
  },
];

export const ATTEMPTS: readonly Control[] = [...ROUTING, ...RECORDS, ...ENDS];
