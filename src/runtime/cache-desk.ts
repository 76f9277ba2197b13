/** Where acceptors ask for answers that other nodes keep, and tell of new ones: on to whoever shares them. */
import type { CacheAsk, CacheKept } from "../cache/fleet.js";
import type { CacheShare } from "../cluster/cache-share.js";
import type { AcceptorMessage } from "./messages.js";

type Sharing = Pick<CacheShare, "ask" | "keep">;

export class CacheDesk {
  /** null: this node is alone, or has not got that far. */
  share: Sharing | null = null;

  /** `reply`: to the acceptor that the message comes from. */
  hear(message: CacheAsk | CacheKept, reply: (message: AcceptorMessage) => void): void {
    const { share } = this;
    if (message.kind === "cache-kept") {
      share?.keep(message);
      return;
    }
    const { ticket } = message;
    if (share === null) reply({ kind: "cache-told", ticket, found: false });
    else void share.ask(message).then((found) => reply({ kind: "cache-told", ticket, found }));
  }
}
