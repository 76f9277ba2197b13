/** A limit is one for the whole fleet, while a node and a NATS server are killed and come back. */
import { it } from "vitest";
import { limitScenario } from "../../bench/fleet/limits.js";
import { quotaMessages } from "../../bench/fleet/quota-messages.js";
import { CAN_RUN, expectPassed, LONG, REASON, rigOptions, TEST_MS } from "./fleet-rig.js";

it.skipIf(!CAN_RUN)(
  `three times the limit is offered, and the limit is admitted${REASON}`,
  { timeout: TEST_MS },
  async () => {
    expectPassed(await limitScenario(LONG ? "rpm" : "rps", rigOptions()));
  },
);

it.skipIf(!CAN_RUN || !LONG)(`the same with tokens${REASON}`, { timeout: TEST_MS }, async () => {
  expectPassed(await limitScenario("tpm", rigOptions()));
});

it.skipIf(!CAN_RUN)(`more requests cost no more messages${REASON}`, { timeout: TEST_MS }, async () => {
  expectPassed(await quotaMessages(rigOptions()));
});
