/** Stage 2: which model is meant, may this key use it, and who serves the operation in the caller's dialect? */
import { type Failure, failure, isFailure } from "../errors.js";
import type { ModelResource } from "../config/resources.js";
import { type DialectId, KEYED, type Operation } from "../dialects/dialect.js";
import { conversationOf } from "../dialects/conversation.js";
import { servesNot } from "../routing/serves-not.js";
import { mayNotUse, planFor } from "./send-to.js";
import { resolveByKey } from "./by-key.js";
import { resolveRaw } from "./raw-request.js";
import { restoreKept, staysWithKeepers } from "./kept.js";
import { continueTurn } from "./kept-turns.js";
import { countsHere } from "./count-here.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";

/** Half of a surrogate pair: JSON can spell it, but no header, path or UTF-8 body can carry it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

export const resolve: Stage = {
  name: "resolve",
  needs: "body",
  failures: [
    "invalid_request_error",
    "model_not_found",
    "permission_denied",
    "ip_restricted",
    "unsupported_operation",
    "all_candidates_unavailable",
    "request_too_large",
    "overloaded",
  ],
  run(exchange: Exchange, node: Node): StageOutcome {
    const { route } = exchange;
    // Listing models concerns no single model; the list itself is cut to what the key may use.
    if (route.operation === "models") return "next";
    if (exchange.headers.contentEncoding !== "" && route.operation !== "passthrough") {
      return failure("invalid_request_error", "Encoded request bodies are not accepted.", "content-encoding");
    }
    if (route.operation === "passthrough") return resolveRaw(exchange, node) ?? setDeadline(exchange, node) ?? "next";
    if (KEYED.has(route.operation)) return resolveByKey(exchange, node) ?? setDeadline(exchange, node) ?? "next";
    const unkept = continueTurn(exchange, node);
    if (unkept !== null) return unkept;
    const kept = restoreKept(exchange);
    const override = exchange.headers.model || exchange.pathParameter || null;
    const { contentType } = exchange.headers;
    const view = route.dialect.readRequest(exchange.body, route.operation, override, contentType);
    if (isFailure(view)) return view;
    if (LONE_SURROGATE.test(view.model)) {
      return failure("invalid_request_error", "The model's name is not Unicode text.", "model");
    }
    exchange.view = view;
    const outcome = findModel(exchange, view.model) ?? setDeadline(exchange, node) ?? findTarget(exchange, node);
    return outcome === "next" ? (staysWithKeepers(exchange, kept) ?? "next") : outcome;
  },
};

/** The same for a call that the gateway makes for itself: the caller's key is not asked whether it may use the model. */
export function resolveMember(exchange: Exchange, node: Node, name: string): Failure | null {
  const { route, body } = exchange;
  const view = route.dialect.readRequest(body, route.operation, name);
  if (isFailure(view)) return view;
  exchange.view = view;
  const model = exchange.snapshot.findModel(name);
  if (model === undefined) return failure("model_not_found", `The model "${name}" does not exist.`, "model");
  if (mayNotUse(exchange, model)) return failure("ip_restricted");
  exchange.model = model;
  setDeadline(exchange, node);
  const outcome = findTarget(exchange, node);
  return isFailure(outcome) ? outcome : null;
}

function findModel(exchange: Exchange, name: string): Failure | null {
  const model = exchange.snapshot.findModel(name);
  if (model === undefined) return failure("model_not_found", `The model "${name}" does not exist.`, "model");
  if (exchange.key?.allows(name) !== true) {
    return failure("permission_denied", `This API key may not use the model "${name}".`, "model");
  }
  if (mayNotUse(exchange, model)) return failure("ip_restricted");
  exchange.model = model;
  return null;
}

function setDeadline(exchange: Exchange, { config }: Node): null {
  const limit = exchange.passage?.route.timeoutMs || (exchange.model?.entry.timeoutMs ?? config.timeouts.request_ms);
  if (limit > 0) exchange.deadline = exchange.startedAt + limit;
  return null;
}

/** Kinds of models that choose whom to ask while the request is under way; they hold conversations only. */
const CHOOSING: ReadonlySet<ModelResource["kind"]> = new Set<ModelResource["kind"]>(["ensemble", "semantic"]);

function holdsConversation(operation: Operation, dialect: DialectId): boolean {
  return conversationOf(dialect) !== null && !countsHere(operation);
}

function findTarget(exchange: Exchange, node: Node): StageOutcome {
  const { route, model } = exchange;
  if (model === null) return failure("internal_error");
  if (CHOOSING.has(model.entry.kind)) {
    const asked = { name: model.name, operation: route.operation, dialect: route.dialect.id };
    return holdsConversation(asked.operation, asked.dialect) ? "next" : servesNot(asked, holdsConversation);
  }
  const plan = planFor(exchange, node, model);
  if (!isFailure(plan)) exchange.plan = plan;
  else if (plan.code !== "unsupported_operation" || !countsHere(route.operation)) return plan;
  return "next";
}
