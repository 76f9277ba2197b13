/** Limits of the fleet cost messages by the second, not by the request. */
import { sha256 } from "../../test/e2e/gateway.js";
import { metricSum, metricsPage } from "../../test/e2e/traffic.js";
import { pause } from "../load/children.js";
import { Fleet } from "./fleet.js";
import { Load } from "./load.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";

const KEYS = 50;
const RATES = [60, 600] as const;
const WARM_MS = 5_000;
const MINUTE_MS = 60_000;
/** A minute's limits begin anew at its turn, which costs messages: each phase has one in its middle, or none has. */
const AFTER_TURN_MS = 2_000;
const MOST_PER_SECOND = 100;
/** Messages for each request more: none, as far as it can be measured. */
const MOST_PER_REQUEST = 0.01;

interface Phase {
  readonly rate: number;
  /** Requests answered each second, by all nodes. */
  readonly answered: number;
  /** Of limits: sent and received each second, by the busiest node and by all. */
  readonly most: number;
  readonly all: number;
  /** Of everything, usage included, as the servers count, by all nodes. */
  readonly wire: number;
  readonly refused: number;
  readonly failed: number;
  /** Of limits, by all nodes since they were started. */
  readonly total: number;
}

export async function quotaMessages(options: RigOptions): Promise<Outcome> {
  const { short, balanced } = options;
  const begun = performance.now();
  const names = Array.from({ length: KEYS }, (_, index) => `sk-rig-many-${index}`);
  const limits = { rate_limit: { rpm: 60_000, tpm: 6_000_000 }, allowed_models: ["*"] };
  const keys = names.map((name) => ({ display_name: name, key_hash: sha256(name), ...limits }));
  const fleet = await Fleet.start({ balanced, resources: { api_keys: keys } });
  try {
    const phases: Phase[] = [];
    for (const rate of RATES) phases.push(await measure(fleet, names, rate, short ? 5_000 : 30_000));
    const [slow, fast] = phases as [Phase, Phase];
    const perRequest = (fast.all - slow.all) / (fast.answered - slow.answered);
    const problems: string[] = [];
    if (fast.total === 0) problems.push("the nodes told no messages of limits: nothing was measured");
    for (const { most, rate, refused, failed } of phases) {
      if (most >= MOST_PER_SECOND) problems.push(`${most} messages a second of one node at ${rate} requests a second`);
      if (refused > 0) problems.push(`${refused} requests were refused below their limits`);
      if (failed > 0) problems.push(`${failed} requests failed`);
    }
    if (perRequest > MOST_PER_REQUEST) problems.push(`${perRequest} messages for each request more`);
    return {
      scenario: "quota-messages",
      variant: `${KEYS} keys`,
      bar: `< ${MOST_PER_SECOND} a second and node, 0 for each request`,
      short,
      figures: {
        "requests/s": phases.map(({ answered }) => Math.round(answered)).join(", "),
        "messages/s, busiest node": phases.map(({ most }) => most.toFixed(1)).join(", "),
        "for each request more": perRequest.toFixed(4),
        "all messages/s with usage": phases.map(({ wire }) => Math.round(wire)).join(", "),
      },
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}

/** Resolves when a phase of this length is to begin, so that the turn of the minute stands in all of them alike. */
async function awaitBeginning(milliseconds: number): Promise<void> {
  const left = MINUTE_MS - (Date.now() % MINUTE_MS);
  const half = WARM_MS + milliseconds / 2;
  if (milliseconds >= MINUTE_MS / 2) await pause(left >= half ? left - half : left + MINUTE_MS - half);
  else if (left < WARM_MS + milliseconds + AFTER_TURN_MS) await pause(left + AFTER_TURN_MS);
}

async function measure(fleet: Fleet, keys: readonly string[], rate: number, milliseconds: number): Promise<Phase> {
  await awaitBeginning(milliseconds);
  let answered = 0;
  let refused = 0;
  let failed = 0;
  const load = new Load({
    urls: fleet.urls,
    keys,
    model: "fleet-steady",
    rate,
    lanes: 256,
    maxTokens: 50,
    onReply: ({ status }) => {
      if (status === 200) answered += 1;
      else if (status === 429) refused += 1;
      else failed += 1;
    },
  });
  await pause(WARM_MS);
  const before = await counts(fleet);
  const from = performance.now();
  const answeredBefore = answered;
  await pause(milliseconds);
  const after = await counts(fleet);
  const seconds = (performance.now() - from) / 1_000;
  const answeredAfter = answered;
  await load.stop();
  const nodes = after.nodes.map((count, index) => (count - (before.nodes[index] ?? 0)) / seconds);
  return {
    rate,
    answered: (answeredAfter - answeredBefore) / seconds,
    most: Math.max(...nodes),
    all: nodes.reduce((sum, count) => sum + count, 0),
    wire: (after.wire - before.wire) / seconds,
    refused,
    failed,
    total: after.nodes.reduce((sum, count) => sum + count, 0),
  };
}

async function counts(fleet: Fleet): Promise<{ nodes: number[]; wire: number }> {
  const pages = await Promise.all(fleet.nodes.map(({ opsUrl }) => metricsPage(opsUrl)));
  const traffic = await fleet.nats.traffic();
  return {
    nodes: pages.map((page) => metricSum(page, "weir_quota_messages_total")),
    wire: traffic.filter(({ name }) => name.startsWith("rig ")).reduce((sum, { messages }) => sum + messages, 0),
  };
}
