/** Event stream frames as the vendor's own codec writes them. */
import { EventStreamCodec } from "@smithy/eventstream-codec";

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString("utf8"),
  (text) => Buffer.from(text, "utf8"),
);

type Headers = Parameters<EventStreamCodec["encode"]>[0]["headers"];

/** A frame with these headers, all of them text. */
export function frame(headers: Readonly<Record<string, string>>, payload: string): Buffer {
  const typed: Headers = {};
  for (const [name, value] of Object.entries(headers)) typed[name] = { type: "string", value };
  return Buffer.from(codec.encode({ headers: typed, body: Buffer.from(payload) }));
}

/** A frame with headers of any type. */
export function typedFrame(headers: Headers, payload: string): Buffer {
  return Buffer.from(codec.encode({ headers, body: Buffer.from(payload) }));
}

/** An ordinary event. */
export function eventFrame(event: string, payload: unknown): Buffer {
  const headers = { ":event-type": event, ":content-type": "application/json", ":message-type": "event" };
  return frame(headers, JSON.stringify(payload));
}

/** An exception of the service. */
export function exceptionFrame(type: string, payload: unknown): Buffer {
  const headers = { ":exception-type": type, ":content-type": "application/json", ":message-type": "exception" };
  return frame(headers, JSON.stringify(payload));
}
