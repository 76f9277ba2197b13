/** Stage 5: the request goes to its target; the answer comes back through an attempt's relay. */
import type { ModelResource } from "../config/resources.js";
import { type ListedModel, renderModelEntry, renderModelList } from "../dialects/model-list.js";
import { failure } from "../errors.js";
import { countHere, countsHere } from "./count-here.js";
import { answerHere } from "./answer-here.js";
import type { Exchange } from "./exchange.js";
import { answerTurn, concernsTurn } from "./kept-turns.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";
import { beginEnsemble } from "./ensemble-run.js";
import { beginSemantic } from "./semantic-run.js";
import { runPlan } from "./send-to.js";
import { beginSplit } from "./split-run.js";

export const dispatch: Stage = {
  name: "dispatch",
  needs: "body",
  failures: [
    "model_not_found",
    "permission_denied",
    "invalid_request_error",
    "ip_restricted",
    "rate_limit_exceeded",
    "all_candidates_unavailable",
    "unsupported_operation",
    "overloaded",
    "transport_error",
    "upstream_decode_error",
    "timeout",
    "internal_error",
  ],
  run(exchange: Exchange, node: Node): StageOutcome {
    if (exchange.route.operation === "models") return answerModels(exchange, node);
    if (concernsTurn(exchange)) return answerTurn(exchange, node);
    if (exchange.turn !== null) exchange.turn.body = exchange.body;
    const { plan } = exchange;
    if (plan !== null) return beginSplit(exchange, node, plan) ?? runPlan(exchange, node, plan);
    const entry = exchange.model?.entry;
    if (entry?.kind === "ensemble") return beginEnsemble(exchange, node, entry);
    if (entry?.kind === "semantic") return beginSemantic(exchange, node, entry);
    return countsHere(exchange.route.operation) ? countHere(exchange, node) : failure("internal_error");
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
  return answerHere(exchange, node, body);
}
