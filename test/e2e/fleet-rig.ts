/** The fleet rig's scenarios as tests: short ones, and with `WEIR_LONG=1` those that the bars ask for. */
import { expect } from "vitest";
import { HAPROXY_PROGRAM } from "../../bench/fleet/balancer.js";
import type { Outcome, RigOptions } from "../../bench/fleet/outcome.js";
import { NATS_PROGRAM, NATS_REASON } from "./nats.js";

export const LONG = process.env.WEIR_LONG === "1";
export const TEST_MS = LONG ? 1_800_000 : 120_000;

/** Only scenarios that end a node on purpose need the balancer: the others go to the nodes by turns without it. */
export const BALANCED = HAPROXY_PROGRAM !== null;
export const CAN_RUN = NATS_PROGRAM !== null;
export const REASON = NATS_REASON;
export const BALANCER_REASON = BALANCED ? "" : " (skipped: there is no haproxy; install Debian's package haproxy)";

export function rigOptions(more: Partial<RigOptions> = {}): RigOptions {
  return {
    short: !LONG,
    balanced: BALANCED,
    requests: LONG ? 100_000 : 5_000,
    windows: LONG ? 5 : 1,
    changes: LONG ? 200 : 40,
    // Beside whatever else this machine does, the bar's own 100 ms would be a matter of luck.
    propagationMs: 2_000,
    awayMs: LONG ? 60_000 : 5_000,
    // Told in every outcome, so that what failed can be repeated.
    seed: Date.now() % 100_000,
    say: LONG ? (line) => console.info(line) : () => {},
    ...more,
  };
}

export function expectPassed({ scenario, variant, problems, figures }: Outcome): void {
  if (LONG) console.info(scenario, variant, figures);
  expect(problems, `${scenario} ${variant} ${JSON.stringify(figures)}`).toEqual([]);
}
