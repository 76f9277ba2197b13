/** The strategies: in which order the targets of one tier are tried. */
import type { Strategy } from "../config/traffic.js";
import type { Group, Member, Turns } from "./group.js";
import { combine } from "./hash.js";
import type { Standing } from "./health.js";
import type { HealthSlot } from "./slots.js";

/** What the threads of a node know together; a test may say what it likes. */
export interface RoutingState {
  standing(slot: HealthSlot, nowMs: number): Standing;
  /** Average time to the first byte; -1 = not known. */
  latencyMs(slot: HealthSlot, nowMs: number): number;
  inFlight(slot: HealthSlot): number;
  /** Number of the turn that comes next in what is named by the hash. */
  nextTurn(hash: number): number;
}

/** What an order may depend on, beside the targets. */
export interface OrderContext {
  readonly strategy: Strategy;
  readonly group: Pick<Group, "hash" | "turns">;
  /** For `consistent_hash`. */
  readonly hashKey: string;
  readonly state: RoutingState;
  readonly nowMs: number;
  /** Targets beyond so many will not be tried. */
  readonly count: number;
}

/** `members`: some of one tier, at least one, as configured. */
export function orderTier(members: readonly Member[], context: OrderContext): readonly Member[] {
  if (members.length === 1) return members;
  switch (context.strategy) {
    case "failover":
      return members;
    case "round_robin":
      return byTurns(members, context);
    case "consistent_hash":
      return byHash(members, context);
    case "least_cost":
      return sortedBy(members, (member) => member.cost ?? Number.POSITIVE_INFINITY);
    case "least_latency":
      return byLatency(members, context);
    case "least_busy":
      return sortedBy(members, (member) => (context.state.inFlight(member.slot) + 1) / member.weight);
  }
}

/** Lower first; equal ones stay as configured. */
function sortedBy(members: readonly Member[], rank: (member: Member) => number): readonly Member[] {
  const ranked = members.map((member) => ({ member, rank: rank(member) }));
  // Not their difference: of two infinite ones that is no number.
  ranked.sort((left, right) => (left.rank === right.rank ? 0 : left.rank < right.rank ? -1 : 1));
  return ranked.map(({ member }) => member);
}

/**
 * One that nobody has measured comes first, as long as nobody is at it: a single request measures it, while the
 * others go to what is known to be fast.
 */
function byLatency(members: readonly Member[], { state, nowMs }: OrderContext): readonly Member[] {
  return sortedBy(members, ({ slot }) => {
    const latency = state.latencyMs(slot, nowMs);
    if (latency >= 0) return latency;
    const busy = state.inFlight(slot);
    return busy === 0 ? -1 : MEASURED_BEFORE + busy;
  });
}

/** More than any latency, milliseconds. */
const MEASURED_BEFORE = 1e12;

function byHash(members: readonly Member[], { hashKey, count }: OrderContext): readonly Member[] {
  const { tier } = members[0] as Member;
  const at: (Member | undefined)[] = new Array(tier.targets.length).fill(undefined);
  for (const member of members) at[member.place] = member;
  const open = at.map((member) => member !== undefined);
  return tier
    .ring()
    .order(hashKey, open, count)
    .map((place) => at[place] as Member);
}

/** Periods are not longer; weights that would make one so are rounded to parts of it. */
const LONGEST_PERIOD = 100_000;
/** Combinations of targets that are remembered for a group. */
const REMEMBERED_TURNS = 64;

/**
 * Smooth weighted round robin. Those that are well take turns among themselves, so that the share of one that is not
 * falls to the others by their weights; each such combination has a cursor of its own.
 */
function byTurns(members: readonly Member[], { state, group }: OrderContext): readonly Member[] {
  const { tier } = members[0] as Member;
  let hash = combine(group.hash, tier.priority);
  for (const member of members) hash = combine(hash, member.hash);
  let turns = group.turns.get(hash);
  if (turns === undefined || !sameMembers(turns.members, members)) {
    turns = turnsOf(members);
    if (group.turns.size >= REMEMBERED_TURNS) group.turns.clear();
    group.turns.set(hash, turns);
  }
  const { sequence, orders } = turns;
  return orders[sequence[state.nextTurn(hash) % sequence.length] as number] as readonly Member[];
}

function sameMembers(left: readonly Member[], right: readonly Member[]): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false;
  return true;
}

function turnsOf(members: readonly Member[]): Turns {
  const byWeight = sortedBy(members, ({ weight }) => -weight);
  const orders = members.map((member) => [member, ...byWeight.filter((other) => other !== member)]);
  return { members, sequence: smoothSequence(members.map(({ weight }) => weight)), orders };
}

/**
 * Whose turn it is at each step of one period: each index as often as its weight says, spread as evenly as can be.
 * Weights of 0 have no turn; where there are no others, all are equal.
 */
export function smoothSequence(weights: readonly number[]): Uint16Array {
  const shares = reduced(weights.some((weight) => weight > 0) ? weights : weights.map(() => 1));
  const period = shares.reduce((sum, share) => sum + share, 0);
  const sequence = new Uint16Array(period);
  const current = shares.map(() => 0);
  for (let step = 0; step < period; step += 1) {
    let best = 0;
    for (let index = 0; index < shares.length; index += 1) {
      current[index] = (current[index] as number) + (shares[index] as number);
      if ((current[index] as number) > (current[best] as number)) best = index;
    }
    current[best] = (current[best] as number) - period;
    sequence[step] = best;
  }
  return sequence;
}

/** The same proportions in the smallest whole numbers. */
function reduced(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const whole = weights.every(Number.isInteger);
  const divisor = whole ? weights.reduce(greatestCommonDivisor, 0) : 0;
  if (whole && total / divisor <= LONGEST_PERIOD) return weights.map((weight) => weight / divisor);
  const scale = LONGEST_PERIOD / total;
  return weights.map((weight) => (weight > 0 ? Math.max(1, Math.round(weight * scale)) : 0));
}

function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right);
}
