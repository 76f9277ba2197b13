/** Stage 1: who is calling, and may this key use this operation? Needs the headers only. */
import { hash } from "node:crypto";
import type { CallerKey, Snapshot } from "../config/snapshot.js";
import type { Passage } from "../config/passthrough-index.js";
import type { Operation } from "../dialects/dialect.js";
import { type Failure, failure } from "../errors.js";
import type { Exchange } from "./exchange.js";
import type { Stage, StageOutcome } from "./pipeline.js";

/** Longer ones are no keys of ours: do not hash what a stranger makes long. */
const MAX_KEY_LENGTH = 512;

export const authenticate: Stage = {
  name: "authenticate",
  needs: "headers",
  failures: [
    "invalid_api_key",
    "api_key_expired",
    "api_key_disabled",
    "permission_denied",
    "ip_restricted",
    "invalid_request_error",
    "headers_too_large",
  ],
  run(exchange: Exchange): StageOutcome {
    if (exchange.headers.problem !== null) return exchange.headers.problem;
    const { passage } = exchange;
    if (passage !== null && passage.allowedAddresses?.contains(exchange.clientAddress) === false) {
      return failure("ip_restricted");
    }
    if (passage?.route.authMode === "anonymous") return "next";
    const presented = passage === null ? exchange.headers.presentedKeys : presentedTo(exchange, passage);
    const key = findCaller(exchange.snapshot, presented);
    if (key === undefined) return unknownKey(presented.length > 0);
    exchange.key = key;
    if (key.resource.disabled) return failure("api_key_disabled");
    if (key.expired(exchange.startedAtWall)) return failure("api_key_expired");
    if (!key.allowsOperation(exchange.route.operation)) {
      return failure("permission_denied", `This API key may not use "${exchange.route.operation}".`);
    }
    if (isAround(exchange, key)) {
      const message = `An API key that may not use every model needs "${exchange.route.operation}" in its allowed_routes.`;
      return failure("permission_denied", message);
    }
    return "next";
  },
};

/** Ways on which a model can be used that the gateway does not see: what may be used must be said of them. */
const UNSEEN: ReadonlySet<Operation> = new Set<Operation>(["passthrough", "files", "batches", "fine_tuning"]);

function isAround({ route }: Exchange, { resource }: CallerKey): boolean {
  return UNSEEN.has(route.operation) && resource.allowedRoutes === null && !resource.allowedModels.includes("*");
}

/** The keys in the header that a route names; "Bearer" in front of one is not part of it. */
function presentedTo({ headers }: Exchange, { route }: Passage): readonly string[] {
  if (route.authMode !== "header_key" || route.authHeader === "authorization") return headers.presentedKeys;
  const { others } = headers;
  for (let at = 0; at + 1 < others.length; at += 2) {
    if (others[at] === route.authHeader) return [(others[at + 1] as string).replace(/^bearer /i, "").trim()];
  }
  return [];
}

/**
 * Finds the key by its SHA-256: what is compared is a digest that the caller cannot steer, so the time a
 * look-up takes tells nothing about any stored key.
 */
function findCaller(snapshot: Snapshot, presented: readonly string[]): CallerKey | undefined {
  for (const plain of presented) {
    if (plain.length === 0 || plain.length > MAX_KEY_LENGTH) continue;
    const key = snapshot.findKey(hash("sha256", plain, "hex"));
    if (key !== undefined) return key;
  }
  return undefined;
}

function unknownKey(presented: boolean): Failure {
  const message = presented
    ? "The API key is unknown to this gateway."
    : "No API key was sent. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.";
  return failure("invalid_api_key", message);
}
