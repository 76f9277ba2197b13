import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HeadWriter, headEnd, RequestError, type RequestParts } from "../../../../src/providers/http1/request-head.js";
import type { UpstreamRequest } from "../../../../src/providers/upstream.js";
import { answer, Rig } from "./raw-upstream.js";

const PARTS = { authority: "upstream:80", method: "POST", path: "/", headers: [], bodyBytes: 2 };

function requestHead({ bodyBytes, ...parts }: RequestParts & { readonly bodyBytes: number }): string {
  return new HeadWriter().fieldsOf(parts).toString("latin1") + headEnd(bodyBytes);
}

describe("a request's head", () => {
  it("is written again only where it says something else", () => {
    const heads = new HeadWriter();
    const parts = { authority: "a:80", method: "POST", path: "/", headers: ["x", "1"] };
    const first = heads.fieldsOf(parts);
    expect(heads.fieldsOf({ ...parts, headers: ["x", "1"] })).toBe(first);
    const others = [
      { authority: "b:80" },
      { method: "GET" },
      { path: "/b" },
      { headers: ["x", "2"] },
      { headers: ["y", "1"] },
      { headers: ["x", "1", "y", "1"] },
      { headers: [] },
    ];
    for (const other of others) {
      heads.fieldsOf(parts);
      const fields = heads.fieldsOf({ ...parts, ...other });
      expect(fields.equals(first)).toBe(false);
      expect(fields).toEqual(new HeadWriter().fieldsOf({ ...parts, ...other }));
    }
    expect(() => heads.fieldsOf({ ...parts, headers: ["x", "\n"] })).toThrow(RequestError);
    expect(heads.fieldsOf(parts)).toEqual(first);
  });

  it("says each thing once", () => {
    const headers = ["Content-Type", "application/json", "X-Latin", "\xe9", "x-tab", "a\tb", "x-empty", ""];
    expect(requestHead({ ...PARTS, path: "/v1/a?b=c%20d", headers })).toBe(
      "POST /v1/a?b=c%20d HTTP/1.1\r\nhost: upstream:80\r\nconnection: keep-alive\r\ncontent-type: application/json\r\n" +
        "x-latin: \xe9\r\nx-tab: a\tb\r\nx-empty: \r\ncontent-length: 2\r\n\r\n",
    );
  });

  it("keeps the host that is given", () => {
    expect(requestHead({ ...PARTS, headers: ["Host", "other.test:8080"] })).toBe(
      "POST / HTTP/1.1\r\nhost: other.test:8080\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n",
    );
  });

  it("does not believe the length that is given", () => {
    const head = requestHead({ ...PARTS, headers: ["Content-Length", "99"] });
    expect(head.match(/content-length: .*/gi)).toEqual(["content-length: 2"]);
  });

  it("announces an empty body, and none does not", () => {
    expect(requestHead({ ...PARTS, bodyBytes: 0 })).toContain("content-length: 0\r\n");
    expect(requestHead({ ...PARTS, bodyBytes: -1 })).not.toContain("content-length");
  });

  const BAD = ["\r", "\n", "\0", "\r\nx: y", "\x7f", "\x1b", "\u0100", "\u212a", "\u{1f600}", "\u010a", "\u560a"];

  it.each(BAD.map((bad) => [JSON.stringify(bad), bad]))("refuses %s everywhere", (_shown, bad) => {
    expect(() => requestHead({ ...PARTS, method: `PO${bad}ST` })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, path: `/a${bad}b` })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, headers: [`x${bad}`, "y"] })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, headers: [bad, "y"] })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, headers: ["x", `a${bad}`] })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, headers: ["x", `${bad}a`] })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, headers: ["host", `a${bad}`] })).toThrow(RequestError);
  });

  it.each(["", " ", "a b", "a:", "(a)", "\xe4", "a,b", '"a"'])("refuses the name %j", (name) => {
    expect(() => requestHead({ ...PARTS, headers: [name, "y"] })).toThrow(RequestError);
    expect(() => requestHead({ ...PARTS, method: name })).toThrow(RequestError);
  });

  it.each(["", "a", "a/b", "/a b", "/a\tb", "http://upstream/", "*", "/ HTTP/1.1"])("refuses the path %j", (path) => {
    expect(() => requestHead({ ...PARTS, path })).toThrow(RequestError);
  });

  const FRAMING = ["connection", "Connection", "transfer-encoding", "Transfer-Encoding", "te", "trailer"];

  it.each([...FRAMING, "upgrade", "expect", "Keep-Alive", "\u212aeep-alive"])("leaves %s to nobody else", (name) => {
    expect(() => requestHead({ ...PARTS, headers: [name, "close"] })).toThrow(RequestError);
  });
});

describe("on the wire", () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(() => rig.close());

  const UNSENDABLE: Record<string, Partial<UpstreamRequest>> = {
    "a header": { headers: ["x", "a\r\nhost: evil"] },
    "a path": { path: "/a\r\nhost: evil" },
    "a method": { method: "GET / HTTP/1.1\r\n" },
    "an address": { origin: "nonsense" },
    "a port": { origin: "http://127.0.0.1:99999" },
  };

  it.each(Object.entries(UNSENDABLE))("nothing is sent for %s that cannot be", async (_name, request) => {
    const upstream = await rig.upstream((peer) => peer.write(answer("ok")));
    const { recorded } = rig.send(upstream, request);
    expect(recorded.over).toBe(false);
    await recorded.whenOver();
    expect(recorded.failure?.kind).toBe("transport");
    expect(recorded.failure?.message).toMatch(/^the request cannot be sent: \w+$/);
    expect(upstream.peers.length).toBe(0);
  });

  it("nothing is told of an unsendable request that was given up at once", async () => {
    const upstream = await rig.upstream(() => {});
    const sent = rig.send(upstream, { path: "nonsense" });
    sent.abort();
    sent.call.resume();
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent.recorded.over).toBe(false);
  });

  const BODIES: Record<string, { request: Partial<UpstreamRequest>; length: string | undefined; body: string }> = {
    "a buffer": { request: { body: Buffer.from("hello") }, length: "5", body: "hello" },
    pieces: { request: { body: [Buffer.from("he"), Buffer.alloc(0), Buffer.from("llo")] }, length: "5", body: "hello" },
    "an empty buffer": { request: { body: Buffer.alloc(0) }, length: "0", body: "" },
    "no pieces": { request: { body: [] }, length: "0", body: "" },
    "an empty piece": { request: { body: [Buffer.alloc(0)] }, length: "0", body: "" },
    nothing: { request: { method: "GET", body: Buffer.alloc(0) }, length: undefined, body: "" },
    "nothing to delete": { request: { method: "DELETE", body: [] }, length: undefined, body: "" },
    "something to delete": { request: { method: "DELETE", body: Buffer.from("x") }, length: "1", body: "x" },
    "a length that is wrong": {
      request: { headers: ["content-length", "7"], body: Buffer.from("x") },
      length: "1",
      body: "x",
    },
  };

  it.each(Object.entries(BODIES))("%s has its length", async (_name, { request, length, body }) => {
    const upstream = await rig.upstream((peer) => peer.write(answer("ok")));
    expect((await rig.ask(upstream, request)).text).toBe("ok");
    const [received] = upstream.peers[0]!.requests;
    const fields = received!.head.split("\r\n").slice(1);
    expect(fields.filter((field) => field.startsWith("content-length")).map((field) => field.slice(16))).toEqual(
      length === undefined ? [] : [length],
    );
    expect(fields).toContain(`host: 127.0.0.1:${upstream.port}`);
    expect(received!.body.toString()).toBe(body);
    // Nothing has come behind the request either.
    expect((await rig.ask(upstream, request)).text).toBe("ok");
    expect(upstream.peers.map(({ requests }) => requests.length)).toEqual([2]);
  });

  it("latin1 goes out and comes back as it is", async () => {
    const upstream = await rig.upstream((peer, { head }) => {
      peer.write(answer("ok", `x-back: ${/x-there: (.*)/.exec(head)![1]}\r\n`));
    });
    const told = await rig.ask(upstream, { headers: ["X-There", "\xe9\xff\x80"] });
    expect(told.headers).toEqual(["content-length", "2", "x-back", "\xe9\xff\x80"]);
  });
});
