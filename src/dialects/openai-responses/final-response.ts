/** The whole answer inside a stream: its last event repeats it. */
import { asObjects, asString } from "../json.js";
import { scanTopLevel } from "../json-scan.js";
import { keyTable } from "../json-text.js";
import { parseObject, scannedText, scannedValue } from "../json-values.js";
import type { JsonValue } from "../semantic.js";
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
    if (scan !== null && ENDS.has(scannedText(scan, TYPE))) final = scannedValue(scan, RESPONSE) ?? final;
    at = end;
  }
  return final;
}

/**
 * A stream that was told anew from a whole answer, with that answer's own ids and its own text in the last event: later
 * requests may name the ids.
 */
export function withOwnIds(stream: Buffer, answer: Buffer): Buffer {
  const told = finalResponse(stream);
  const items = itemIds(told);
  const own = itemIds(answer);
  if (told === null || items.length !== own.length) return stream;
  // The data of an event is one line; in JSON, line ends are only ever white space.
  const inOneLine = answer.toString("utf8").replace(/[\r\n]+/g, "");
  let text = stream.toString("utf8").replace(told.toString("utf8"), () => inOneLine);
  for (const [index, id] of items.entries()) {
    const ownId = own[index] as string;
    if (id !== "" && ownId !== "") text = text.replaceAll(JSON.stringify(id), () => JSON.stringify(ownId));
  }
  return Buffer.from(text);
}

/** The id of every item of an answer; "" = it has none. */
function itemIds(response: Buffer | null): string[] {
  const output = response === null ? undefined : parseObject(response)?.output;
  return asObjects(output as JsonValue).map((item) => asString(item.id));
}
