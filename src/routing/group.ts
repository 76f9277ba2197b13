/** A routing model made ready for planning: its targets as one operation in one dialect sees them. */
import type { AddressSet } from "../config/cidr.js";
import type { ResolvedDirect, ResolvedModel, Snapshot } from "../config/snapshot.js";
import type { Routing, RoutingTarget } from "../config/traffic.js";
import type { DialectId, Operation } from "../dialects/dialect.js";
import { targetFor } from "../providers/target.js";
import type { Candidate } from "./candidate.js";
import { hash32 } from "./hash.js";
import { HashRing } from "./hash-ring.js";
import type { HealthTable } from "./health.js";
import type { HealthSlot } from "./slots.js";

/** A target that serves the operation. */
export interface Member extends Candidate {
  readonly slot: HealthSlot;
  readonly allowedAddresses: AddressSet | null;
  readonly weight: number;
  readonly tags: readonly string[];
  /** US dollars for 1,000 input and 1,000 output tokens; null = not known. */
  readonly cost: number | null;
  /** Place among the configured targets of its tier. */
  readonly place: number;
  readonly tier: Tier;
  /** Of its name and place: part of the names of cursors. */
  readonly hash: number;
}

/** Targets of one priority. */
export interface Tier {
  readonly priority: number;
  readonly targets: readonly RoutingTarget[];
  /** Made when the first key asks. */
  ring(): HashRing;
}

/** A round robin over some members: whose turn it is at each step of its period. */
export interface Turns {
  readonly members: readonly Member[];
  /** Indexes into `members`. */
  readonly sequence: Uint16Array;
  /** For the one whose turn it is: itself, then the others, heavier first. */
  readonly orders: readonly (readonly Member[])[];
}

/** A name with targets behind it. */
export interface Group {
  /** For messages: the name that the caller used. */
  readonly name: string;
  readonly routing: Routing;
  /** The group's own retries; null = not said. */
  readonly retries: number | null;
  /** In the order of their tiers, within a tier as configured. */
  readonly members: readonly Member[];
  readonly hash: number;
  /** Orders of its round robins, by what takes turns. */
  readonly turns: Map<number, Turns>;
}

/** What a group is made from. */
export interface GroupParts {
  readonly snapshot: Snapshot;
  readonly health: HealthTable;
  /** US dollars for 1,000 input and 1,000 output tokens; null = not known. */
  priceOf(model: ResolvedDirect): number | null;
}

/** The rings are the model's, whatever the operation. */
const tiersOf = new WeakMap<Routing, readonly Tier[]>();

/** Builds the group of a name for one operation in one dialect; targets that do not serve it are left out. */
export function buildGroup(
  parts: GroupParts,
  model: ResolvedModel,
  operation: Operation,
  dialect: DialectId,
): Group | null {
  const { entry } = model;
  if (entry.kind !== "routing") return null;
  const members: Member[] = [];
  for (const tier of tiers(entry.routing)) {
    for (const [place, target] of tier.targets.entries()) {
      const candidate = candidateOf(parts.snapshot, target.model, operation, dialect);
      if (candidate !== null) members.push(memberOf(parts, candidate, tier, place));
    }
  }
  const { name } = model;
  const { routing } = entry;
  const retries = routing.retries ?? entry.retries;
  return { name, routing, retries, members, hash: hash32(entry.name), turns: new Map() };
}

/** Where a name leads that one provider serves; null when it does not serve this operation in this dialect. */
export function candidateOf(
  snapshot: Snapshot,
  name: string,
  operation: Operation,
  dialect: DialectId,
): (Candidate & { readonly allowedAddresses: AddressSet | null; readonly entryName: string }) | null {
  const found = snapshot.findModel(name);
  if (found === undefined || found.direct === null) return null;
  const target = targetFor(found.direct, operation, dialect);
  if (target === null) return null;
  return {
    name,
    model: found.direct,
    target,
    allowedAddresses: found.allowedAddresses,
    entryName: found.entry.name,
  };
}

function memberOf(
  { health, priceOf }: GroupParts,
  candidate: NonNullable<ReturnType<typeof candidateOf>>,
  tier: Tier,
  place: number,
): Member {
  const { name, model, target, allowedAddresses, entryName } = candidate;
  const { weight, tags } = tier.targets[place] as RoutingTarget;
  return {
    name,
    model,
    target,
    slot: health.slotOf(name, entryName),
    allowedAddresses,
    weight,
    tags,
    cost: priceOf(model),
    place,
    tier,
    hash: hash32(name, place),
  };
}

/** The targets by priority, higher first. */
function tiers(routing: Routing): readonly Tier[] {
  let found = tiersOf.get(routing);
  if (found === undefined) {
    const priorities = [...new Set(routing.targets.map(({ priority }) => priority))].sort((a, b) => b - a);
    found = priorities.map((priority) => tierOf(priority, routing.targets));
    tiersOf.set(routing, found);
  }
  return found;
}

function tierOf(priority: number, all: readonly RoutingTarget[]): Tier {
  const targets = all.filter((target) => target.priority === priority);
  let ring: HashRing | null = null;
  return {
    priority,
    targets,
    ring: () => {
      ring ??= new HashRing(targets.map(({ model, weight }) => ({ name: model, weight })));
      return ring;
    },
  };
}
