/** What an exchange says of itself when its client has gone before the answer's end. */
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { releasePlaces } from "./settle-leases.js";

/** To be settled at once. */
export function noteLeft(exchange: Exchange): void {
  exchange.status = 499;
  exchange.error = "client_closed_request";
}

/** To be settled when the calls made for it are, whose tokens are the request's; its places are free at once. */
export function leaveEarly(exchange: Exchange, node: Node): void {
  releasePlaces(exchange, node);
  noteLeft(exchange);
}
