/** Changes by the admin API, under load: every node takes every one of them, and no request sees half of one. */
import { expect, it } from "vitest";
import { configChanges } from "../../bench/fleet/config-changes.js";
import { CAN_RUN, expectPassed, REASON, rigOptions, TEST_MS } from "./fleet-rig.js";

it.skipIf(!CAN_RUN)(`no request sees half a change, and none fails${REASON}`, { timeout: TEST_MS }, async () => {
  const outcome = await configChanges(rigOptions());
  expectPassed(outcome);
  expect(outcome.figures.requests).toBeGreaterThan(0);
});
