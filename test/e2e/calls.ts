/** What the scenarios share: a plain HTTP call with nothing added to it, and looks at what was recorded. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import type { UsageEvent } from "../../src/usage/event.js";
import type { FakeUpstream } from "../fake-upstream/fake-upstream.js";
import type { RecordedRequest } from "../fake-upstream/ledger.js";
import { KEY, type RunningGateway } from "./gateway.js";

export interface Call {
  readonly method?: string;
  /** A string or bytes are sent as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: OutgoingHttpHeaders;
  /** Does not announce the body's length. */
  readonly chunked?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; fails the test when it is none. */
  json(): Record<string, never>;
}

export const BEARER = Object.freeze({ authorization: `Bearer ${KEY}` });

/** Sends exactly the headers given, plus content-type and length; follows nothing, retries nothing. */
export function call(url: string, { method, body, headers = BEARER, chunked = false }: Call = {}): Promise<Answer> {
  const bytes = body === undefined ? null : bytesOf(body);
  return new Promise((resolve, reject) => {
    const length = chunked ? { "transfer-encoding": "chunked" } : { "content-length": bytes?.length ?? 0 };
    const framing = bytes === null ? {} : { "content-type": "application/json", ...length };
    const outgoing = request(
      url,
      { method: method ?? (bytes === null ? "GET" : "POST"), headers: { ...framing, ...headers }, agent: false },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.once("error", reject);
        response.once("end", () => {
          const text = Buffer.concat(parts).toString("utf8");
          const { statusCode = 0, headers: received } = response;
          resolve({ status: statusCode, headers: received, text, json: () => JSON.parse(text) });
        });
      },
    );
    outgoing.once("error", reject);
    outgoing.end(bytes ?? undefined);
  });
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}

/** All values that the upstream received under a name, in lower case, in their order. */
export function received(record: RecordedRequest, name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < record.rawHeaders.length; index += 2) {
    if (record.rawHeaders[index]?.toLowerCase() === name) values.push(record.rawHeaders[index + 1] ?? "");
  }
  return values;
}

/** The request that the upstream got last. */
export function lastRequest(upstream: FakeUpstream): RecordedRequest {
  const record = upstream.requests().at(-1);
  if (record === undefined) throw new Error("the upstream was not asked");
  return record;
}

/** Waits for the event of a request, by the id in its response header; fails when it has several. */
export async function eventOf(gateway: RunningGateway, requestId: string | null | undefined): Promise<UsageEvent> {
  if (!requestId) throw new Error("the answer carries no request id");
  const events = await gateway.until(async () => {
    const found = (await gateway.events()).filter((event) => event.request_id === requestId);
    return found.length > 0 ? found : null;
  });
  if (events.length !== 1) throw new Error(`${events.length} events for one request`);
  return events[0] as UsageEvent;
}
