/**
 * Requests that pass as they are, to a provider key's host or to where a configured route leads. Everything of the
 * gateway's holds for them but the change of a byte: what they are is read on the side, as far as it can be.
 */
import { hash } from "node:crypto";
import type { Passage } from "../config/passthrough-index.js";
import type { ProviderKeyResource } from "../config/resources.js";
import { NO_REQUEST_OVERRIDES } from "../config/resources.js";
import { keyedView } from "../dialects/keyed-request.js";
import { type RawSpeech, rawSpeech } from "../dialects/raw/speech.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { rawHeaders } from "../providers/raw-headers.js";
import { foreignWay, isPlainPath, isPlainQuery, type RawWay, rawWay } from "../providers/raw-target.js";
import { findProvider, modelBehind } from "./by-key.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { goTo } from "./outgoing.js";

/** Names of query parameters in which clients send keys. */
const KEY_PARAMETERS: ReadonlySet<string> = new Set(["key", "api_key", "api-key", "access_token"]);

const PORT = /:[0-9]{1,5}$/;

interface Destination {
  readonly way: RawWay;
  readonly key: ProviderKeyResource;
  /** Below the way's root, with a slash in front, or "". */
  readonly path: string;
  readonly forwardsCredentials: boolean;
}

/** null: the request knows its way. */
export function resolveRaw(exchange: Exchange, node: Node): Failure | null {
  if (headerOf(exchange, "upgrade") !== "") {
    return failure(
      "unsupported_operation",
      "Connections that become something else (WebSocket) do not pass.",
      "upgrade",
    );
  }
  const to = exchange.passage === null ? toProvider(exchange) : toRoute(exchange, exchange.passage);
  if (isFailure(to)) return to;
  const speech = speechOf(exchange, to.way);
  if (isFailure(speech)) return speech;
  exchange.spoken = speech;
  exchange.view = speech?.view ?? keyedView(to.way.served?.model ?? "");
  const model = modelBehind(exchange, to.key, exchange.view.model);
  if (isFailure(model)) return model;
  setOutgoing(exchange, node, to);
  goTo(exchange, to.way.target, model);
  return null;
}

/** null: the request is not read. A key that may not use every model is not let through with what should be read and cannot. */
function speechOf({ body, headers, method, key }: Exchange, { served }: RawWay): RawSpeech | Failure | null {
  if (served === null || method !== "post") return null;
  const encoded = headers.contentEncoding !== "";
  const facts = { body, contentType: headers.contentType, model: served.model };
  const read = encoded
    ? failure("invalid_request_error", "Encoded request bodies are not accepted.", "content-encoding")
    : rawSpeech(served.operation, served.wire, facts);
  const mayUseAll = key === null || key.resource.allowedModels.includes("*");
  return isFailure(read) && mayUseAll ? null : read;
}

/** `/passthrough/PROVIDER/REST` */
function toProvider(exchange: Exchange): Destination | Failure {
  const { pathParameter } = exchange;
  const slash = pathParameter.indexOf("/");
  const name = unescaped(slash < 0 ? pathParameter : pathParameter.slice(0, slash));
  const path = slash < 0 ? "" : pathParameter.slice(slash);
  const key = name === null ? badPath() : findProvider(exchange, name, null);
  if (isFailure(key)) return key;
  if (!isPlainPath(path) || !isPlainQuery(exchange.query)) return badPath();
  const way = rawWay(key, path);
  if (way === null) return failure("unsupported_operation", `Nothing passes to the provider key "${key.name}".`);
  return { way, key, path, forwardsCredentials: false };
}

function toRoute(exchange: Exchange, { route }: Passage): Destination | Failure {
  const path = exchange.path.slice(route.pathPrefix.length);
  if (!isPlainPath(path) || !isPlainQuery(exchange.query)) return badPath();
  const below = route.targetUrl ?? `https://${headerOf(exchange, "host").replace(PORT, "")}`;
  if (!URL.canParse(below)) return failure("invalid_request_error", "The host is not a valid one.", "host");
  const key = route.providerKey === "" ? undefined : exchange.snapshot.findProviderKey(route.providerKey);
  const forwardsCredentials = route.credentialMode === "forward_client";
  if (key === undefined || forwardsCredentials) {
    const named = key ?? nameless(route.name);
    return { way: foreignWay(named, below), key: named, path, forwardsCredentials };
  }
  const way = rawWay(key, path, below);
  if (way === null) return failure("unsupported_operation", `Nothing passes to the provider key "${key.name}".`);
  return { way, key, path, forwardsCredentials };
}

function badPath(): Failure {
  return failure("invalid_request_error", "The path or its query cannot be passed on.", "path");
}

/** Stands for a provider key where a route has none; the same object for the same route, so that targets are kept. */
const namelessKeys = new Map<string, ProviderKeyResource>();
const MAX_NAMELESS = 1_024;

function nameless(route: string): ProviderKeyResource {
  let key = namelessKeys.get(route);
  if (key === undefined) {
    if (namelessKeys.size >= MAX_NAMELESS) namelessKeys.clear();
    const nothing = { adapter: null, apiBase: null, apiKey: "", credential: null, region: null, apiVersion: null };
    const rest = { tls: null, stripHeaders: [], defaultHeaders: {}, response: null, telemetryTags: {} };
    key = Object.freeze({ name: "", provider: "passthrough", ...nothing, ...rest, request: NO_REQUEST_OVERRIDES });
    namelessKeys.set(route, key);
  }
  return key;
}

function setOutgoing(exchange: Exchange, node: Node, to: Destination): void {
  const { body, headers, snapshot, passage } = exchange;
  const isGatewayKey = (value: string) => snapshot.findKey(hash("sha256", value, "hex")) !== undefined;
  const { root } = to.way;
  const forwarded = rawHeaders([headers.passed, headers.others], {
    ownPrefix: node.headerNames.prefix,
    forwardsCredentials: to.forwardsCredentials,
    keyHeader: passage?.route.authHeader ?? "",
    isGatewayKey,
  });
  const query = withoutKeys(exchange.query, isGatewayKey);
  exchange.outgoing = {
    method: exchange.method.toUpperCase(),
    path: (root + to.path || "/") + (query === "" ? "" : `?${query}`),
    forwarded,
    contentType: body.length === 0 ? "" : headers.contentType,
    body,
    verbatim: true,
    answerFilter: () => null,
  };
}

/** The query without the caller's key, where a client has put it there. */
function withoutKeys(query: string, isGatewayKey: (value: string) => boolean): string {
  if (query === "") return query;
  const parts = query.split("&").filter((part) => {
    const equals = part.indexOf("=");
    return (
      equals < 0 || !KEY_PARAMETERS.has(part.slice(0, equals)) || !isGatewayKey(unescaped(part.slice(equals + 1)) ?? "")
    );
  });
  return parts.join("&");
}

/** Value of a header; "" = none. */
function headerOf({ headers }: Exchange, name: string): string {
  const { others } = headers;
  for (let at = 0; at + 1 < others.length; at += 2) if (others[at] === name) return others[at + 1] as string;
  return "";
}

function unescaped(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
