/** One thread's routing: makes plans from the snapshot and from what the node's threads know together. */
import type { ModelResource, Resources } from "../config/resources.js";
import type { ResolvedDirect, ResolvedModel, Snapshot } from "../config/snapshot.js";
import { COUNTING, type DialectId, type Operation } from "../dialects/dialect.js";
import { type Failure, isFailure } from "../errors.js";
import type { RoutingState } from "./balance.js";
import { allocateCursorMemory, Cursors } from "./cursors.js";
import { buildGroup, candidateOf, type Group } from "./group.js";
import { allocateHealthMemory, type HealthMemory, HealthTable, type Standing } from "./health.js";
import { Plan, planAttempts, type RequestFacts, type RoutingHeaders } from "./plan.js";
import { type Serves, servesNot } from "./serves-not.js";
import type { HealthSlot, SlotMap } from "./slots.js";

/** What the threads of a node share for routing. */
export interface RoutingMemory {
  readonly health: HealthMemory;
  readonly cursors: SharedArrayBuffer;
}

/** Models of a node whose health is kept; of more, those that are nobody's target go without. */
const HEALTH_SLOTS = 16_384;

/** Zeroed memory for `rows` threads. */
export function allocateRoutingMemory(rows: number, slots = HEALTH_SLOTS): RoutingMemory {
  return { health: allocateHealthMemory(slots, rows), cursors: allocateCursorMemory() };
}

/** The operation that a plan is for, and the caller's dialect. */
export interface PlannedRoute {
  readonly operation: Operation;
  readonly dialect: DialectId;
}

type Ready = Group | Plan | Failure;

export class Router implements RoutingState {
  readonly health: HealthTable;
  readonly #cursors: Cursors;
  readonly #headers: RoutingHeaders;
  #priceOf: (model: ResolvedDirect) => number | null = entryPrice;
  /** By name, operation and dialect; gone with the snapshot that resolved the name. */
  #ready = new WeakMap<ResolvedModel, Map<Operation, Map<DialectId, Ready>>>();

  /** `headerPrefix`: of the gateway's own headers. */
  constructor(memory: RoutingMemory, row: number, headerPrefix: string) {
    this.health = new HealthTable(memory.health, row);
    this.#cursors = new Cursors(memory.cursors);
    this.#headers = { tags: `${headerPrefix}routing-tags`, key: `${headerPrefix}routing-key` };
  }

  /** From now on models cost this: US dollars for 1,000 input and 1,000 output tokens, null = not known. */
  usePrices(priceOf: (model: ResolvedDirect) => number | null): void {
    this.#priceOf = priceOf;
    this.#ready = new WeakMap();
  }

  /** New resources are in force: names mean these slots from now on. */
  adopt(slots: SlotMap): void {
    this.health.adopt(slots);
  }

  /**
   * The plan for one request: of one candidate where one provider serves the model, of several for a routing model.
   * A Failure: nobody serves the operation, or no target is left for this request.
   */
  plan(snapshot: Snapshot, model: ResolvedModel, route: PlannedRoute, request: RequestFacts): Plan | Failure {
    const ready = this.#readyFor(snapshot, model, route);
    if (ready instanceof Plan || isFailure(ready)) return ready;
    return planAttempts(ready, request, { headers: this.#headers, state: this, nowMs: Date.now() });
  }

  standing(slot: HealthSlot, nowMs: number): Standing {
    return this.health.standing(slot, nowMs);
  }

  latencyMs(slot: HealthSlot, nowMs: number): number {
    return this.health.latencyMs(slot, nowMs);
  }

  inFlight(slot: HealthSlot): number {
    return this.health.inFlight(slot);
  }

  nextTurn(hash: number): number {
    return this.#cursors.next(hash);
  }

  #readyFor(snapshot: Snapshot, model: ResolvedModel, route: PlannedRoute): Ready {
    let operations = this.#ready.get(model);
    if (operations === undefined) {
      operations = new Map();
      this.#ready.set(model, operations);
    }
    let dialects = operations.get(route.operation);
    if (dialects === undefined) {
      dialects = new Map();
      operations.set(route.operation, dialects);
    }
    let ready = dialects.get(route.dialect);
    if (ready === undefined) {
      ready = this.#prepare(snapshot, model, route);
      dialects.set(route.dialect, ready);
    }
    return ready;
  }

  #prepare(snapshot: Snapshot, model: ResolvedModel, { operation, dialect }: PlannedRoute): Ready {
    const parts = { snapshot, health: this.health, priceOf: this.#priceOf };
    const group = buildGroup(parts, model, operation, dialect);
    const serves: Serves = (other, spoken) => COUNTING.has(other) || hasTarget(snapshot, model, other, spoken);
    if (group?.members.length === 0) return servesNot({ name: model.name, operation, dialect }, serves);
    if (group !== null) return group;
    const candidate = candidateOf(snapshot, model.name, operation, dialect);
    if (candidate === null) return servesNot({ name: model.name, operation, dialect }, serves);
    const { name, target, entryName } = candidate;
    const slot = this.health.slotOf(name, entryName);
    return new Plan([{ name, model: candidate.model, target, slot }], null, null);
  }
}

/** Does the model, or one of those behind it, serve an operation in a caller's dialect? */
function hasTarget(snapshot: Snapshot, { name, entry }: ResolvedModel, operation: Operation, dialect: DialectId) {
  const names = entry.kind === "routing" ? entry.routing.targets.map(({ model }) => model) : [name];
  return names.some((each) => candidateOf(snapshot, each, operation, dialect) !== null);
}

/** What the model's entry says that 1,000 input and 1,000 output tokens cost; null = nothing. */
function entryPrice({ entry: { cost } }: ResolvedDirect): number | null {
  if (cost === null || (cost.inputPer1k === null && cost.outputPer1k === null)) return null;
  return (cost.inputPer1k ?? 0) + (cost.outputPer1k ?? 0);
}

/** Do these resources make routing read headers that mean nothing otherwise? */
export function routesByHeaders(resources: Resources): boolean {
  return resources.models.some(readsHeaders);
}

function readsHeaders(model: ModelResource): boolean {
  if (model.kind !== "routing") return false;
  const { strategy, targets, hashOn } = model.routing;
  if (targets.some(({ tags }) => tags.length > 0)) return true;
  if (strategy !== "consistent_hash") return false;
  return hashOn.length === 0 || hashOn.some(({ type }) => type === "header" || type === "cookie");
}
