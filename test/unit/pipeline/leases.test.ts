/** When what an exchange holds of its limits is given back. */
import { expect, test } from "vitest";
import { dialectOf } from "../../../src/dialects/registry.js";
import { isFailure } from "../../../src/errors.js";
import { countHere } from "../../../src/pipeline/count-here.js";
import type { Exchange } from "../../../src/pipeline/exchange.js";
import type { Node } from "../../../src/pipeline/node.js";
import { releasePlaces } from "../../../src/pipeline/settle-leases.js";
import { admitLayers, type Lease } from "../../../src/quota/lease.js";
import { fingerprint, keyLayer, setUpTables } from "../quota/quota-setup.js";

function leased(table: ReturnType<typeof setUpTables>["table"], block: number): Lease {
  const lease = admitLayers(table, [keyLayer({ concurrency: 1, rpm: 5 }, block)], 10);
  if (isFailure(lease)) throw new Error("refused");
  return lease;
}

test("a client that leaves frees the places of its request and of the model chosen for it", () => {
  const { table } = setUpTables();
  const exchange = { lease: leased(table, 0), chosenLease: leased(table, 1) } as unknown as Exchange;
  expect([table.inFlight(0), table.inFlight(1)]).toEqual([1, 1]);
  releasePlaces(exchange, { quota: table } as unknown as Node);
  expect([table.inFlight(0), table.inFlight(1)]).toEqual([0, 0]);
});

test("a prompt to count that leans on state of the provider's uses nothing", () => {
  const { table, memory } = setUpTables();
  // A counter that was there stays; its window has begun.
  leased(table, 1);
  const before = fingerprint(memory);
  const exchange = {
    route: { operation: "input_tokens", dialect: dialectOf("openai-responses") },
    body: Buffer.from(JSON.stringify({ model: "m", input: "hi", previous_response_id: "resp_1" })),
    lease: leased(table, 2),
    chosenLease: null,
    succession: null,
    attempts: 0,
  } as unknown as Exchange;
  expect(fingerprint(memory)).not.toBe(before);
  expect(isFailure(countHere(exchange, { quota: table } as unknown as Node))).toBe(true);
  expect(exchange.lease).toBeNull();
  expect(table.inFlight(2)).toBe(0);
  const again = leased(table, 2);
  expect(again.requests.remaining).toBe(4);
});
