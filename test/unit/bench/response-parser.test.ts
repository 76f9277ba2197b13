import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtocolError, ResponseParser } from "../../../bench/load/response-parser.js";

interface Answer {
  status: number;
  closes: boolean;
  body: string;
  ended: boolean;
}

function parse(pieces: readonly Buffer[]): Answer[] {
  const answers: Answer[] = [];
  const current = (): Answer => answers[answers.length - 1] as Answer;
  const parser = new ResponseParser({
    onHead: (status, _length, closes) => answers.push({ status, closes, body: "", ended: false }),
    onBody: (bytes, start, end) => {
      current().body += bytes.toString("latin1", start, end);
    },
    onEnd: () => {
      current().ended = true;
    },
  });
  // The loader reads every piece into one buffer with old bytes behind it; so does this test.
  const shared = Buffer.alloc(65_536, "\r\n\r\n0\r\n");
  for (const piece of pieces) {
    piece.copy(shared);
    parser.feed(shared, piece.length);
  }
  return answers;
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const edges = [0, ...[...new Set(at)].sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

const FIXED = Buffer.from("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
const CHUNKED = Buffer.from(
  "HTTP/1.1 429 Too Many\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n5;x=1\r\nhello\r\nB\r\n, wide\r\nwor\r\n2\r\nld\r\n0\r\nx-t: 1\r\n\r\n",
);

describe("ResponseParser", () => {
  it("reads both framings, cut at every byte", () => {
    for (let at = 0; at <= FIXED.length; at++) {
      expect(parse(cut(FIXED, [at]))).toEqual([{ status: 200, closes: false, body: "hello", ended: true }]);
    }
    for (let at = 0; at <= CHUNKED.length; at++) {
      const body = "hello, wide\r\nworld";
      expect(parse(cut(CHUNKED, [at]))).toEqual([{ status: 429, closes: true, body, ended: true }]);
    }
  });

  it("reads any body in any chunks and any cuts", () => {
    const property = fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.nat(3000), { maxLength: 12 }),
      (chunks, cuts) => {
        const framed = chunks.flatMap((chunk) => [
          Buffer.from(`${chunk.length.toString(16)}\r\n`),
          Buffer.from(chunk),
          Buffer.from("\r\n"),
        ]);
        const head = Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        const bytes = Buffer.concat([head, ...framed, Buffer.from("0\r\n\r\n")]);
        const inside = cuts.filter((at) => at < bytes.length);
        const body = Buffer.concat(chunks).toString("latin1");
        expect(parse(cut(bytes, inside))).toEqual([{ status: 200, closes: false, body, ended: true }]);
      },
    );
    fc.assert(property);
  });

  it("reads one answer after the other on a connection", () => {
    expect(parse([FIXED, CHUNKED, FIXED]).map((answer) => answer.status)).toEqual([200, 429, 200]);
  });

  it("takes an empty body as an answer", () => {
    expect(parse([Buffer.from("HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n")])[0]?.ended).toBe(true);
  });

  it.each([
    ["bytes after the answer", `${FIXED}x`],
    ["no length", "HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello"],
    ["not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ["a broken status", "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n"],
    ["a broken length", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"],
    ["a broken chunk size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
    ["a chunk without a size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n"],
    ["a chunk longer than it says", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n"],
  ])("refuses %s", (_name, text) => {
    expect(() => parse([Buffer.from(text)])).toThrow(ProtocolError);
  });
});
