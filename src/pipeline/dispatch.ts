/** Stage 5: the request goes to its target; the answer comes back through an attempt's relay. */
import type { ModelResource } from "../config/resources.js";
import { type ListedModel, renderModelEntry, renderModelList } from "../dialects/model-list.js";
import { failure } from "../errors.js";
import { countHere, countsHere } from "./count-here.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";
import type { PlannedCandidate } from "../routing/plan.js";
import { AttemptRun } from "./attempt-run.js";
import { launch } from "./launch.js";

export const dispatch: Stage = {
  name: "dispatch",
  needs: "body",
  failures: [
    "model_not_found",
    "permission_denied",
    "invalid_request_error",
    "unsupported_operation",
    "overloaded",
    "transport_error",
    "upstream_decode_error",
    "timeout",
    "internal_error",
  ],
  run(exchange: Exchange, node: Node): StageOutcome {
    if (exchange.route.operation === "models") return answerModels(exchange, node);
    const { plan } = exchange;
    if (plan === null && countsHere(exchange.route.operation)) return countHere(exchange, node);
    if (plan === null) return failure("internal_error");
    if (plan.routing !== null || plan.retriesSet(0)) return new AttemptRun(exchange, node, plan).begin();
    return launch(exchange, node, plan.candidates[0] as PlannedCandidate);
  },
};

/** A name with several models behind it is owned by no provider. */
function listed(model: ModelResource): ListedModel {
  return { name: model.name, provider: model.kind === "direct" ? model.provider : model.kind };
}

/** What this key may use; answered from the snapshot, no upstream is asked. */
function answerModels(exchange: Exchange, node: Node): StageOutcome {
  const { route, snapshot, key, pathParameter, headers } = exchange;
  if (key === null) return failure("internal_error");
  const shape = { dialect: route.dialect.id, passedHeaders: headers.passed, loadedAt: node.loadedAt };
  let body: string;
  if (pathParameter === "") body = renderModelList(snapshot.modelsFor(key).map(listed), shape);
  else {
    const model = snapshot.findModel(pathParameter);
    if (model === undefined) {
      return failure("model_not_found", `The model "${pathParameter}" does not exist.`, "model");
    }
    if (!key.allows(pathParameter)) {
      return failure("permission_denied", `This API key may not use the model "${pathParameter}".`, "model");
    }
    body = renderModelEntry({ ...listed(model.entry), name: pathParameter }, shape);
  }
  exchange.status = 200;
  exchange.responseBytes = Buffer.byteLength(body);
  exchange.sink.answer(200, ["content-type", "application/json", node.headerNames.requestId, exchange.id], body);
  return "answered";
}
