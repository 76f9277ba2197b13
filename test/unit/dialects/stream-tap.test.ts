import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DialectId, FRAME } from "../../../src/dialects/dialect.js";
import { StreamTap } from "../../../src/dialects/stream-tap.js";
import { CHAT_FRAMES, MESSAGES_FRAMES, RESPONSE, responsesFrames, runTap, type TapOptions } from "./streams.js";

/** Puts a stream together; `ends` are used in turn for the line ends. A blank line never turns CR into CRLF. */
function streamOf(frames: readonly string[], ends: readonly string[]): Buffer {
  let text = "";
  let turn = 0;
  for (const line of frames.flatMap((frame) => [...frame.split("\n"), ""])) {
    const end = ends[turn++ % ends.length] as string;
    text += line === "" && text.endsWith("\r") && end === "\n" ? "\r" : line + end;
  }
  return Buffer.from(text);
}

function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const out: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    out.push(bytes.subarray(at, at + size));
    at += size;
  }
  return out;
}

const STREAMS: readonly (readonly [DialectId, readonly string[]])[] = [
  ["openai-chat", CHAT_FRAMES],
  ["openai-chat", [...CHAT_FRAMES.slice(0, 3), 'data: {"error":{"message":"no","type":"server_error"}}']],
  ["anthropic-messages", MESSAGES_FRAMES],
  ["openai-responses", responsesFrames("response.completed", RESPONSE)],
];
const ENDS = [["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"], ["\r", "\n"], ["\r\n", "\r"]];

describe("StreamTap", () => {
  for (const [dialect, frames] of STREAMS) {
    for (const ends of ENDS) {
      for (const usageAsked of [true, false]) {
        const name = `${dialect}, ${frames.length} frames, ${JSON.stringify(ends)}, usage asked: ${usageAsked}`;
        it(`does not depend on where the stream is cut: ${name}`, () => {
          const stream = streamOf(frames, ends);
          const options: TapOptions = { dialect, usageAsked };
          const whole = runTap([stream], options);
          expect(whole.tally.responseModel).toMatch(/^up-/);
          for (let at = 1; at < stream.length; at++) {
            expect(runTap([stream.subarray(0, at), stream.subarray(at)], options)).toEqual(whole);
          }
          expect(runTap(pieces(stream, [1]), options)).toEqual(whole);
          if (usageAsked) expect(whole.output).toBe(stream.toString("latin1"));
        });
      }
    }
  }

  it("does not depend on random cuts, bounds, line ends, blank lines and cut tails", () => {
    const frame = fc.constantFrom(
      ...CHAT_FRAMES,
      CHAT_FRAMES[5] as string,
      "",
      "data",
      ":",
      "\ufeffdata: x",
      "event: error",
    );
    const ends = fc.array(fc.constantFrom("\n", "\r", "\r\n"), { minLength: 1, maxLength: 4 });
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 });
    const bound = fc.constantFrom(1, 20, 150, 200, 260, 100_000);
    fc.assert(
      fc.property(
        fc.tuple(fc.array(frame, { maxLength: 12 }), ends, sizes, bound, fc.boolean(), fc.nat({ max: 5 })),
        ([frames, lineEnds, cut, maxEventBytes, usageAsked, tail]) => {
          const full = streamOf(frames, lineEnds);
          const stream = full.subarray(0, Math.max(0, full.length - tail));
          const options: TapOptions = { usageAsked, maxEventBytes };
          const whole = runTap(stream.length === 0 ? [] : [stream], options);
          expect(runTap(pieces(stream, cut), options)).toEqual(whole);
          expect(runTap(pieces(stream, [1]), options)).toEqual(whole);
          if (usageAsked) expect(whole.output).toBe(stream.toString("latin1"));
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("hides the usage chunk that only the gateway asked for, and nothing else", () => {
    const stream = streamOf(CHAT_FRAMES, ["\n"]);
    const { output, tally, terminal } = runTap([stream], { usageAsked: false });
    const shown = CHAT_FRAMES.filter((_, index) => index !== 5);
    expect(output).toBe(streamOf(shown, ["\n"]).toString("latin1"));
    expect(tally.outputTokens).toBe(34);
    expect(terminal).toBe(true);
  });

  it("forwards a batch of whole events as it is, without a copy", () => {
    const tap = new StreamTap({ interest: /never/g, observe: () => FRAME.PASS }, 1000);
    const batch = Buffer.from("data: a\n\ndata: b\n\n");
    expect(tap.push(batch)).toBe(batch);
    const half = Buffer.from("data: c\n\ndata: d");
    expect(tap.push(half)?.toString()).toBe("data: c\n\n");
    expect(tap.push(Buffer.from("d\n"))).toBeNull();
    expect(tap.push(Buffer.from("\n"))?.toString()).toBe("data: dd\n\n");
    expect(tap.end()).toBeNull();
  });

  it("holds back no event that ends with CR, and attaches the LF that comes late", () => {
    const tap = new StreamTap({ interest: /never/g, observe: () => FRAME.PASS }, 1000);
    expect(tap.push(Buffer.from("data: a\r\r"))?.toString()).toBe("data: a\r\r");
    expect(tap.push(Buffer.from("data: b\r\n\r"))?.toString()).toBe("data: b\r\n\r");
    expect(tap.push(Buffer.from("\n"))?.toString()).toBe("\n");
  });

  it("swallows the late LF of a hidden event", () => {
    const tap = new StreamTap({ interest: /x/g, observe: () => FRAME.HIDE }, 1000);
    expect(tap.push(Buffer.from("data: x\r\n\r"))).toBeNull();
    expect(tap.push(Buffer.from("\ndata: b\n\n"))?.toString()).toBe("data: b\n\n");
  });

  it("shows the observer the first event with data, then only those of interest", () => {
    const seen: string[] = [];
    const tap = new StreamTap(
      {
        interest: /HIT/,
        observe: (frame) => {
          seen.push(frame.toString());
          return FRAME.PASS;
        },
      },
      1000,
    );
    tap.push(Buffer.from(": c\n\ndata: 1\n\ndata: 2\n\ndata: HIT\n\ndata: 3\n\n"));
    expect(seen).toEqual(["data: 1\n\n", "data: HIT\n\n"]);
  });

  it("passes an event beyond the bound as it comes and never hides it", () => {
    const tap = new StreamTap({ interest: /x/g, observe: () => FRAME.HIDE }, 10);
    expect(tap.push(Buffer.from("data: xxx"))).toBeNull();
    expect(tap.oversize).toBe(false);
    expect(tap.push(Buffer.from("xxx"))?.toString()).toBe("data: xxxxxx");
    expect(tap.oversize).toBe(true);
    expect(tap.push(Buffer.from("xx\n"))?.toString()).toBe("xx\n");
    expect(tap.push(Buffer.from("\ndata: x\n\nda"))?.toString()).toBe("\n");
    expect(tap.end()?.toString()).toBe("da");
  });

  it("measures an event the same wherever it is cut, also between CR and LF", () => {
    const stream = Buffer.from(`${CHAT_FRAMES[5]}\r\n\r\n${CHAT_FRAMES[6]}\r\n\r\n`);
    const length = Buffer.byteLength(CHAT_FRAMES[5] as string);
    for (let maxEventBytes = length - 1; maxEventBytes <= length + 5; maxEventBytes++) {
      const options: TapOptions = { usageAsked: false, maxEventBytes };
      const whole = runTap([stream], options);
      expect(whole.oversize).toBe(maxEventBytes < length + 3);
      for (let at = 1; at < stream.length; at++) {
        expect(runTap([stream.subarray(0, at), stream.subarray(at)], options)).toEqual(whole);
      }
    }
  });

  it("observes and forwards a last event without its blank line", () => {
    const { output, terminal } = runTap([Buffer.from("data: {}\n\ndata: [DONE]")]);
    expect(output).toBe("data: {}\n\ndata: [DONE]");
    expect(terminal).toBe(true);
  });

  it("says terminal and failed before the bytes leave", () => {
    expect(runTap([Buffer.from("data: [DONE]\n\n")]).terminal).toBe(true);
    expect(runTap([Buffer.from("data:[DONE]\n\n")]).terminal).toBe(true);
    const failed = runTap([Buffer.from('data: {"id":1}\n\nevent: error\ndata: {"message":"x","type":"busy"}\n\n')]);
    expect(failed.failed).toBe(true);
    expect(failed.terminal).toBe(false);
    expect(failed.tally.streamError).toBe("busy");
  });
});
