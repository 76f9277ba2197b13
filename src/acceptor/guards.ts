/** What an acceptor has for guardrails: plans by configuration, the pool, the services, the counters. */
import type { Snapshot } from "../config/snapshot.js";
import { ScreenPlans } from "../guardrails/plan.js";
import type { ScreenJob, ScreenResult } from "../guardrails/screen-job.js";
import type { Cell, Metrics } from "../observability/metrics.js";
import type { Guards } from "../pipeline/screening.js";
import type { Sender } from "../providers/send.js";
import { givenCredential } from "../providers/shared-credentials.js";

/** Screens large bodies away from the hot path; rejects when its queue is full. */
export interface Screener {
  screen(job: ScreenJob): Promise<ScreenResult>;
}

export function guardsOf(sender: Sender, screener: Screener, metrics: Metrics): Guards {
  // A configuration that nobody uses any more takes its compiled rules with it.
  const plans = new WeakMap<Snapshot, ScreenPlans>();
  const cells = new Map<string, Cell>();
  return {
    plansOf(snapshot) {
      let known = plans.get(snapshot);
      if (known === undefined) {
        known = new ScreenPlans(snapshot.traffic, snapshot.revision, {
          post: (call) => sender.post(call),
          credential(name) {
            const key = snapshot.findProviderKey(name);
            return key === undefined ? undefined : givenCredential(key);
          },
        });
        plans.set(snapshot, known);
      }
      return known;
    },
    screen: (job) => screener.screen(job),
    actions(guardrail, action) {
      const name = `${action} ${guardrail}`;
      const cell = cells.get(name) ?? metrics.cell("weir_guardrail_actions_total", guardrail, action);
      cells.set(name, cell);
      return cell;
    },
  };
}
