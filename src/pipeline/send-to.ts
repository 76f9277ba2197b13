/** Sends a request on to a model that was chosen for it while it was under way. */
import type { ResolvedModel } from "../config/snapshot.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { Plan, PlannedCandidate } from "../routing/plan.js";
import { AttemptRun } from "./attempt-run.js";
import type { Exchange } from "./exchange.js";
import { launch } from "./launch.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";

/** Is the model kept from the caller's address? A call that the gateway makes for nobody has none. */
export function mayNotUse({ inner, parent, clientAddress }: Exchange, { allowedAddresses }: ResolvedModel): boolean {
  if (allowedAddresses === null || (inner && parent === null)) return false;
  return !allowedAddresses.contains(clientAddress);
}

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

/** `name`: of a model that has targets or is one. What its entry says of time and addresses holds from here on. */
export function sendTo(exchange: Exchange, node: Node, name: string): StageOutcome {
  const model = exchange.snapshot.findModel(name);
  if (model === undefined) return failure("model_not_found", `The model "${name}" does not exist.`);
  if (mayNotUse(exchange, model)) return failure("ip_restricted");
  const plan = planFor(exchange, node, model);
  if (isFailure(plan)) return plan;
  boundTime(exchange, model);
  exchange.plan = plan;
  exchange.limitsTargets = true;
  return runPlan(exchange, node, plan);
}

/** The time of a model that was chosen begins now; it never ends after the request's own. */
export function boundTime(exchange: Exchange, { entry }: ResolvedModel): void {
  const limit = entry.timeoutMs ?? 0;
  if (limit > 0) exchange.deadline = Math.min(exchange.deadline, performance.now() + limit);
}
