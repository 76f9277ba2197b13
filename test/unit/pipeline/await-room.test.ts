/** Where a request waits for what the fleet may yet grant: at its admission, and before an attempt at a target. */
import { beforeEach, expect, test, vi } from "vitest";
import type { RateLimit } from "../../../src/config/resources.js";
import type { Failure } from "../../../src/errors.js";
import { admit, admitChosen } from "../../../src/pipeline/admit.js";
import { AttemptRun } from "../../../src/pipeline/attempt-run.js";
import type { Exchange } from "../../../src/pipeline/exchange.js";
import { launch } from "../../../src/pipeline/launch.js";
import type { Node } from "../../../src/pipeline/node.js";
import { behindWaiting } from "../../../src/pipeline/pending.js";
import { refuse } from "../../../src/pipeline/refuse.js";
import { settle } from "../../../src/pipeline/settle.js";
import { GrantTable } from "../../../src/quota/grants.js";
import type { LimitLayer } from "../../../src/quota/layers.js";
import { voidLease } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { Waiting } from "../../../src/quota/waiting.js";
import { dimensionOf, keyLayer } from "../quota/quota-setup.js";

vi.mock("../../../src/pipeline/settle.js", () => ({ settle: { name: "settle", run: vi.fn(() => "answered") } }));
vi.mock("../../../src/pipeline/refuse.js", () => ({ refuse: vi.fn() }));
vi.mock("../../../src/pipeline/launch.js", () => ({ launch: vi.fn(() => "under-way") }));
vi.mock("../../../src/pipeline/output-screen.js", () => ({ outputScreenOf: () => null }));

const RPD = dimensionOf("rpd");
const DAY = 86_400_000;
const wentOn = vi.fn();

beforeEach(() => {
  vi.clearAllMocks();
  behindWaiting(wentOn);
});

const LIMIT: RateLimit = { rpd: 10 };

function setUp(maxWaiting = false) {
  const memory = allocateQuotaMemory(8, 3, 64, true);
  const table = new QuotaTable(memory, 0);
  if (table.grants === null) throw new Error("no memory for grants");
  const waiting = new Waiting(table.grants, () => true);
  const grants = new GrantTable({
    table: new QuotaTable(memory, 3),
    onPartition: "fair_share",
    wake: () => waiting.wake(),
  });
  grants.adopt({ "api_key:k": 0, "model:a": 1, "model:b": 2 });
  const layers: Record<string, LimitLayer[]> = { a: [keyLayer(LIMIT, 1)], b: [keyLayer(LIMIT, 2)] };
  const faults: unknown[] = [];
  const node = {
    quota: table,
    waiting: maxWaiting ? ({ full: true } as Waiting) : waiting,
    budgets: null,
    limits: { layersFor: () => [keyLayer(LIMIT)], ofModel: (name: string) => layers[name] ?? [] },
    metrics: { cell: () => ({ add: () => {} }) },
    reportFault: (error: unknown) => void faults.push(error),
  } as unknown as Node;
  const give = (bucket: string, units: number, dryMs = 0) => {
    const dryUntil = dryMs === 0 ? 0 : Date.now() + dryMs;
    grants.grant(bucket, RPD, Math.floor(Date.now() / DAY), { units, rest: 0, dryUntil });
  };
  const used = (block: number) => table.used(block, RPD, Math.floor(Date.now() / DAY));
  return { table, node, waiting, give, used, faults };
}

function exchangeOf(more: Partial<Exchange> = {}): Exchange {
  const exchange = {
    deadline: Number.POSITIVE_INFINITY,
    attempts: 0,
    lease: null,
    chosenLease: null,
    targetLease: null,
    keyResource: null,
    model: null,
    view: null,
    work: null,
    inner: true,
    continuation: null,
    body: Buffer.from("{}"),
    sink: { started: false, closed: false },
    speech: { operation: "embeddings" },
    route: { operation: "embeddings", dialect: { id: "openai-embeddings" } },
    ...more,
  };
  return exchange as unknown as Exchange;
}

const turn = () => new Promise((done) => setImmediate(done));

test("an admission waits for a grant, and goes on behind its stage", async () => {
  const { node, give, used } = setUp();
  const exchange = exchangeOf();
  expect(admit.run(exchange, node)).toBe("under-way");
  expect([exchange.lease, used(0)]).toEqual([null, 0]);
  give("api_key:k", 1);
  await turn();
  expect(wentOn).toHaveBeenCalledExactlyOnceWith(exchange, node);
  expect([exchange.lease === null, exchange.work, used(0)]).toEqual([false, null, 1]);
});

test("an admission that the fleet has nothing for is refused like any other", async () => {
  const { node, give } = setUp();
  const exchange = exchangeOf();
  admit.run(exchange, node);
  give("api_key:k", 0, 1_000);
  await turn();
  expect(refuse).toHaveBeenCalledOnce();
  expect(vi.mocked(refuse).mock.calls[0]?.[2]).toMatchObject({ code: "rate_limit_exceeded", refusedBy: "key" });
  expect(settle.run).toHaveBeenCalledOnce();
  expect(wentOn).not.toHaveBeenCalled();
});

test("an admission whose answer does not come is refused when the request's time is over", async () => {
  const { node, waiting } = setUp();
  admit.run(exchangeOf({ deadline: performance.now() + 20 }), node);
  expect(waiting.size).toBe(1);
  await vi.waitFor(() => expect(refuse).toHaveBeenCalledOnce(), 10_000);
  expect(waiting.size).toBe(0);
});

test("a client that leaves waits no longer, and takes nothing", async () => {
  const { node, give, used, waiting } = setUp();
  const exchange = exchangeOf();
  admit.run(exchange, node);
  exchange.work?.cancel();
  expect([exchange.status, waiting.size]).toEqual([499, 0]);
  give("api_key:k", 1);
  await turn();
  expect([used(0), wentOn.mock.calls.length]).toEqual([0, 0]);
  expect(settle.run).toHaveBeenCalledOnce();
});

test("where too many wait, what is not here is not there", () => {
  const { node } = setUp(true);
  expect(admit.run(exchangeOf(), node)).toMatchObject({ code: "rate_limit_exceeded" });
});

test("what throws while somebody waits costs that request alone", async () => {
  const { node, give, faults } = setUp();
  const broken = exchangeOf();
  admit.run(broken, node);
  admit.run(exchangeOf(), node);
  Object.defineProperty(broken, "keyResource", {
    get: () => {
      throw new RangeError("broken");
    },
  });
  give("api_key:k", 1);
  await turn();
  expect(faults).toHaveLength(1);
  expect(wentOn).toHaveBeenCalledOnce();
});

test("a model chosen under way is waited for as well", async () => {
  const { node, give } = setUp();
  const exchange = exchangeOf();
  const chosen = { entry: { kind: "routing", name: "a" } } as never;
  const goOn = vi.fn((_refusal: Failure | null) => "under-way" as const);
  expect(admitChosen(exchange, node, chosen, goOn)).toBe("under-way");
  expect(goOn).not.toHaveBeenCalled();
  give("model:a", 1);
  await turn();
  expect(goOn).toHaveBeenCalledExactlyOnceWith(null);
  expect(exchange.chosenLease).not.toBeNull();
});

const candidate = (name: string) => ({ model: { entry: { name } } });

function runOver(names: readonly string[], node: Node, exchange: Exchange): AttemptRun {
  const plan = { candidates: names.map(candidate), routing: null, retriesOn: () => 0, retriesSet: () => false };
  return new AttemptRun(exchange, node, plan as never);
}

test("an attempt waits for its target's room, which it then takes over", async () => {
  const { node, give, used } = setUp();
  const exchange = exchangeOf();
  expect(runOver(["a", "b"], node, exchange).begin()).toBe("under-way");
  expect(launch).not.toHaveBeenCalled();
  give("model:a", 1);
  await turn();
  expect(launch).toHaveBeenCalledExactlyOnceWith(exchange, node, candidate("a"));
  expect([exchange.targetLease === null, used(1), used(2)]).toEqual([false, 1, 0]);
});

test("an attempt whose target has no room after all goes on to the next, and waits there", async () => {
  const { node, give, used } = setUp();
  const exchange = exchangeOf();
  runOver(["a", "b"], node, exchange).begin();
  give("model:a", 0, 5_000);
  await turn();
  expect(launch).not.toHaveBeenCalled();
  give("model:b", 1);
  await turn();
  expect(launch).toHaveBeenCalledExactlyOnceWith(exchange, node, candidate("b"));
  expect([used(1), used(2)]).toEqual([0, 1]);
});

test("where no target has room the request is refused, and has never been admitted", async () => {
  const { node, give, used } = setUp();
  const exchange = exchangeOf();
  give("api_key:k", 1);
  expect(admit.run(exchange, node)).toBe("next");
  runOver(["a"], node, exchange).begin();
  give("model:a", 0, 5_000);
  await turn();
  expect(vi.mocked(refuse).mock.calls[0]?.[2]).toMatchObject({ code: "rate_limit_exceeded", refusedBy: "target" });
  expect(settle.run).toHaveBeenCalledOnce();
  expect([exchange.lease, used(0)]).toEqual([null, 0]);
});

test("a client that leaves before the attempt takes no room", async () => {
  const { node, give, used, waiting } = setUp();
  const exchange = exchangeOf();
  runOver(["a"], node, exchange).begin();
  exchange.work?.cancel();
  give("model:a", 1);
  await turn();
  expect([waiting.size, used(1)]).toEqual([0, 0]);
  expect(launch).not.toHaveBeenCalled();
});

test("room that was waited for is given back where the target cannot take the request", async () => {
  const { node, give, used } = setUp();
  const exchange = exchangeOf();
  vi.mocked(launch).mockReturnValueOnce({ code: "invalid_request_error", retryAfterSeconds: 0 } as never);
  runOver(["a", "b"], node, exchange).begin();
  give("model:a", 1);
  give("model:b", 1);
  await turn();
  expect(launch).toHaveBeenCalledTimes(2);
  expect([used(1), used(2)]).toEqual([0, 1]);
  if (exchange.targetLease !== null) voidLease(node.quota, exchange.targetLease);
  expect(used(2)).toBe(0);
});
