import { createServer as createNodeServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AnswerError } from "../../../../src/providers/http1/answer-head.js";
import { AnswerReader } from "../../../../src/providers/http1/answer-reader.js";
import { answer, type Peer, Rig } from "./raw-upstream.js";
import { until } from "./recorded.js";

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

/** Whoever reads these may take them for something else than the next one does. */
const HEADS: Record<string, string> = {
  "two lengths": `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\nhi`,
  "the same length twice": `${OK}content-length: 2\r\ncontent-length: 2\r\n\r\nhi`,
  "a list of lengths": `${OK}content-length: 2, 2\r\n\r\nhi`,
  "a length and chunks": `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  "chunks and a length": `${OK}transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n`,
  "a negative length": `${OK}content-length: -1\r\n\r\n`,
  "a length with a sign": `${OK}content-length: +2\r\n\r\nhi`,
  "a hexadecimal length": `${OK}content-length: 0x2\r\n\r\nhi`,
  "an empty length": `${OK}content-length:\r\n\r\n`,
  "a length with a fraction": `${OK}content-length: 2.0\r\n\r\nhi`,
  "a length that no number holds": `${OK}content-length: 99999999999999999\r\n\r\nhi`,
  "another coding": `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "a coding of no kind": `${OK}transfer-encoding: identity\r\n\r\nhi`,
  "chunks twice": `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  "a bare CR in a value": `${OK}a: b\rc\r\n\r\n`,
  "a bare LF in a value": `${OK}a: b\nc: d\r\n\r\n`,
  "a NUL in a value": `${OK}a: b\0c\r\n\r\n`,
  "a CR before the line's end": `${OK}a: b\r\r\n\r\n`,
  "a control character in a value": `${OK}a: b\x1bc\r\n\r\n`,
  "a DEL in a value": `${OK}a: b\x7fc\r\n\r\n`,
  "a bare CR in a name": `${OK}a\rb: c\r\n\r\n`,
  "a NUL in a name": `${OK}a\0: c\r\n\r\n`,
  "a folded line": `${OK}a: b\r\n c\r\n\r\n`,
  "a line folded by a tab": `${OK}a: b\r\n\tc: d\r\n\r\n`,
  "a folded first line": `${OK} a: b\r\n\r\n`,
  "a blank before the colon": `${OK}content-length : 2\r\n\r\nhi`,
  "a tab before the colon": `${OK}a\t: 2\r\n\r\n`,
  "no name": `${OK}: b\r\n\r\n`,
  "no colon": `${OK}nonsense\r\na: b\r\n\r\n`,
  "a name beyond ASCII": `${OK}\xe4: b\r\n\r\n`,
  "a name in parentheses": `${OK}(a): b\r\n\r\n`,
  "another protocol": "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
  "HTTP/2": "HTTP/2 200\r\n\r\n",
  "HTTP/2.0": "HTTP/2.0 200 OK\r\n\r\n",
  "HTTP/1.2": "HTTP/1.2 200 OK\r\n\r\n",
  "HTTP/1.10": "HTTP/1.10 200 OK\r\n\r\n",
  "a status of two digits": "HTTP/1.1 20\r\n\r\n",
  "a status of four digits": "HTTP/1.1 2000\r\n\r\n",
  "a status as a power": "HTTP/1.1 2e2 OK\r\n\r\n",
  "a status with a sign": "HTTP/1.1 +20 OK\r\n\r\n",
  "a status with a point": "HTTP/1.1 20. OK\r\n\r\n",
  "a status after two blanks": "HTTP/1.1  200 OK\r\n\r\n",
  "a status below 100": "HTTP/1.1 099 OK\r\n\r\n",
  "a status without a blank after it": "HTTP/1.1 200OK\r\n\r\n",
  "no status": "HTTP/1.1 \r\n\r\n",
  "a tab for a blank": "HTTP/1.1\t200 OK\r\n\r\n",
  "a NUL in the reason": "HTTP/1.1 200 O\0K\r\n\r\n",
  "a bare LF in the reason": "HTTP/1.1 200 O\nK\r\n\r\n",
  "lower case": "http/1.1 200 OK\r\n\r\n",
  "a blank before": " HTTP/1.1 200 OK\r\n\r\n",
  "lines that end in LF": "HTTP/1.1 200 OK\ncontent-length: 2\n\nhi",
  "an end of LF alone": `${OK}content-length: 2\r\n\nhi`,
  "another protocol's greeting": "SSH-2.0-OpenSSH_9.2p1\r\n",
  "an alert of TLS": "\x15\x03\x01\x00\x02\x02\x16",
};

const BODIES: Record<string, string> = {
  "an empty size": `${CHUNKED}\r\nhi`,
  "a size of extensions only": `${CHUNKED};a\r\nhi`,
  "a negative size": `${CHUNKED}-1\r\nhi`,
  "a size with a sign": `${CHUNKED}+2\r\nhi`,
  "a size with 0x": `${CHUNKED}0x2\r\nhi`,
  "a size with a blank before": `${CHUNKED} 2\r\nhi`,
  "a size with a blank inside": `${CHUNKED}2 2\r\nhi`,
  "a size with an underscore": `${CHUNKED}1_0\r\nhi`,
  "a size that no number holds": `${CHUNKED}ffffffffffffffff\r\nhi`,
  "a size with LF alone": `${CHUNKED}2\nhi\r\n`,
  "a size with CR alone": `${CHUNKED}2\rhi\r\n`,
  "an extension with LF alone": `${CHUNKED}2;a\nhi\r\n`,
  "an extension with a bare CR": `${CHUNKED}2;a\rb\r\nhi\r\n`,
  "data longer than its size": `${CHUNKED}2\r\nhello\r\n`,
  "data shorter than its size": `${CHUNKED}5\r\nhi\r\n0\r\n\r\n`,
  "data that ends in LF alone": `${CHUNKED}2\r\nhi\n0\r\n\r\n`,
  "a trailer with LF alone": `${CHUNKED}0\r\na: b\n\r\n`,
  "an end of LF alone": `${CHUNKED}0\r\n\n`,
  "a trailer with a bare CR": `${CHUNKED}0\r\na: b\rc\r\n\r\n`,
};

const ENDLESS: Record<string, { readonly start: string; readonly more: string; readonly bytes: number }> = {
  "a head": { start: OK, more: "a: bcdefgh\r\n", bytes: 66_000 },
  "a head of one line": { start: `${OK}a: `, more: "bcdefgh", bytes: 66_000 },
  announcements: { start: "", more: "HTTP/1.1 100 Continue\r\n\r\n", bytes: 1_000 },
  "an extension": { start: `${CHUNKED}2;`, more: "abc", bytes: 5_000 },
  "blanks after a size": { start: `${CHUNKED}2`, more: "  ", bytes: 5_000 },
  "zeros of a size": { start: CHUNKED, more: "0", bytes: 100 },
  trailers: { start: `${CHUNKED}0\r\n`, more: "a: bcdefgh\r\n", bytes: 66_000 },
  "a trailer of one line": { start: `${CHUNKED}0\r\na: `, more: "bcdefgh", bytes: 66_000 },
};

/** Reads in pieces of this size. */
function refusal(bytes: Buffer, size: number): unknown {
  const reader = new AnswerReader();
  reader.begin(false);
  try {
    for (let at = 0; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      reader.read(piece, piece.length, false);
    }
  } catch (error) {
    return error;
  }
  return null;
}

describe.each([...Object.entries(HEADS), ...Object.entries(BODIES)])("%s", (_name, text) => {
  it("is refused, however it is cut", () => {
    const bytes = Buffer.from(text, "latin1");
    for (let size = 1; size <= bytes.length; size += 1) {
      expect(refusal(bytes, size), `in pieces of ${size}`).toBeInstanceOf(AnswerError);
    }
  });
});

describe.each(Object.entries(ENDLESS))("%s without an end", (_name, { start, more, bytes }) => {
  it("is refused, whole and byte by byte, in a time that grows with its length only", () => {
    const endless = Buffer.from(start + more.repeat(Math.ceil(bytes / more.length)));
    for (const size of [endless.length, 4_096, 1]) {
      const began = process.cpuUsage().user;
      expect(refusal(endless, size), `in pieces of ${size}`).toBeInstanceOf(AnswerError);
      expect((process.cpuUsage().user - began) / 1_000, `in pieces of ${size}`).toBeLessThan(500);
    }
  });
});

describe("a head of the greatest length", () => {
  const FITS = `${OK}a: ${"b".repeat(65_536 - OK.length - 3)}`;

  it.each([1, 3, 4_096, 65_539, 70_000])("is read in pieces of %i, and one longer is not", (size) => {
    expect(refusal(Buffer.from(`${FITS}\r\n\r\n`), size)).toBeNull();
    expect(refusal(Buffer.from(`${FITS}b\r\n\r\n`), size)).toBeInstanceOf(AnswerError);
  });
});

describe("Node's own reader", () => {
  // What it takes although it is refused here: none of it is needed by any upstream.
  const LENIENT = new Set([
    "a folded line",
    "a line folded by a tab",
    "a coding of no kind",
    "another coding",
    "chunks twice",
    "another protocol",
    "a status below 100",
    "HTTP/2.0",
    "a length that no number holds",
    "a NUL in the reason",
  ]);
  const judged = Object.entries(HEADS).filter(([name]) => !LENIENT.has(name));

  it.each(judged)("refuses %s, too", async (_name, text) => {
    const rig = new Rig();
    const upstream = await rig.upstream((peer) => peer.end(text));
    const refused = await new Promise<boolean>((resolve) => {
      get(upstream.origin, { agent: false }, (came) => {
        came.on("error", () => resolve(true));
        came.on("end", () => resolve(false));
        came.resume();
      }).on("error", () => resolve(true));
    });
    expect(refused).toBe(true);
    await rig.close();
  });
});

describe("an upstream that breaks the rules", () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(() => rig.close());

  const SOME = [...Object.entries(HEADS), ...Object.entries(BODIES)];

  it.each(SOME)("by %s is told of as undecodable, once, and its connection ends", async (_name, text) => {
    const upstream = await rig.upstream((peer) => peer.write(text));
    const told = await rig.ask(upstream);
    expect(told.failure?.kind).toBe("decode");
    expect(told.failure?.message).toMatch(/^[a-z -]{1,40}$/);
    await until(() => upstream.open === 0, "the connection has ended");
  });

  it.each(Object.entries(ENDLESS))("by %s without end is told of as undecodable", async (_name, { start, more }) => {
    const upstream = await rig.upstream((peer) => {
      peer.write(start);
      writeOn(peer, more.repeat(1_000));
    });
    const told = await rig.ask(upstream);
    expect(told.failure?.kind).toBe("decode");
    await until(() => upstream.open === 0, "the connection has ended");
  });

  function writeOn(peer: Peer, text: string): void {
    peer.socket.write(text, (error) => {
      if (error == null) writeOn(peer, text);
    });
  }

  it("hands bytes after the answer's end to nobody", async () => {
    const upstream = await rig.upstream((peer, { head }) => {
      peer.write(head.startsWith("GET /first") ? answer("first") + answer("smuggled") : answer("second"));
    });
    const first = await rig.ask(upstream, { method: "GET", path: "/first", body: Buffer.alloc(0) });
    const second = await rig.ask(upstream, { method: "GET", path: "/second", body: Buffer.alloc(0) });
    expect([first.text, second.text]).toEqual(["first", "second"]);
    expect(upstream.peers.length).toBe(2);
  });

  it.each(["204 No Content", "304 Not Modified"])("by a body of a %s", async (status) => {
    const upstream = await rig.upstream((peer) => {
      const first = upstream.peers.length === 1;
      peer.write(first ? `HTTP/1.1 ${status}\r\ncontent-length: 8\r\n\r\n${answer("smuggled")}` : answer("own"));
    });
    expect((await rig.ask(upstream)).text).toBe("");
    expect((await rig.ask(upstream)).text).toBe("own");
  });

  it("by an answer that nobody has asked for, at rest, loses its connection", async () => {
    const upstream = await rig.upstream((peer) => peer.write(answer("asked")));
    await rig.ask(upstream);
    upstream.peers[0]!.write(answer("unasked"));
    await until(() => upstream.open === 0, "the connection has ended");
    expect((await rig.ask(upstream)).text).toBe("asked");
    expect(upstream.peers.length).toBe(2);
  });
});

describe("a well-behaved server of Node's", () => {
  it("is understood with all it does by itself", async () => {
    const server = createNodeServer((request, response) => {
      if (request.url === "/chunks") {
        response.write("a");
        response.write("b");
        response.end("c");
      } else response.end(`${request.method} ${request.headers.host}`);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    const rig = new Rig();
    const to = { origin: `http://127.0.0.1:${port}` };
    expect((await rig.ask(to, { path: "/chunks" })).text).toBe("abc");
    expect((await rig.ask(to, { method: "PUT" })).text).toBe(`PUT 127.0.0.1:${port}`);
    expect((await rig.ask(to, { method: "HEAD", body: Buffer.alloc(0) })).text).toBe("");
    await rig.close();
    await new Promise((done) => server.close(done));
  });
});
