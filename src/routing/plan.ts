/** Which targets an exchange tries, in which order, and how often each: settled before anything is sent. */
import type { HashSource, Routing } from "../config/traffic.js";
import { type Failure, failure } from "../errors.js";
import { type OrderContext, orderTier, type RoutingState } from "./balance.js";
import type { Candidate } from "./candidate.js";
import type { Group, Member } from "./group.js";
import { COOLING_DOWN, type Standing, WELL } from "./health.js";
import { DEFAULT_RETRIES } from "./retry.js";
import type { HealthSlot } from "./slots.js";
import { keepTagged, parseTags } from "./tags.js";

/** What a plan depends on of its request. */
export interface RequestFacts {
  readonly clientAddress: string;
  /** Name of the caller's key. */
  readonly apiKey: string;
  /** Headers as the acceptor keeps them: two lists in which lower-case names and values alternate. */
  readonly passed: readonly string[];
  readonly others: readonly string[];
}

/** Names of the headers with which callers steer routing. */
export interface RoutingHeaders {
  readonly tags: string;
  readonly key: string;
}

/** What a plan depends on beside the group and the request. */
export interface PlanContext {
  readonly headers: RoutingHeaders;
  readonly state: RoutingState;
  readonly nowMs: number;
}

/** A candidate with its place in the health table. */
export interface PlannedCandidate extends Candidate {
  readonly slot: HealthSlot;
}

/** Gives the candidates in their order. */
type Order = () => readonly PlannedCandidate[];

/** Ordered candidates, at least one. */
export class Plan {
  /** The group's rules; null where one provider serves the model. */
  readonly routing: Routing | null;
  readonly #groupRetries: number | null;
  readonly #possible: readonly PlannedCandidate[] | null;
  #candidates: readonly PlannedCandidate[] | Order;

  /** `possible`: all of which `candidates` are some in an order; null = those themselves. */
  constructor(
    candidates: readonly PlannedCandidate[] | Order,
    routing: Routing | null,
    groupRetries: number | null,
    possible: readonly PlannedCandidate[] | null = null,
  ) {
    this.#candidates = candidates;
    this.#possible = possible;
    this.routing = routing;
    this.#groupRetries = groupRetries;
  }

  /** Put into order when somebody asks: a request that is refused before, or answered from the cache, takes no turn. */
  get candidates(): readonly PlannedCandidate[] {
    if (typeof this.#candidates === "function") this.#candidates = this.#candidates();
    return this.#candidates;
  }

  /** All that the request may go to, in no order: to look at them takes no turn. */
  get possible(): readonly PlannedCandidate[] {
    return this.#possible ?? this.candidates;
  }

  /** The same with some of its candidates, at least one. */
  narrowedTo(candidates: readonly PlannedCandidate[]): Plan {
    return new Plan(candidates, this.routing, this.#groupRetries);
  }

  /**
   * Tries on this candidate beyond the first: its own, else the group's, else two on the last one and none before. A
   * model that is called by its own name is tried again only where somebody says so: its caller's client does that.
   */
  retriesOn(index: number): number {
    const usual = this.routing === null || index < this.candidates.length - 1 ? 0 : DEFAULT_RETRIES;
    return this.#retriesSaid(index) ?? usual;
  }

  /** Has somebody set the tries on this candidate? */
  retriesSet(index: number): boolean {
    return this.#retriesSaid(index) !== null;
  }

  #retriesSaid(index: number): number | null {
    return this.candidates[index]?.model.entry.retries ?? this.#groupRetries;
  }
}

/** When nobody is there to be asked, somebody may be in half a minute. */
const UNAVAILABLE_RETRY_SECONDS = 30;

/**
 * The targets for one request, or why there are none; the group has members. Touches nothing: turns of round robins
 * are taken when the plan is asked for its order.
 */
export function planAttempts(group: Group, request: RequestFacts, context: PlanContext): Plan | Failure {
  const { headers, state, nowMs } = context;
  const tagged = keepTagged(group.members, parseTags(headerOf(request, headers.tags)));
  if (tagged.length === 0) {
    const message = `No target of the model "${group.name}" for this operation has one of the tags.`;
    return failure("invalid_request_error", message, headers.tags);
  }
  const allowed = keepAllowed(tagged, request.clientAddress);
  if (allowed.length === 0) return failure("ip_restricted");
  const usable = keepUsable(allowed, group.routing.whenAllUnavailable, state, nowMs);
  if (usable.length === 0) {
    const message = `No target of the model "${group.name}" can take the request now.`;
    return failure("all_candidates_unavailable", message, null, UNAVAILABLE_RETRY_SECONDS);
  }
  return new Plan(() => ordered(group, usable, request, context), group.routing, group.retries, usable);
}

function keepAllowed(members: readonly Member[], address: string): readonly Member[] {
  if (members.every(({ allowedAddresses }) => allowedAddresses === null)) return members;
  return members.filter(({ allowedAddresses }) => allowedAddresses === null || allowedAddresses.contains(address));
}

/** Those that are well, else those that only cool down, else what the group says. */
function keepUsable(
  members: readonly Member[],
  whenNone: Routing["whenAllUnavailable"],
  state: RoutingState,
  nowMs: number,
): readonly Member[] {
  let best: Standing | null = null;
  let same = true;
  const standings = members.map(({ slot }) => {
    const standing = state.standing(slot, nowMs);
    if (best !== null && standing !== best) same = false;
    if (best === null || standing < best) best = standing;
    return standing;
  });
  if (best !== WELL && best !== COOLING_DOWN) return whenNone === "try_anyway" ? members : [];
  return same ? members : members.filter((_, index) => standings[index] === best);
}

/** Tier after tier, as far as there may be fallbacks. `members` stand in the order of their tiers. */
function ordered(
  group: Group,
  members: readonly Member[],
  request: RequestFacts,
  { headers, state, nowMs }: PlanContext,
): readonly Member[] {
  const { strategy, maxFallbacks, hashOn } = group.routing;
  const count = maxFallbacks === null ? members.length : Math.min(members.length, maxFallbacks + 1);
  const hashKey = strategy === "consistent_hash" ? hashKeyOf(hashOn, request, headers.key) : "";
  const context: OrderContext = { strategy, group, hashKey, state, nowMs, count };
  const first = members[0] as Member;
  if ((members[members.length - 1] as Member).tier === first.tier) return cut(orderTier(members, context), count);
  const all: Member[] = [];
  for (let from = 0; from < members.length && all.length < count; ) {
    const { tier } = members[from] as Member;
    let to = from + 1;
    while (to < members.length && (members[to] as Member).tier === tier) to += 1;
    all.push(...orderTier(members.slice(from, to), context));
    from = to;
  }
  return cut(all, count);
}

function cut(members: readonly Member[], count: number): readonly Member[] {
  return members.length > count ? members.slice(0, count) : members;
}

/** The first source that says something; else the caller's key, which always does. */
function hashKeyOf(sources: readonly HashSource[], request: RequestFacts, keyHeader: string): string {
  if (sources.length === 0) return headerOf(request, keyHeader) || request.apiKey;
  for (const source of sources) {
    const value = saidBy(source, request);
    if (value !== "") return value;
  }
  return request.apiKey;
}

function saidBy({ type, name }: HashSource, request: RequestFacts): string {
  switch (type) {
    case "header":
      return headerOf(request, name);
    case "cookie":
      return cookieOf(headerOf(request, "cookie"), name);
    case "api_key":
      return request.apiKey;
    case "client_ip":
      return request.clientAddress;
  }
}

/** Value of a header, without spaces around it; "" = none. */
function headerOf({ passed, others }: RequestFacts, name: string): string {
  return (valueIn(others, name) ?? valueIn(passed, name) ?? "").trim();
}

function valueIn(flat: readonly string[], name: string): string | undefined {
  for (let index = 0; index < flat.length; index += 2) if (flat[index] === name) return flat[index + 1];
  return undefined;
}

/** Value of the first cookie of a name (RFC 6265 section 4.2); "" = none. */
function cookieOf(header: string, name: string): string {
  for (const pair of header.split(/[;,]/)) {
    const equals = pair.indexOf("=");
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return "";
}
