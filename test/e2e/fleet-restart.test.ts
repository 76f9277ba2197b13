/** A fleet of three behind a balancer is restarted, node by node, and no caller notices. */
import { expect, it } from "vitest";
import { rollingRestart } from "../../bench/fleet/rolling-restart.js";
import { BALANCED, BALANCER_REASON, CAN_RUN, expectPassed, REASON, rigOptions, TEST_MS } from "./fleet-rig.js";

it.skipIf(!CAN_RUN || !BALANCED)(
  `a rolling restart fails no request and cuts no stream${REASON}${BALANCER_REASON}`,
  { timeout: TEST_MS },
  async () => {
    const outcome = await rollingRestart(rigOptions());
    expectPassed(outcome);
    expect(outcome.figures["streams received"]).toBeGreaterThan(0);
  },
);
