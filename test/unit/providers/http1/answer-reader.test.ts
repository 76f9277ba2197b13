import { get } from "node:http";
import fc from "fast-check";
import { request as undiciRequest } from "undici";
import { describe, expect, it } from "vitest";
import { AnswerReader } from "../../../../src/providers/http1/answer-reader.js";
import { Rig } from "./raw-upstream.js";

interface Read {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
  readonly done: boolean;
  readonly excess: boolean;
  readonly keepsAlive: boolean;
}

interface Way {
  readonly bodiless?: boolean;
  /** The bytes lie in a buffer that is overwritten after each read. */
  readonly lent?: boolean;
  /** The upstream closes after them. */
  readonly closes?: boolean;
}

/** What lies behind a read's end is of an earlier one, and looks like anything. */
const STALE = Buffer.from("\r\n\r\nHTTP/1.1 500 Stale\r\n\r\n0\r\n\r\n");

function read(pieces: readonly Buffer[], { bodiless = false, lent = false, closes = false }: Way): Read {
  const reader = new AnswerReader();
  reader.begin(bodiless);
  const bodies: Buffer[] = [];
  const longest = Math.max(...pieces.map(({ length }) => length));
  const shared = Buffer.alloc(longest + STALE.length);
  for (const piece of pieces) {
    STALE.copy(shared, piece.copy(shared));
    reader.read(lent ? shared : piece, piece.length, lent);
    if (reader.body !== null) bodies.push(reader.body);
    shared.fill(0x2a);
  }
  if (closes) reader.close();
  const { head, done, excess } = reader;
  if (head === null) throw new Error("no head");
  const { status, headers, keepsAlive } = head;
  return { status, headers, body: Buffer.concat(bodies).toString("latin1"), done, excess, keepsAlive };
}

function inSizesOf(size: number, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

/** Every way of cutting in two, and pieces of every small size. */
function cuttings(bytes: Buffer): Buffer[][] {
  const inTwo = Array.from({ length: bytes.length - 1 }, (_, at) => [
    bytes.subarray(0, at + 1),
    bytes.subarray(at + 1),
  ]);
  return [...inTwo, ...Array.from({ length: 17 }, (_, less) => inSizesOf(less + 1, bytes))];
}

interface Sample extends Way {
  readonly name: string;
  readonly text: string;
  readonly body: string;
  readonly status?: number;
  readonly headers?: readonly string[];
  readonly keepsAlive?: boolean;
  /** Another reader of HTTP takes it differently, and why it may. */
  readonly unjudged?: string;
  /** undici cannot read it. */
  readonly onlyNode?: boolean;
}

const MANY = Array.from({ length: 60 }, (_, at) => `${(at % 7) + 1}\r\n${"x".repeat((at % 7) + 1)}\r\n`).join("");
const MANY_BODY = Array.from({ length: 60 }, (_, at) => "x".repeat((at % 7) + 1)).join("");

const SAMPLES: readonly Sample[] = [
  {
    name: "a length",
    text: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\nhello\r\n\r\nab",
    body: "hello\r\n\r\nab",
    headers: ["content-type", "application/json", "content-length", "11"],
  },
  { name: "a length of nothing", text: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", body: "" },
  {
    name: "chunks with extensions and trailers",
    text: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b;c="d;e"\r\nhello\r\n006 \r\n world\r\n0;last\r\nX-Sum: 1\r\ny: 2\r\n\r\n',
    body: "hello world",
    unjudged: "others refuse a blank after a chunk's size",
  },
  {
    name: "chunks with plain extensions and a trailer",
    text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n00006\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n",
    body: "hello world",
  },
  {
    name: "chunks in capitals and not",
    text: `HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\nb\r\n0123456789a\r\n1F\r\n${"y".repeat(31)}\r\n0\r\n\r\n`,
    body: `01234567890123456789a${"y".repeat(31)}`,
  },
  {
    name: "many small chunks",
    text: `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${MANY}0\r\n\r\n`,
    body: MANY_BODY,
  },
  { name: "no chunks", text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", body: "" },
  {
    name: "chunks that look like frames",
    text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n3\r\n\r\n0\r\n0\r\n\r\n",
    body: "\r\n0\r\n\r\n\r\n0",
  },
  {
    name: "an end by closing",
    text: "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    body: "until the end",
    closes: true,
    keepsAlive: false,
  },
  { name: "nothing until closing", text: "HTTP/1.1 200 OK\r\na: b\r\n\r\n", body: "", closes: true, keepsAlive: false },
  { name: "no content", text: "HTTP/1.1 204 No Content\r\n\r\n", body: "", status: 204 },
  {
    name: "nothing new",
    text: "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\netag: a\r\n\r\n",
    body: "",
    status: 304,
    onlyNode: true,
  },
  { name: "a head alone", text: "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", body: "", bodiless: true },
  {
    name: "a chunked head alone",
    text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    body: "",
    bodiless: true,
  },
  {
    name: "an announcement before",
    text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\nlink: b\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok",
    body: "ok",
    status: 201,
    headers: ["content-length", "2"],
    onlyNode: true,
  },
  { name: "HTTP/1.0", text: "HTTP/1.0 200 OK\r\n\r\nold", body: "old", closes: true, keepsAlive: false },
  {
    name: "HTTP/1.0 with a length",
    text: "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold",
    body: "old",
    keepsAlive: false,
  },
  {
    name: "HTTP/1.0 that keeps the connection",
    text: "HTTP/1.0 200 OK\r\nConnection: x, Keep-Alive\r\ncontent-length: 3\r\n\r\nold",
    body: "old",
  },
  {
    name: "HTTP/1.0 with an option of a similar name",
    text: "HTTP/1.0 200 OK\r\nconnection: no-keep-alive\r\ncontent-length: 3\r\n\r\nold",
    body: "old",
    keepsAlive: false,
  },
  {
    name: "a connection that closes",
    text: "HTTP/1.1 200 OK\r\nConnection: foo , Close\r\ncontent-length: 3\r\n\r\nnew",
    body: "new",
    keepsAlive: false,
  },
  {
    name: "an option that only sounds like closing",
    text: "HTTP/1.1 200 OK\r\nConnection: close-not\r\ncontent-length: 3\r\n\r\nnew",
    body: "new",
  },
  {
    name: "values of all kinds",
    text: "HTTP/1.1 299\r\nX-Latin: \xe9\xff\x80\r\nx-blank:\r\nx-blanks:  \t \r\nX-Ows:\t  a  b\t\t \r\n!#$%&'*+-.^_`|~09az: ok:ok\r\nset-cookie: a\r\nSet-Cookie: b\r\ncontent-length:1\r\n\r\nz",
    body: "z",
    status: 299,
    headers: [
      ...["x-latin", "\xe9\xff\x80", "x-blank", "", "x-blanks", "", "x-ows", "a  b"],
      ...["!#$%&'*+-.^_`|~09az", "ok:ok", "set-cookie", "a", "set-cookie", "b", "content-length", "1"],
    ],
  },
  { name: "a reason of blanks", text: "HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\nz", body: "z" },
  { name: "a reason beyond ASCII", text: "HTTP/1.1 200 d'\xe9t\xe9\r\ncontent-length: 1\r\n\r\nz", body: "z" },
];

describe.each(SAMPLES)("an answer with $name", ({ text, status = 200, headers, keepsAlive = true, ...sample }) => {
  const bytes = Buffer.from(text, "latin1");

  it("is read as what it says", () => {
    const whole = read([bytes], sample);
    expect(whole).toMatchObject({ status, body: sample.body, done: true, excess: false, keepsAlive });
    if (headers !== undefined) expect(whole.headers).toEqual(headers);
  });

  it("is the same however it is cut, also when its bytes are lent", () => {
    const whole = read([bytes], sample);
    for (const pieces of cuttings(bytes)) {
      for (const lent of [false, true]) expect(read(pieces, { ...sample, lent })).toEqual(whole);
    }
  });

  it("is not over before its end", () => {
    if (sample.closes === true) return;
    for (let end = 1; end < bytes.length; end += 1) {
      const reader = new AnswerReader();
      reader.begin(sample.bodiless ?? false);
      reader.read(bytes.subarray(0, end), end, false);
      expect(reader.done, `after ${end} bytes`).toBe(false);
      expect(reader.close(), `closed after ${end} bytes`).toBe(false);
    }
  });
});

describe("the judges", () => {
  const judged = SAMPLES.filter(({ unjudged }) => unjudged === undefined);

  it.each(judged)(
    "read $name as the reader does",
    async ({ text, bodiless = false, closes = false, onlyNode = false }) => {
      const rig = new Rig();
      const upstream = await rig.upstream((peer) => {
        peer.write(text);
        if (closes) peer.end();
      });
      const method = bodiless ? "HEAD" : "GET";
      const own = await rig.ask(upstream, { method, body: Buffer.alloc(0) });
      expect(own.failure).toBeNull();
      const ours = { status: own.status, headers: own.headers, body: own.text };
      expect(await byNode(upstream.origin, method)).toEqual(ours);
      if (!onlyNode) {
        const { statusCode, headers, body } = await undiciRequest(upstream.origin, { method, reset: true });
        const names = [...new Set(own.headers.filter((_, at) => at % 2 === 0))];
        expect(statusCode).toBe(ours.status);
        expect(Buffer.from(await body.arrayBuffer()).toString("latin1")).toBe(ours.body);
        expect(Object.keys(headers).sort()).toEqual(names.sort());
      }
      await rig.close();
    },
  );

  /** Names in lower case, as the contract says. */
  function byNode(origin: string, method: string): Promise<Omit<Read, "done" | "excess" | "keepsAlive">> {
    return new Promise((resolve, reject) => {
      const asked = get(origin, { method, agent: false }, (answer) => {
        const pieces: Buffer[] = [];
        answer.on("data", (piece: Buffer) => pieces.push(piece));
        answer.on("error", reject);
        answer.on("end", () => {
          const headers = answer.rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
          resolve({ status: answer.statusCode!, headers, body: Buffer.concat(pieces).toString("latin1") });
        });
      });
      asked.on("error", reject);
    });
  }
});

describe("a body", () => {
  it("is the same whatever its bytes are, and however it was chunked and cut", () => {
    const body = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 12 });
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        body,
        cuts,
        fc.constantFrom("chunked", "length", "close"),
        fc.boolean(),
        (parts, sizes, kind, lent) => {
          const whole = Buffer.concat(parts);
          const chunks = parts.flatMap((part) => [
            Buffer.from(`${part.length.toString(16)}\r\n`),
            part,
            Buffer.from("\r\n"),
          ]);
          const head = {
            chunked: "transfer-encoding: chunked\r\n",
            length: `content-length: ${whole.length}\r\n`,
            close: "",
          };
          const start = Buffer.from(`HTTP/1.1 200 OK\r\n${head[kind]}\r\n`);
          const content = kind === "chunked" ? Buffer.concat([...chunks, Buffer.from("0\r\n\r\n")]) : whole;
          const told = read(cutBy(sizes, Buffer.concat([start, content])), { lent, closes: kind === "close" });
          expect(told.body).toBe(whole.toString("latin1"));
          expect(told).toMatchObject({ done: true, excess: false });
        },
      ),
      { numRuns: 400 },
    );
  });

  /** Pieces of these sizes in turn. */
  function cutBy(sizes: readonly number[], bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
      const size = sizes[turn % sizes.length]!;
      pieces.push(bytes.subarray(at, at + size));
      at += size;
    }
    return pieces;
  }

  it("of many chunks comes as one piece a read", () => {
    const reader = new AnswerReader();
    reader.begin(false);
    const bytes = Buffer.from(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${MANY}`);
    reader.read(bytes, bytes.length, true);
    expect(reader.body?.toString()).toBe(MANY_BODY);
  });

  it("of another answer is not mixed up with the last one's", () => {
    const reader = new AnswerReader();
    for (const { text, body, bodiless = false, closes = false } of [...SAMPLES, ...SAMPLES]) {
      if (closes) continue;
      reader.begin(bodiless);
      const bytes = Buffer.from(text, "latin1");
      const pieces: Buffer[] = [];
      for (const piece of inSizesOf(23, bytes)) {
        reader.read(piece, piece.length, false);
        if (reader.body !== null) pieces.push(reader.body);
      }
      expect({ done: reader.done, body: Buffer.concat(pieces).toString("latin1") }).toEqual({ done: true, body });
    }
  });
});
