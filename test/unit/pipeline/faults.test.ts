import { expect, test, vi } from "vitest";
import type { Exchange } from "../../../src/pipeline/exchange.js";
import type { Node } from "../../../src/pipeline/node.js";
import { waitFor } from "../../../src/pipeline/pending.js";
import { begin } from "../../../src/pipeline/pipeline.js";
import { faultData } from "../../../src/runtime/messages.js";

vi.mock("../../../src/pipeline/settle.js", () => ({ settle: { name: "settle", run: vi.fn(() => "answered") } }));

function setUp() {
  const answers: number[] = [];
  const faults: unknown[] = [];
  const sink = { closed: false, answer: (status: number) => void answers.push(status) };
  const route = { dialect: { renderError: () => "{}" } };
  // No headers: the first stage that looks at them throws.
  const exchange = { sink, route, headers: undefined, lease: null, chosenLease: null } as unknown as Exchange;
  const headerNames = { requestId: "x" };
  const node = { headerNames, reportFault: (error: unknown) => void faults.push(error) } as unknown as Node;
  return { answers, faults, exchange, node };
}

test("a stage that throws costs the request a 500, and its fault is told", () => {
  const { answers, faults, exchange, node } = setUp();
  expect(begin(exchange, node)).toBe(false);
  expect(answers).toEqual([500]);
  expect(faults[0]).toBeInstanceOf(TypeError);
});

test("so does one that throws after work in the pool", async () => {
  const { answers, faults, exchange, node } = setUp();
  waitFor(exchange, node, Promise.resolve(1), () => {
    throw new RangeError("unforeseen");
  });
  await vi.waitFor(() => expect(answers).toEqual([500]), 10_000);
  expect(faults[0]).toBeInstanceOf(RangeError);
});

test("what is told of a fault is where it came from, not what it was about", () => {
  let fault: unknown;
  try {
    JSON.parse('{"prompt": "my secret" oops');
  } catch (error) {
    fault = error;
  }
  const told = JSON.stringify(faultData(fault));
  expect(told).toContain("SyntaxError");
  expect(told).toContain("faults.test");
  expect(told).not.toContain("secret");
  expect(faultData("thrown text").at).toEqual([]);
});
