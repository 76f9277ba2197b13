/** Sends a request on to a model that was chosen for it while it was under way. */
import type { ResolvedModel } from "../config/snapshot.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { Plan, PlannedCandidate } from "../routing/plan.js";
import { AttemptRun } from "./attempt-run.js";
import type { Exchange } from "./exchange.js";
import { launch } from "./launch.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";

/** Where a request to this model may go, settled before anything is sent. */
export function planFor(exchange: Exchange, node: Node, model: ResolvedModel): Plan | Failure {
  const { route, snapshot, headers } = exchange;
  return node.router.plan(
    snapshot,
    model,
    { operation: route.operation, dialect: route.dialect.id },
    {
      clientAddress: exchange.clientAddress,
      apiKey: exchange.keyResource?.name ?? "",
      passed: headers.passed,
      others: headers.others,
    },
  );
}

/** Runs a plan: one attempt where nothing else can follow, else one after the other. */
export function runPlan(exchange: Exchange, node: Node, plan: Plan): StageOutcome {
  const oneAttempt = plan.routing === null && !plan.retriesSet(0) && !exchange.limitsTargets;
  if (oneAttempt) return launch(exchange, node, plan.candidates[0] as PlannedCandidate);
  return new AttemptRun(exchange, node, plan).begin();
}

/** `name`: of a model that has targets or is one. */
export function sendTo(exchange: Exchange, node: Node, name: string): StageOutcome {
  const model = exchange.snapshot.findModel(name);
  if (model === undefined) return failure("model_not_found", `The model "${name}" does not exist.`);
  const plan = planFor(exchange, node, model);
  if (isFailure(plan)) return plan;
  exchange.plan = plan;
  exchange.limitsTargets = true;
  return runPlan(exchange, node, plan);
}
