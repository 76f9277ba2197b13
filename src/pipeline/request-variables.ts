/** The headers of a request to a target, with what an exchange knows filled in where they ask for it. */
import { ofContentType } from "../providers/target-headers.js";
import type { PlannedCandidate } from "../routing/plan.js";
import type { Exchange } from "./exchange.js";

/** `forwarded`: the caller's headers that go on, flat. */
export function headersFor(
  exchange: Exchange,
  candidate: PlannedCandidate,
  forwarded: readonly string[],
): readonly string[] {
  const headers = filledHeaders(exchange, candidate, forwarded);
  return exchange.view?.form === undefined ? headers : ofContentType(headers, exchange.headers.contentType);
}

/** The same without regard to the body. */
export function filledHeaders(
  exchange: Exchange,
  candidate: PlannedCandidate,
  forwarded: readonly string[],
): readonly string[] {
  const { target } = candidate;
  if (!target.templated) return target.headersWith(forwarded);
  const key = exchange.keyResource;
  return target.headersWith(forwarded, {
    "request.id": exchange.id,
    "request.model": exchange.view?.model ?? "",
    "request.operation": exchange.route.operation,
    "upstream.model": candidate.model.upstreamModel,
    "api_key.name": key?.name ?? "",
    "api_key.team_id": key?.teamId ?? "",
    "api_key.user_id": key?.userId ?? "",
  });
}
