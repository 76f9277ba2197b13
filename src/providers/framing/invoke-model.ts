/**
 * Streams of InvokeModel: every frame's payload is `{"bytes": base64}`, and the bytes are one JSON event of the
 * model's own wire. Here they become the SSE text that the model's vendor would have sent.
 */
import { DecodeError, type WireEvent } from "../../dialects/codec.js";
import { UNTYPED_ERROR } from "./event-stream.js";

/** What the vendor's own wire calls the failures that may come inside a stream. */
const ERROR_TYPES: ReadonlyMap<string, string> = new Map([
  ["throttlingException", "rate_limit_error"],
  ["serviceUnavailableException", "overloaded_error"],
  ["modelNotReadyException", "overloaded_error"],
  ["modelTimeoutException", "timeout_error"],
  ["validationException", "invalid_request_error"],
  ["accessDeniedException", "permission_error"],
  ["resourceNotFoundException", "not_found_error"],
]);

const TYPE_FIRST = '{"type":"';
/** Line breaks as JSON allows them between its tokens; in SSE they would end the data. */
const LINE_BREAK = /[\r\n]/;
const EVENT_NAME = /^[A-Za-z0-9_.]{1,64}$/;

/** SSE text of one frame; "" for frames that carry nothing. Throws DecodeError for a payload that is not an event. */
export function sseOfInvokeModel(event: WireEvent): string {
  if (event.event === UNTYPED_ERROR || event.event.endsWith("Exception")) return errorEvent(event);
  const payload = parse(event.data) as { bytes?: unknown } | null;
  const encoded = payload?.bytes;
  if (typeof encoded !== "string") return "";
  const json = Buffer.from(encoded, "base64").toString("utf8");
  return LINE_BREAK.test(json) ? frameOf(JSON.stringify(parse(json))) : frameOf(json);
}

function frameOf(json: string): string {
  return `event: ${typeOf(json)}\ndata: ${json}\n\n`;
}

/** The event's type; it stands first in what the vendor writes, so that nothing has to be parsed as a rule. */
function typeOf(json: string): string {
  const quick = json.startsWith(TYPE_FIRST) ? json.slice(TYPE_FIRST.length, json.indexOf('"', TYPE_FIRST.length)) : "";
  if (EVENT_NAME.test(quick)) return quick;
  const { type } = (parse(json) ?? {}) as { type?: unknown };
  if (typeof type !== "string" || !EVENT_NAME.test(type)) throw new DecodeError("A stream event has no type.");
  return type;
}

function errorEvent(event: WireEvent): string {
  const body = parse(event.data) as { message?: unknown; Message?: unknown } | null;
  const said = body?.message ?? body?.Message;
  const message = typeof said === "string" && said !== "" ? said : event.event;
  const type = ERROR_TYPES.get(event.event) ?? "api_error";
  return `event: error\ndata: ${JSON.stringify({ type: "error", error: { type, message } })}\n\n`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new DecodeError("A stream event is not JSON.");
  }
}
