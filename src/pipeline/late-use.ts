/** What was used long before anybody tells of it: a batch says so when it has ended, to everyone who asks. */
import { createHash } from "node:crypto";
import type { ResolvedDirect } from "../config/snapshot.js";
import { readCarriedId } from "../dialects/carried-id.js";
import type { Attempt } from "./attempt.js";

export interface LateUse {
  /** The same on every node, so that what two of them tell is one event. */
  readonly eventId: string;
  /** What was used, for its price. */
  readonly model: ResolvedDirect;
  /** Of the usual price. */
  readonly share: number;
}

/** Vendors ask half the price for what they do in their own time. */
const BATCH_SHARE = 0.5;

/** null: the answer tells of nothing that was used before, or of something that has been counted. */
export function lateUse({ tally, target, exchange, node, candidate, head, concluded }: Attempt): LateUse | null {
  const { countsOnceAs, responseModel } = tally;
  if (countsOnceAs === "" || head === null || head.status >= 300 || concluded?.complete !== true) return null;
  const thing = `${target.providerKey}\0${readCarriedId(countsOnceAs)?.id ?? countsOnceAs}`;
  if (!node.countedOnce.first(thing)) return null;
  const known = exchange.snapshot.modelBehind(target.providerKey, responseModel)?.direct;
  return {
    eventId: idOf(thing),
    model: known ?? { ...candidate.model, upstreamModel: responseModel },
    share: BATCH_SHARE,
  };
}

/** In the layout of a UUID of version 8 (RFC 9562 section 5.8). */
function idOf(thing: string): string {
  const hex = createHash("sha256").update(thing).digest("hex");
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join("-");
}
