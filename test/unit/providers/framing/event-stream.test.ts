import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError, type WireEvent } from "../../../../src/dialects/codec.js";
import { EventStreamDecoder, MAX_FRAME_BYTES } from "../../../../src/providers/framing/event-stream.js";
import { sseOfInvokeModel } from "../../../../src/providers/framing/invoke-model.js";
import { eventFrame, exceptionFrame, frame, typedFrame } from "./frames.js";

const EVENTS: readonly WireEvent[] = [
  { event: "messageStart", data: '{"role":"assistant"}' },
  { event: "contentBlockDelta", data: '{"delta":{"text":"größer 🙂"},"contentBlockIndex":0}' },
  { event: "empty", data: "{}" },
  { event: "messageStop", data: '{"stopReason":"end_turn"}' },
];
const BYTES = Buffer.concat(EVENTS.map(({ event, data }) => eventFrame(event, JSON.parse(data))));

function decode(chunks: readonly Buffer[]): WireEvent[] {
  const decoder = new EventStreamDecoder();
  const events = chunks.flatMap((chunk) => [...decoder.push(chunk)]);
  decoder.finish();
  return events;
}

describe("frames of an event stream", () => {
  it("are read whole", () => {
    expect(decode([BYTES])).toEqual(EVENTS);
  });

  it("are read when split at every byte", () => {
    for (let at = 0; at <= BYTES.length; at++) {
      expect(decode([BYTES.subarray(0, at), BYTES.subarray(at)])).toEqual(EVENTS);
    }
  });

  it("are read byte by byte, and in any pieces", () => {
    expect(decode([...BYTES].map((byte) => Buffer.from([byte])))).toEqual(EVENTS);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: BYTES.length }), { maxLength: 8 }), (cuts) => {
        const edges = [0, ...cuts.sort((left, right) => left - right), BYTES.length];
        const chunks = edges.slice(1).map((edge, at) => BYTES.subarray(edges[at], edge));
        expect(decode(chunks)).toEqual(EVENTS);
      }),
    );
  });

  it("give an event as soon as its last byte is there", () => {
    const decoder = new EventStreamDecoder();
    const one = eventFrame("ping", {});
    expect(decoder.push(one.subarray(0, one.length - 1))).toEqual([]);
    expect(decoder.push(one.subarray(one.length - 1))).toEqual([{ event: "ping", data: "{}" }]);
  });

  it("cost time linear in their size when they come in small pieces", () => {
    const large = eventFrame("large", { text: "x".repeat(4 * 1024 * 1024) });
    const decoder = new EventStreamDecoder();
    let events = 0;
    const began = performance.now();
    for (let at = 0; at < large.length; at += 16) events += decoder.push(large.subarray(at, at + 16)).length;
    expect(events).toBe(1);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it("may carry headers of every type", () => {
    const bytes = typedFrame(
      {
        yes: { type: "boolean", value: true },
        no: { type: "boolean", value: false },
        byte: { type: "byte", value: 1 },
        short: { type: "short", value: 2 },
        integer: { type: "integer", value: 3 },
        binary: { type: "binary", value: Buffer.from("bytes") },
        time: { type: "timestamp", value: new Date(0) },
        id: { type: "uuid", value: "00000000-0000-4000-8000-000000000000" },
        ":event-type": { type: "string", value: "chunk" },
      },
      "{}",
    );
    expect(decode([bytes])).toEqual([{ event: "chunk", data: "{}" }]);
  });

  it("are refused when a byte of them is damaged", () => {
    const good = eventFrame("chunk", { a: 1 });
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 0x01;
      expect(() => decode([bad]), `byte ${at}`).toThrow(DecodeError);
    }
  });

  it("are refused when too large, too small, or headers longer than the frame", () => {
    const prelude = (length: number, headers: number): Buffer => {
      const bytes = Buffer.alloc(16);
      bytes.writeUInt32BE(length, 0);
      bytes.writeUInt32BE(headers, 4);
      return bytes;
    };
    expect(() => new EventStreamDecoder().push(prelude(MAX_FRAME_BYTES + 1, 0))).toThrow(DecodeError);
    expect(() => new EventStreamDecoder().push(prelude(15, 0))).toThrow(DecodeError);
    expect(() => new EventStreamDecoder().push(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"))).toThrow(DecodeError);
  });

  it("must not end inside a frame", () => {
    const decoder = new EventStreamDecoder();
    decoder.push(BYTES.subarray(0, 20));
    expect(() => decoder.finish()).toThrow(DecodeError);
  });
});

describe("failures in an event stream", () => {
  it("are events named after their exception", () => {
    expect(decode([exceptionFrame("throttlingException", { message: "slow down" })])).toEqual([
      { event: "throttlingException", data: '{"message":"slow down"}' },
    ]);
  });

  it("without a type are events named error", () => {
    const bytes = frame({ ":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Oh" }, "");
    expect(decode([bytes])).toEqual([{ event: "error", data: '{"code":"InternalFailure","message":"Oh"}' }]);
    const odd = frame({ ":message-type": "exception", ":exception-type": "Odd" }, '{"message":"m"}');
    expect(decode([odd])).toEqual([{ event: "error", data: '{"code":"Odd","message":"m"}' }]);
  });
});

function chunk(json: string): WireEvent {
  return { event: "chunk", data: JSON.stringify({ bytes: Buffer.from(json).toString("base64"), p: "abcdef" }) };
}

describe("frames of InvokeModel", () => {
  it("become SSE events", () => {
    const json = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ü"}}';
    expect(sseOfInvokeModel(chunk(json))).toBe(`event: content_block_delta\ndata: ${json}\n\n`);
  });

  it("find the type wherever it stands", () => {
    const json = '{"index":0,"type":"content_block_stop"}';
    expect(sseOfInvokeModel(chunk(json))).toBe(`event: content_block_stop\ndata: ${json}\n\n`);
  });

  it("cannot bring in lines of their own", () => {
    expect(sseOfInvokeModel(chunk('{"type":"ping",\n"data":\r\n1}'))).toBe(
      'event: ping\ndata: {"type":"ping","data":1}\n\n',
    );
    expect(() => sseOfInvokeModel(chunk('{"type":"pi\\nng"}'))).toThrow(DecodeError);
    expect(() => sseOfInvokeModel(chunk("no json"))).toThrow(DecodeError);
  });

  it("say nothing when they carry nothing", () => {
    expect(sseOfInvokeModel({ event: "chunk", data: "{}" })).toBe("");
  });

  it("turn exceptions into error events", () => {
    const sse = sseOfInvokeModel({ event: "throttlingException", data: '{"message":"slow\\ndown"}' });
    expect(sse).toBe(
      'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow\\ndown"}}\n\n',
    );
    expect(sseOfInvokeModel({ event: "error", data: '{"code":"X","message":""}' })).toContain('"type":"api_error"');
  });
});
