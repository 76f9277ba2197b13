/** The vendor's own client as judge: what it makes of our bodies, and what it reads from a stream. */
import { Readable } from "node:stream";
import {
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  type ConverseResponse,
  ConverseStreamCommand,
  type ConverseStreamOutput,
} from "@aws-sdk/client-bedrock-runtime";
import type { JsonObject, JsonValue } from "../../../../src/dialects/semantic.js";

interface SentRequest {
  readonly path: string;
  readonly body: string | Uint8Array;
}

type Handle = (request: SentRequest) => { contentType: string; body: Buffer };

function clientWith(handle: Handle): BedrockRuntimeClient {
  const requestHandler = {
    handle: async (request: SentRequest) => {
      const { contentType, body } = handle(request);
      return { response: { statusCode: 200, headers: { "content-type": contentType }, body: Readable.from([body]) } };
    },
  };
  return new BedrockRuntimeClient({
    region: "us-east-1",
    credentials: { accessKeyId: "AKID", secretAccessKey: "secret" },
    requestHandler: requestHandler as never,
  });
}

/** Members that hold bytes: base64 in JSON, arrays of bytes in the SDK. */
const BLOBS = new Set(["bytes", "redactedContent"]);

function withBlobs(value: JsonValue | undefined, name = ""): unknown {
  if (typeof value === "string") return BLOBS.has(name) ? new Uint8Array(Buffer.from(value, "base64")) : value;
  if (Array.isArray(value)) return value.map((item) => withBlobs(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withBlobs(member, key)]));
}

/** The body that the SDK would send for the same request; it leaves out every member it does not know. */
export async function sentBySdk(body: JsonObject): Promise<JsonObject> {
  let sent = "";
  const client = clientWith((request) => {
    sent = Buffer.from(request.body).toString("utf8");
    return { contentType: "application/json", body: Buffer.from('{"output":{},"usage":{},"metrics":{}}') };
  });
  await client.send(new ConverseCommand({ ...(withBlobs(body) as ConverseCommandInput), modelId: "m" }));
  return JSON.parse(sent) as JsonObject;
}

/** What the SDK reads from a whole answer. */
export async function readBySdk(answer: JsonObject): Promise<ConverseResponse> {
  const client = clientWith(() => ({ contentType: "application/json", body: Buffer.from(JSON.stringify(answer)) }));
  return client.send(new ConverseCommand({ modelId: "m", messages: [] }));
}

/** What the SDK reads from a stream. */
export async function streamBySdk(bytes: Buffer): Promise<ConverseStreamOutput[]> {
  const client = clientWith(() => ({ contentType: "application/vnd.amazon.eventstream", body: bytes }));
  const { stream } = await client.send(new ConverseStreamCommand({ modelId: "m", messages: [] }));
  const events: ConverseStreamOutput[] = [];
  for await (const event of stream ?? []) events.push(event);
  return events;
}
