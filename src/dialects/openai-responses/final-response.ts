/** The whole answer inside a stream: its last event repeats it. */
import { keyTable, scanTopLevel } from "../json-splice.js";
import { scannedText, scannedValue } from "../json-values.js";
import { LINE, nextEventEnd, sseDataBytes } from "../sse.js";

const KEYS = keyTable(["type", "response"]);
const [TYPE, RESPONSE] = [0, 1] as const;
const ENDS: ReadonlySet<string> = new Set(["response.completed", "response.incomplete"]);

/** null: the stream has no event that ends it well. */
export function finalResponse(stream: Buffer): Buffer | null {
  let final: Buffer | null = null;
  for (let at = 0; at < stream.length; ) {
    const end = nextEventEnd(stream, at, LINE.START);
    const data = sseDataBytes(stream.subarray(at, end));
    const scan = data.length === 0 ? null : scanTopLevel(data, KEYS);
    if (scan !== null && ENDS.has(scannedText(data, scan, TYPE))) final = scannedValue(data, scan, RESPONSE) ?? final;
    at = end;
  }
  return final;
}
