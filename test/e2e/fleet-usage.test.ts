/** Nodes and NATS servers of a fleet are killed at random under full load: the stream holds what was used, once. */
import { expect, it } from "vitest";
import { usageKills } from "../../bench/fleet/usage-kills.js";
import { CAN_RUN, expectPassed, REASON, rigOptions, TEST_MS } from "./fleet-rig.js";

it.skipIf(!CAN_RUN)(
  `one event for each attempt of every answer that was received, with the upstream's tokens${REASON}`,
  { timeout: TEST_MS },
  async () => {
    const outcome = await usageKills(rigOptions());
    expectPassed(outcome);
    expect(outcome.figures.received).toBeGreaterThan(0);
  },
);
