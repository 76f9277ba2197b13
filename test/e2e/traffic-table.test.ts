/**
 * Every control on every operation, streamed and not. Where a control is not for an operation, the table says why,
 * and the test holds that it does nothing there.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "./gateway.js";
import { ATTEMPTS } from "./table-attempts.js";
import { CONTENT } from "./table-content.js";
import { eventsWhere, keyName, namesOf, send, startTable, type Table, upstreamName } from "./table-gateway.js";
import { type Control, LIMITS } from "./table-limits.js";
import { type Ended, openStream } from "./table-streams.js";
import { ASKING, type AskingRow, isAsking, type Row, ROWS, UNKNOWN } from "./table-surfaces.js";
import { GOOD, startTableUpstream, type TableUpstream } from "./table-upstream.js";

const CONTROLS: readonly Control[] = [...LIMITS, ...CONTENT, ...ATTEMPTS];

let upstream: TableUpstream;
let table: Table;

beforeAll(async () => {
  upstream = await startTableUpstream();
  table = { upstream, gateway: await startTable(upstream) };
});
afterAll(async () => {
  await table?.gateway.dispose();
  await upstream?.close();
});

test("the table has a row for every operation of the route table", () => {
  expect(UNKNOWN).toEqual([]);
  expect(new Set(ROWS.map(({ id }) => id)).size).toBe(ROWS.length);
});

describe.each(CONTROLS)("$name", (control) => {
  const cells = ROWS.map((row) => {
    const reason = control.exempt(row);
    return { title: reason === null ? row.name : `${row.name}: none, ${reason}`, row, applies: reason === null };
  });

  test.each(cells)("$title", async ({ row, applies }) => {
    await (applies ? control.holds(table, row) : control.none(table, row));
  });
});

describe("a drain lets it finish", () => {
  let ends: Map<string, Ended>;
  let ended: { code: number | null; signal: NodeJS.Signals | null };

  beforeAll(async () => {
    const { gateway } = table;
    const open = ASKING.map((row) => [row, openStream(table, row, { key: "drained", model: "drained" })] as const);
    for (const [, stream] of open) await stream.underWay();
    const end = gateway.end("SIGTERM");
    await refusesConnections();
    for (const row of ASKING) upstream.release(upstreamName(row, "drained"));
    ends = new Map(await Promise.all(open.map(async ([row, stream]) => [row.id, await stream.ended()] as const)));
    ended = await end;
  });

  async function refusesConnections(): Promise<void> {
    await until(() =>
      send(table, ROWS.find((row) => !isAsking(row)) as Row).then(
        () => false,
        () => true,
      ),
    );
  }

  test.each(ASKING)("$name", (row: AskingRow) => {
    const { status, text, whole } = ends.get(row.id) as Ended;
    const { said, answer } = row.traits;
    expect([status, whole, said(text)]).toEqual([200, true, said(answer([GOOD]).bytes)]);
    const events = eventsWhere(table, "api_key", keyName(row, "drained"));
    expect(events).toMatchObject([{ status: 200, complete: true, ...namesOf(row, "drained") }]);
  });

  test("and ends well", () => {
    expect(ended).toEqual({ code: 0, signal: null });
  });
});
