/** What throws where nobody waits for it costs one answer, never the thread. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { failure, isFailure } from "../../../src/errors.js";
import { endFaulty } from "../../../src/pipeline/end-faulty.js";
import type { Exchange } from "../../../src/pipeline/exchange.js";
import type { Node } from "../../../src/pipeline/node.js";
import { type Screened, whenScreened } from "../../../src/pipeline/output-screen.js";
import { waitFor } from "../../../src/pipeline/pending.js";
import { ScreenedStream } from "../../../src/pipeline/screened-stream.js";
import { Screening } from "../../../src/pipeline/screening.js";
import { settle } from "../../../src/pipeline/settle.js";
import { textsOfDialect } from "../../../src/dialects/texts.js";
import { ScreenPlans } from "../../../src/guardrails/plan.js";
import { guardrail, trafficWith, WEBHOOK } from "../guardrails/samples.js";

vi.mock("../../../src/pipeline/settle.js", () => ({ settle: { name: "settle", run: vi.fn(() => "answered") } }));

const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);

beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});

afterEach(async () => {
  await new Promise((done) => setImmediate(done));
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

function faultyNode() {
  const faults: unknown[] = [];
  return { faults, node: { reportFault: (error: unknown) => void faults.push(error) } };
}

test("a screen that rejects, or what follows it, ends in internal_error", async () => {
  const { faults, node } = faultyNode();
  const shown: Screened[] = [];
  whenScreened(Promise.reject(new RangeError("screen")), node, (one) => void shown.push(one));
  await vi.waitFor(() => expect(shown).toHaveLength(1), 10_000);
  expect(isFailure(shown[0]) && shown[0].code).toBe("internal_error");
  whenScreened(Promise.resolve(Buffer.from("x")), node, (one) => {
    shown.push(one);
    if (!isFailure(one)) throw new RangeError("behind");
  });
  await vi.waitFor(() => expect(shown).toHaveLength(3), 10_000);
  expect(isFailure(shown[2]) && shown[2].code).toBe("internal_error");
  whenScreened(Promise.resolve(failure("timeout")), node, () => {
    throw new RangeError("always");
  });
  await vi.waitFor(() => expect(faults).toHaveLength(4), 10_000);
});

/** A stream whose verdicts cannot be recorded. */
function streamThatThrows() {
  const { faults, node } = faultyNode();
  const post = async () => ({ status: 200, body: Buffer.from(JSON.stringify({ action: "block", category: "c" })) });
  const plans = new ScreenPlans(trafficWith([guardrail("hook", WEBHOOK)]), "r", { post, credential: () => undefined });
  const plan = plans.planFor({ apiKey: "a", team: null, model: "m", entry: "m" });
  if (plan?.output == null) throw new Error("no plan");
  const actions = () => {
    throw new RangeError("metrics");
  };
  const exchange = { id: "req", view: { model: "m" }, keyResource: null } as unknown as Exchange;
  const screening = new Screening(exchange, { ...node, guards: { actions }, warn() {} } as unknown as Node, plan);
  const frame = textsOfDialect("openai-chat").frame;
  if (frame === null) throw new Error("no texts");
  return { faults, stream: new ScreenedStream(frame, plan.output, screening) };
}

test("a verdict that cannot be taken ends a stream", async () => {
  const { faults, stream } = streamThatThrows();
  let ready = 0;
  stream.onReady = () => {
    ready += 1;
  };
  const event = { choices: [{ index: 0, delta: { content: "Some text." }, finish_reason: null }] };
  stream.take(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
  stream.close();
  expect(stream.drain()).toBeNull();
  await vi.waitFor(() => expect(ready).toBe(1), 10_000);
  expect(stream.refusal?.code).toBe("internal_error");
  expect(faults[0]).toBeInstanceOf(RangeError);
});

function exchangeWith(answer: () => void) {
  const abort = vi.fn();
  const sink = { closed: false, started: false, answer, abort };
  const route = { dialect: { renderError: () => "{}" } };
  const exchange = { sink, route, lease: null, chosenLease: null, settled: false } as unknown as Exchange;
  return { exchange, abort };
}

test("a wait whose end throws settles all the same", async () => {
  const { faults, node } = faultyNode();
  const { exchange, abort } = exchangeWith(() => {
    throw new RangeError("sink");
  });
  const whole = { ...node, headerNames: { requestId: "x" } } as unknown as Node;
  vi.mocked(settle.run).mockClear();
  waitFor(exchange, whole, Promise.resolve(1), () => failure("timeout"));
  await vi.waitFor(() => expect(settle.run).toHaveBeenCalledTimes(1), 10_000);
  expect(abort).toHaveBeenCalledTimes(1);
  expect(faults.length).toBeGreaterThan(0);
});

test("an exchange that is over is not ended again", () => {
  const { faults, node } = faultyNode();
  const { exchange, abort } = exchangeWith(() => {});
  exchange.settled = true;
  vi.mocked(settle.run).mockClear();
  endFaulty(exchange, node as unknown as Node, new RangeError("late"));
  expect(faults).toHaveLength(1);
  expect([abort.mock.calls.length, vi.mocked(settle.run).mock.calls.length]).toEqual([0, 0]);
});
