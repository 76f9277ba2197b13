/** The questions of the rig, as data. `row` is the row of the speed table that a scenario answers. */
import type { Surface } from "./answers.js";

export type ScenarioKind = "rate" | "latency" | "paced" | "memory";

export interface Bar {
  readonly must: number;
  readonly aim: number;
  /** Is a larger figure the better one? */
  readonly larger: boolean;
}

export interface Scenario {
  readonly name: string;
  readonly row: number;
  readonly question: string;
  readonly kind: ScenarioKind;
  readonly surface: Surface;
  /** The upstream's script, see answers.ts. */
  readonly model: string;
  readonly connections: number;
  /** Extra bytes of prompt in each request. */
  readonly padBytes: number;
  readonly bar: Bar;
}

const plain = { surface: "chat", padBytes: 0 } as const;

export const SCENARIOS: readonly Scenario[] = [
  {
    ...plain,
    name: "chat-whole",
    row: 1,
    question: "same-dialect chat, governed, c=32: rate / nginx's",
    kind: "rate",
    model: "whole",
    connections: 32,
    bar: { must: 0.3, aim: 0.45, larger: true },
  },
  {
    ...plain,
    name: "chat-burst-stream",
    row: 2,
    question: "same-dialect burst stream of 50 deltas, governed, c=32: rate / nginx's",
    kind: "rate",
    model: "burst-50",
    connections: 32,
    bar: { must: 0.3, aim: 0.5, larger: true },
  },
  {
    ...plain,
    name: "chat-latency",
    row: 4,
    question: "added p50 at c=1 over direct / nginx's added p50",
    kind: "latency",
    model: "whole",
    connections: 1,
    bar: { must: 2.5, aim: 1.5, larger: false },
  },
  {
    ...plain,
    name: "paced-streams",
    row: 5,
    question: "paced streams (64 deltas, 20 ms apart) at once, every event delivered, no gap > 200 ms",
    kind: "paced",
    model: "paced-64-20",
    connections: 0,
    bar: { must: 1500, aim: 4000, larger: true },
  },
  {
    ...plain,
    name: "memory",
    row: 7,
    question: "resident memory: idle MB; after a minute of 150 KB bodies at c=64 and a quiet minute / idle",
    kind: "memory",
    model: "whole",
    connections: 64,
    padBytes: 150_000,
    bar: { must: 1.5, aim: 1.2, larger: false },
  },
];

/** Second bar of the memory row. */
export const IDLE_MEGABYTES: Bar = { must: 150, aim: 100, larger: false };

/** Longest gap within a paced stream, ms. */
export const LONGEST_GAP_MS = 200;

/** Rows of the speed table that need parts of the gateway which are not there yet. */
export const OPEN_ROWS: readonly { readonly row: number; readonly question: string }[] = [
  { row: 3, question: "translated chat (Anthropic → OpenAI): rate / same-dialect rate" },
  { row: 6, question: "small requests' p99 while 1 MB bodies are translated / without" },
];

/** Streams at once in the paced scenario, step by step. */
export function pacedSteps(quick: boolean): readonly number[] {
  return quick ? [500, 1500] : [500, 1000, 1500, 2000];
}
