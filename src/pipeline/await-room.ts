/** An exchange that waits, for a moment, until the fleet has granted this node more of a limit. */
import type { Failure } from "../errors.js";
import { type Lease, WANTING, type Wanting } from "../quota/lease.js";
import { endFaulty } from "./end-faulty.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { Pending } from "./pending.js";
import type { StageOutcome } from "./pipeline.js";

/** What came of looking for room; null = nothing limits. */
export type Room = Lease | Failure | null;

/** Looks for room. `canWait` false: what is not here now is not there. */
export type LookForRoom = (canWait: boolean) => Room | Wanting;

/** May a request that is short of something wait for it? */
export function canWait({ waiting }: Node): boolean {
  return waiting !== null && !waiting.full;
}

/** Waits after `look` was wanting; goes on with what it finds in the end. A client that leaves is not waited for. */
export function awaitRoom(
  exchange: Exchange,
  node: Node,
  look: LookForRoom,
  goOn: (room: Room) => StageOutcome,
): StageOutcome {
  const { waiting } = node;
  if (waiting === null) throw new Error("wants what nobody grants");
  const lookAgain = (lastTry: boolean): boolean => {
    try {
      const found = look(!lastTry);
      if (found === WANTING) return false;
      pending.end(() => goOn(found));
    } catch (error) {
      endFaulty(exchange, node, error);
    }
    return true;
  };
  const stop = waiting.begin(lookAgain, exchange.deadline - performance.now());
  const pending = new Pending(exchange, node, stop);
  return "under-way";
}
