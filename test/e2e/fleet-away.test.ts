/** All NATS servers of a fleet are away for a while: callers notice nothing, and usage catches up. */
import { expect, it } from "vitest";
import { natsAway } from "../../bench/fleet/nats-away.js";
import { CAN_RUN, expectPassed, REASON, rigOptions, TEST_MS } from "./fleet-rig.js";

it.skipIf(!CAN_RUN)(
  `without NATS no request fails and no event is lost or doubled${REASON}`,
  { timeout: TEST_MS },
  async () => {
    const outcome = await natsAway(rigOptions());
    expectPassed(outcome);
    expect(outcome.figures["backlog KiB"]).toBeGreaterThan(0);
  },
);
