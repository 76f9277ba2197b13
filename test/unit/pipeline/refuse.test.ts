import { expect, test } from "vitest";
import { failure, isFailure } from "../../../src/errors.js";
import type { Exchange } from "../../../src/pipeline/exchange.js";
import type { Node } from "../../../src/pipeline/node.js";
import { refuse } from "../../../src/pipeline/refuse.js";
import { admitLayers } from "../../../src/quota/lease.js";
import { keyLayer, setUpTables } from "../quota/quota-setup.js";

test.each([false, true])("a caller who has read the answer's end finds the place free: started %s", (started) => {
  const { table, other } = setUpTables();
  const layers = [keyLayer({ concurrency: 1, tpm: 10 })];
  const lease = admitLayers(table, layers, 10);
  if (isFailure(lease)) throw new Error("refused");
  const again: boolean[] = [];
  const end = () => void again.push(!isFailure(admitLayers(other, layers, 1)));
  const sink = { closed: false, started, answer: end, end };
  const dialect = { renderError: () => "{}", renderStreamError: () => "{}" };
  const exchange = { sink, route: { dialect }, lease, chosenLease: null, tokensUsed: 4, microsUsed: 0, attempts: 0 };
  const node = { quota: table, headerNames: { requestId: "x" } };
  refuse(exchange as unknown as Exchange, node as unknown as Node, failure("transport_error"));
  expect(again).toEqual([true]);
});
