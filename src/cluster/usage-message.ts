/** The event of a message of the usage stream, in either encoding. */
import type { UsageEvent } from "../usage/event.js";
import { parseEvent } from "../usage/reader.js";
import { unpack } from "./wire.js";

const OPENING_BRACE = 0x7b;

/** null: the message is no event of a version that we know. */
export function eventOfMessage(data: Uint8Array): UsageEvent | null {
  // No map in msgpack begins with a brace: nodes of one fleet may be set differently, and old events stay as they are.
  if (data[0] === OPENING_BRACE) return parseEvent(Buffer.from(data).toString("utf8"));
  const value = unpack(data);
  return value === undefined ? null : parseEvent(JSON.stringify(value));
}
