/**
 * Requests that go to a provider key: files, jobs and follow-ups by id. Which key is said by the ids they name, else
 * by a header, else by a model, else there is only one that serves them.
 */
import type { ProviderKeyResource } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import { type DialectId, KEYED, type KeyedPlace, type Operation } from "../dialects/dialect.js";
import { editedPieces, LARGE_BODY_BYTES } from "../dialects/body-pieces.js";
import { keyedView } from "../dialects/keyed-request.js";
import { applyEdits } from "../dialects/json-splice.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { type Target, targetFor } from "../providers/target.js";
import { keyServesNot, type Serves } from "../routing/serves-not.js";
import { carryingFilter } from "./carry-ids.js";
import type { Exchange } from "./exchange.js";
import { concernsTurn } from "./kept-turns.js";
import type { Node } from "./node.js";
import { goTo, unnamedModel } from "./outgoing.js";
import { mayNotUse, planFor } from "./send-to.js";

/** null: the request knows its way. */
export function resolveByKey(exchange: Exchange, node: Node): Failure | null {
  if (concernsTurn(exchange)) {
    exchange.view = keyedView("");
    return null;
  }
  const { route, headers } = exchange;
  const place = route.dialect.readKeyed?.({
    operation: route.operation,
    method: exchange.method,
    routePath: route.path,
    id: exchange.pathParameter,
    query: exchange.query,
    body: exchange.body,
    contentType: headers.contentType,
  });
  if (place === undefined) return failure("internal_error");
  if (isFailure(place)) return place;
  exchange.view = place.view;
  const key = chooseKey(exchange, node, place);
  if (isFailure(key)) return key;
  const model = modelOf(exchange, key, place);
  if (isFailure(model)) return model;
  const target = targetOf(key, exchange);
  if (target === null) {
    const serves: Serves = (operation, dialect) => {
      const served = servedBy(key, operation, dialect);
      return served !== null && !(served.simulated && KEYED.has(operation));
    };
    return keyServesNot(key.name, route.operation, serves);
  }
  setOutgoing(exchange, target, place);
  goTo(exchange, target, model);
  return null;
}

function chooseKey(
  exchange: Exchange,
  node: Node,
  { carried, targetModel }: KeyedPlace,
): ProviderKeyResource | Failure {
  const { snapshot, headers } = exchange;
  if (carried !== null) {
    const message = "The provider key that this id belongs to is not there any more.";
    return snapshot.findProviderKey(carried.providerKey) ?? failure("invalid_request_error", message, "id");
  }
  const header = `${node.headerNames.prefix}provider`;
  if (headers.provider !== "") return findProvider(exchange, headers.provider, header);
  const named = headers.model || targetModel || "";
  if (named !== "") return keyOfModel(exchange, node, named);
  return onlyKey(exchange, header);
}

/** By a provider key's name, or by a provider that has exactly one. */
export function findProvider(
  { snapshot }: Exchange,
  name: string,
  param: string | null,
): ProviderKeyResource | Failure {
  const known = snapshot.findProviderKey(name);
  if (known !== undefined) return known;
  const keys = [...snapshot.providerKeys].filter(({ provider }) => provider === name);
  if (keys.length === 1) return keys[0] as ProviderKeyResource;
  const message =
    keys.length === 0
      ? `There is no provider key "${name}" and no provider of this name.`
      : `The provider "${name}" has several provider keys; name one of them.`;
  return failure("invalid_request_error", message, param);
}

function keyOfModel(exchange: Exchange, node: Node, name: string): ProviderKeyResource | Failure {
  const model = exchange.snapshot.findModel(name);
  if (model === undefined) return failure("model_not_found", `The model "${name}" does not exist.`, "model");
  if (exchange.key?.allows(name) !== true) {
    return failure("permission_denied", `This API key may not use the model "${name}".`, "model");
  }
  if (mayNotUse(exchange, model)) return failure("ip_restricted");
  const plan = planFor(exchange, node, model);
  if (isFailure(plan)) return plan;
  return plan.candidates[0]?.model.providerKey ?? failure("internal_error");
}

function onlyKey(exchange: Exchange, header: string): ProviderKeyResource | Failure {
  const serving = [...exchange.snapshot.providerKeys].filter((key) => targetOf(key, exchange) !== null);
  if (serving.length === 1) return serving[0] as ProviderKeyResource;
  const { operation } = exchange.route;
  if (serving.length === 0) {
    return failure("unsupported_operation", `No provider of this gateway serves "${operation}".`);
  }
  const message = `Several providers serve "${operation}": name a provider key in the header ${header}.`;
  return failure("invalid_request_error", message, header);
}

/** The model that the request is about: where it is known, the caller must be allowed to use it. */
function modelOf(exchange: Exchange, key: ProviderKeyResource, { view, carried }: KeyedPlace): ResolvedModel | Failure {
  if (carried !== null && carried.model !== "") {
    if (exchange.key?.allows(carried.model) !== true) return mayNotUseModel(carried.model);
    const known = exchange.snapshot.findModel(carried.model);
    return known?.direct?.providerKey.name === key.name ? known : unnamedModel(key, "");
  }
  return modelBehind(exchange, key, view.model);
}

/** A model under its provider's own name: allowed under that, or under the name that it is configured by. */
export function modelBehind(exchange: Exchange, key: ProviderKeyResource, name: string): ResolvedModel | Failure {
  if (name === "") return unnamedModel(key, "");
  const known = exchange.snapshot.modelBehind(key.name, name);
  const caller = exchange.key;
  if (caller !== null && !caller.allows(name) && !(known !== undefined && caller.allows(known.name))) {
    return mayNotUseModel(name);
  }
  if (known !== undefined && mayNotUse(exchange, known)) return failure("ip_restricted");
  return known ?? unnamedModel(key, name);
}

function mayNotUseModel(name: string): Failure {
  return failure("permission_denied", `This API key may not use the model "${name}".`, "model");
}

function targetOf(key: ProviderKeyResource, { route }: Exchange): Target | null {
  const target = servedBy(key, route.operation, route.dialect.id);
  // The simulator keeps nothing.
  return target === null || target.simulated ? null : target;
}

function servedBy(providerKey: ProviderKeyResource, operation: Operation, dialect: DialectId): Target | null {
  return targetFor({ providerKey, entry: providerKey }, operation, dialect);
}

function setOutgoing(exchange: Exchange, target: Target, place: KeyedPlace): void {
  const { body, headers, method } = exchange;
  const [base = "", ownQuery = ""] = target.path("", false).split("?");
  const query = [ownQuery, place.query].filter((part) => part !== "").join("&");
  const large = body.length > LARGE_BODY_BYTES && !target.signsBody;
  const verbatim = exchange.route.operation === "files" && place.path.endsWith("/content");
  exchange.outgoing = {
    // What answers GET answers HEAD; upstreams know GET.
    method: method === "head" ? "GET" : method.toUpperCase(),
    path: base + place.path + (query === "" ? "" : `?${query}`),
    forwarded: target.forwarded(headers.passed, headers.others),
    contentType: body.length === 0 ? "" : headers.contentType || "application/json",
    body: large ? editedPieces(body, place.edits) : applyEdits(body, place.edits),
    verbatim,
    // What is in a file is nobody's but the caller's.
    answerFilter: verbatim ? () => null : carryingFilter(exchange, target, place.carried),
  };
}
