/** Limits are those of the whole fleet, while nodes and NATS servers are killed and come back: `WEIR_LONG=1` shows it. */
import { describe, it } from "vitest";
import { limitScenario } from "../../bench/fleet/limits.js";
import { quotaMessages } from "../../bench/fleet/quota-messages.js";
import { CAN_RUN, expectPassed, LONG, REASON, rigOptions, TEST_MS } from "./fleet-rig.js";

describe.skipIf(!CAN_RUN || !LONG)(`limits of a fleet${REASON}`, () => {
  it.each(["rpm", "tpm"] as const)(
    "%s: three times the limit is offered, and the limit is admitted",
    async (kind) => {
      expectPassed(await limitScenario(kind, rigOptions()));
    },
    TEST_MS,
  );

  it(
    "more requests cost no more messages",
    async () => {
      expectPassed(await quotaMessages(rigOptions()));
    },
    TEST_MS,
  );
});
