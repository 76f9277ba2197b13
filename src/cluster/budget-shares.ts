/** Into how many parts what is left of a budget is divided, one of which is this node's. */
import type { OnPartition } from "../config/traffic.js";
import { firstShares, SUPPOSED_NODES } from "../quota/money-share.js";
import type { MoneyShares } from "../quota/table.js";

/** Nodes that are there have been heard of then. */
const MEET_MS = 1_000;
/** A connection that is lost for less than this is most often back at once. */
const GRACE_MS = 3_000;

/** Times are milliseconds. */
export interface FleetState {
  /** As last known, this node included. */
  readonly members: number;
  /** Since the bucket was first read; -1 = it is not being followed. */
  readonly openForMs: number;
  /** Since this node began. */
  readonly startedForMs: number;
  /** When the bucket was lost, since the epoch; 0 = it was never read, or is being followed. */
  readonly lostAt: number;
  /** Since the epoch. */
  readonly now: number;
}

/** What `on_partition` says of money. */
export function moneyShares(mode: OnPartition, state: FleetState): MoneyShares {
  const { members, openForMs, startedForMs, lostAt, now } = state;
  if (openForMs >= 0)
    return { shares: openForMs < MEET_MS ? Math.max(members, SUPPOSED_NODES) : members, closedSince: 0 };
  if (lostAt === 0 && (mode === "closed" || startedForMs < GRACE_MS)) return firstShares(mode);
  if (mode === "open" && (lostAt === 0 || now - lostAt >= GRACE_MS)) return { shares: 1, closedSince: 0 };
  return { shares: members, closedSince: mode === "closed" ? lostAt : 0 };
}
