/** A request that goes on with another body than the one it came with. */
import type { JsonObject } from "../dialects/semantic.js";
import { type Failure, isFailure } from "../errors.js";
import type { Exchange } from "./exchange.js";

/** The body is written and read anew; the model that the caller named stays. A Failure changes nothing. */
export function takeNewBody(exchange: Exchange, body: JsonObject): Failure | null {
  const { dialect, operation } = exchange.route;
  const bytes = Buffer.from(JSON.stringify(body));
  const view = dialect.readRequest(bytes, operation, exchange.view?.model ?? null);
  if (isFailure(view)) return view;
  exchange.body = bytes;
  exchange.view = view;
  return null;
}
