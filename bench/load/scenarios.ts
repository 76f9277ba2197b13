/** The questions of the rig, as data. `row` is the row of the speed table that a scenario answers. */
import { type Ask, RULED } from "./answers.js";

export type ScenarioKind = "rate" | "latency" | "paced" | "memory" | "translated" | "large-bodies";

export interface Bar {
  readonly must: number;
  readonly aim: number;
  /** Is a larger figure the better one? */
  readonly larger: boolean;
}

/** One way of asking. A scenario with several measures them one after another in each repetition. */
export interface Variant {
  /** "" where a scenario has only one. */
  readonly name: string;
  readonly ask: Ask;
  /** What a second loader asks of the same target meanwhile. */
  readonly beside: { readonly ask: Ask; readonly connections: number } | null;
}

export interface Scenario {
  readonly name: string;
  readonly row: number;
  readonly question: string;
  readonly kind: ScenarioKind;
  /** 0: the scenario has its own steps. */
  readonly connections: number;
  readonly variants: readonly Variant[];
  readonly bar: Bar;
}

const CHAT: Ask = { surface: "chat", model: "whole", padBytes: 0, turns: 1 };
const MESSAGES: Ask = { ...CHAT, surface: "messages" };
const LARGE: Ask = { ...MESSAGES, padBytes: 1_000_000, turns: 201 };

function only(ask: Ask): readonly Variant[] {
  return [variant("", ask)];
}

function variant(name: string, ask: Ask): Variant {
  return { name, ask, beside: null };
}

/** The names that judging goes by. */
export const SAME_DIALECT = "same dialect";
export const TRANSLATED = "translated";
export const WITHOUT_LARGE = "small alone";
export const WITH_LARGE = "small beside 1 MB";

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "chat-whole",
    row: 1,
    question: "same-dialect chat, governed, c=32: rate / nginx's",
    kind: "rate",
    connections: 32,
    variants: only(CHAT),
    bar: { must: 0.3, aim: 0.45, larger: true },
  },
  {
    name: "chat-ruled",
    row: 1,
    question: "the same with two limits, a budget, a keyword guardrail and a cache policy on: rate / nginx's",
    kind: "rate",
    connections: 32,
    variants: only({ ...CHAT, model: `${RULED}whole` }),
    bar: { must: 0.3, aim: 0.45, larger: true },
  },
  {
    name: "chat-burst-stream",
    row: 2,
    question: "same-dialect burst stream of 50 deltas, governed, c=32: rate / nginx's",
    kind: "rate",
    connections: 32,
    variants: only({ ...CHAT, model: "burst-50" }),
    bar: { must: 0.3, aim: 0.5, larger: true },
  },
  {
    name: "translated-chat",
    row: 3,
    question: "translated chat (Anthropic → OpenAI), governed, c=32: rate / same-dialect rate",
    kind: "translated",
    connections: 32,
    variants: [
      variant(SAME_DIALECT, CHAT),
      variant(TRANSLATED, MESSAGES),
      variant(`${SAME_DIALECT}, stream of 50`, { ...CHAT, model: "burst-50" }),
      variant(`${TRANSLATED}, stream of 50`, { ...MESSAGES, model: "burst-50" }),
    ],
    bar: { must: 0.5, aim: 0.7, larger: true },
  },
  {
    name: "chat-latency",
    row: 4,
    question: "added p50 at c=1 over direct / nginx's added p50",
    kind: "latency",
    connections: 1,
    variants: only(CHAT),
    bar: { must: 2.5, aim: 1.5, larger: false },
  },
  {
    name: "paced-streams",
    row: 5,
    question: "paced streams (64 deltas, 20 ms apart) at once, every event delivered, no gap > 200 ms",
    kind: "paced",
    connections: 0,
    variants: only({ ...CHAT, model: "paced-64-20" }),
    bar: { must: 1500, aim: 4000, larger: true },
  },
  {
    name: "large-bodies",
    row: 6,
    question: "small requests' p99 at c=16 while 1 MB bodies are translated at c=2 / without",
    kind: "large-bodies",
    connections: 16,
    variants: [variant(WITHOUT_LARGE, CHAT), { name: WITH_LARGE, ask: CHAT, beside: { ask: LARGE, connections: 2 } }],
    bar: { must: 2, aim: 1.3, larger: false },
  },
  {
    name: "memory",
    row: 7,
    question: "resident memory: idle MB; after a minute of 150 KB bodies at c=64 and a quiet minute / idle",
    kind: "memory",
    connections: 64,
    variants: only({ ...CHAT, padBytes: 150_000 }),
    bar: { must: 1.5, aim: 1.2, larger: false },
  },
];

/** Questions about the gateway alone: nothing else translates, and nothing else's memory is asked for. */
export const GATEWAY_ONLY: ReadonlySet<ScenarioKind> = new Set<ScenarioKind>(["memory", "translated", "large-bodies"]);

/** Second bar of the memory row. */
export const IDLE_MEGABYTES: Bar = { must: 150, aim: 100, larger: false };

/** Longest gap within a paced stream, ms. */
export const LONGEST_GAP_MS = 200;

/** Every model that a scenario asks for. */
export function modelsOf(scenario: Scenario): readonly string[] {
  const asks = scenario.variants.flatMap(({ ask, beside }) => (beside === null ? [ask] : [ask, beside.ask]));
  return [...new Set(asks.map((ask) => ask.model))];
}

/** Streams at once in the paced scenario, step by step. */
export function pacedSteps(quick: boolean): readonly number[] {
  return quick ? [500, 1500] : [500, 1000, 1500, 2000];
}
