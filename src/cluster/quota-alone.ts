/** What a node may take of a limit while it cannot ask: `on_partition`. */
import type { OnPartition } from "../config/traffic.js";

/** A connection that is lost for less than this is most often back at once, and the others go on meanwhile. */
const GRACE_MS = 3_000;
/** Of a node's share, the part that it may take in that time. */
const GRACE_PART = 8;
/** Of the limit, what the others may have been granted just before without telling in time. */
const UNTOLD_PART = 100;

export interface BucketFacts {
  /** What nobody is known to hold. */
  readonly rest: number;
  /** What this node has taken alone of it. */
  readonly solo: number;
  readonly amount: number;
}

export interface FleetFacts {
  /** As last known, this node included. */
  readonly members: number;
  /** For how long nobody could be asked; 0: the owner of the bucket does not answer. */
  readonly lostForMs: number;
  /** Has this node ever been told who else there is? */
  readonly knowsFleet: boolean;
}

/** Units that the node may take now. */
export function allowanceAlone(mode: OnPartition, bucket: BucketFacts, fleet: FleetFacts): number {
  if (mode === "closed") return 0;
  if (mode === "open") return Number.POSITIVE_INFINITY;
  const { rest, solo, amount } = bucket;
  const { members, lostForMs, knowsFleet } = fleet;
  const isGrace = lostForMs < GRACE_MS && !(knowsFleet && members <= 1);
  // Nobody has had anything of it, but what this node took alone.
  const isFresh = rest + solo >= amount;
  const untold = isFresh || members <= 1 ? 0 : Math.ceil(amount / UNTOLD_PART);
  const share = Math.floor(Math.max(0, rest + solo - untold) / (members * (isGrace ? GRACE_PART : 1)));
  const least = isFresh && !isGrace && amount >= 1 ? 1 : 0;
  return Math.max(0, Math.max(share, least) - solo);
}
