import { createServer, type AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { answer, type Peer, type RawUpstream, Rig, type Sent } from "./raw-upstream.js";
import { until } from "./recorded.js";

let rig: Rig;
beforeEach(() => {
  rig = new Rig({ connectionsPerOrigin: 2 });
});
afterEach(() => rig.close());

const OK = answer("ok");
const answersOk = (peer: Peer): void => peer.write(OK);

/** How many requests each connection has carried. */
function carried({ peers }: RawUpstream): number[] {
  return peers.map(({ requests }) => requests.length);
}

function paths({ peers }: RawUpstream): string[] {
  return peers.flatMap(({ requests }) => requests.map(({ head }) => head.split(" ")[1]!));
}

describe("a connection", () => {
  it("serves one call after the other", async () => {
    const upstream = await rig.upstream(answersOk);
    for (let turn = 0; turn < 20; turn += 1) expect((await rig.ask(upstream)).text).toBe("ok");
    expect(carried(upstream)).toEqual([20]);
  });

  it("is free before the end is told: a call from there takes it", async () => {
    const upstream = await rig.upstream(answersOk);
    let next: Sent | null = null;
    const sendNext = (): void => {
      next = rig.send(upstream, { path: "/next" });
    };
    rig.send(upstream, {}, { end: sendNext });
    await until(() => next?.recorded.ended === true, "the second call has ended");
    expect(carried(upstream)).toEqual([2]);
  });

  it("that has rested least is taken first", async () => {
    const upstream = await rig.upstream(() => {});
    const [first, second] = [rig.send(upstream), rig.send(upstream)];
    await until(() => carried(upstream).join() === "1,1", "both have come");
    for (const [peer, { recorded }] of [
      [upstream.peers[1]!, second],
      [upstream.peers[0]!, first],
    ] as const) {
      peer.write(OK);
      await until(() => first.recorded.ended || second.recorded.ended || recorded.ended, "one has ended");
      await until(() => rig.all.filter(({ ended }) => ended).length === (peer === upstream.peers[1] ? 1 : 2), "it has");
    }
    const third = rig.send(upstream, { path: "/third" });
    await until(() => paths(upstream).includes("/third"), "the third has come");
    expect(carried(upstream)).toEqual([2, 1]);
    upstream.peers[0]!.write(OK);
    await third.recorded.whenOver();
  });

  const PARTING: Record<string, string> = {
    "says close": answer("ok", "connection: close\r\n"),
    "keeps it for a second": answer("ok", "keep-alive: timeout=1\r\n"),
    "keeps it for two seconds": answer("ok", "Keep-Alive: timeout=2, max=100\r\n"),
    "keeps it no time": answer("ok", "keep-alive: timeout=0\r\n"),
    "is of HTTP/1.0": "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "sends chunks in HTTP/1.0":
      "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  };

  it.each(Object.entries(PARTING))("serves nobody else when the upstream %s", async (_name, text) => {
    const upstream = await rig.upstream((peer) => peer.write(text));
    for (const turn of [1, 2, 3]) {
      expect((await rig.ask(upstream)).text).toBe("ok");
      expect(upstream.peers.length).toBe(turn);
    }
    await until(() => upstream.open === 0, "the connections have ended");
  });

  const PARTINGS: Record<string, (peer: Peer) => void> = {
    "is ended": ({ socket }) => socket.destroy(),
    "is reset": (peer) => peer.reset(),
    "brings an answer that nobody has asked for": (peer) =>
      peer.write("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlate"),
  };

  it.each(Object.entries(PARTINGS))("that %s before its next call has left hands it on", async (_name, part) => {
    const upstream = await rig.upstream(answersOk);
    await Promise.all([rig.ask(upstream), rig.ask(upstream)]);
    expect(upstream.peers.length).toBe(2);
    // In a timer, so that the sockets are read before what is to be sent at the turn's end.
    const sent = await new Promise<Sent>((done) => {
      setTimeout(() => {
        for (const peer of upstream.peers) part(peer);
        done(rig.send(upstream, { path: "/next" }));
      }, 5);
    });
    await sent.recorded.whenOver();
    expect([sent.recorded.failure, sent.recorded.text]).toEqual([null, "ok"]);
    expect(paths(upstream).filter((path) => path === "/next").length).toBe(1);
    expect(upstream.peers.length).toBe(3);
  });

  it("that is new and ended at once fails its call, and is not followed by others without end", async () => {
    const upstream = await rig.upstream(answersOk);
    upstream.server.on("connection", (socket) => socket.destroy());
    const { recorded } = rig.send(upstream);
    await recorded.whenOver();
    expect(recorded.failure?.kind).toBe("transport");
  });

  it("ends before the upstream would end it", async () => {
    const upstream = await rig.upstream((peer) => peer.write(answer("ok", "keep-alive: timeout=3\r\n")));
    const { overAt } = await rig.ask(upstream);
    expect((await rig.ask(upstream)).text).toBe("ok");
    await until(() => upstream.open === 0, "the connection has ended");
    expect(performance.now() - overAt).toBeGreaterThan(950);
    expect(performance.now() - overAt).toBeLessThan(2_900);
    expect(carried(upstream)).toEqual([2]);
  });

  it("rests for four seconds where the upstream does not say", async () => {
    const upstream = await rig.upstream(answersOk);
    const { overAt } = await rig.ask(upstream);
    await until(() => upstream.open === 0, "the connection has ended");
    expect(performance.now() - overAt).toBeGreaterThan(3_990);
    expect(performance.now() - overAt).toBeLessThan(6_000);
    expect((await rig.ask(upstream)).text).toBe("ok");
  });

  const LEAVING: Record<string, (peer: Peer) => void> = {
    closes: ({ socket }) => socket.destroy(),
    "says no more": ({ socket }) => socket.end(),
    resets: (peer) => peer.reset(),
  };

  it.each(Object.entries(LEAVING))("at rest that the upstream %s is forgotten", async (_name, leave) => {
    const upstream = await rig.upstream({ request: answersOk, allowHalfOpen: true });
    expect((await rig.ask(upstream)).text).toBe("ok");
    leave(upstream.peers[0]!);
    // The client's own end shows that it has noticed; a reset does so by itself, one turn later.
    await until(() => upstream.peers[0]!.closed || upstream.peers[0]!.ended, "the client has noticed");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await rig.ask(upstream)).text).toBe("ok");
    expect(carried(upstream)).toEqual([1, 1]);
  });

  it.each(Object.entries(LEAVING))(
    "fails its call, once, when the upstream %s instead of answering",
    async (_name, leave) => {
      const upstream = await rig.upstream({ request: leave, allowHalfOpen: true });
      const told = await rig.ask(upstream);
      expect(told.failure?.kind).toBe("transport");
      expect(told.status).toBe(0);
    },
  );

  it.each(Object.entries(LEAVING))("tells what came before the upstream %s inside its answer", async (_name, leave) => {
    const upstream = await rig.upstream({
      request: (peer) => peer.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", () => leave(peer)),
      allowHalfOpen: true,
    });
    const told = await rig.ask(upstream);
    expect(told).toMatchObject({ status: 200, text: "half", failure: { kind: "transport" } });
  });

  it.each(Object.entries(LEAVING))("tells a whole answer although the upstream %s with it", async (_name, leave) => {
    const upstream = await rig.upstream({
      request: (peer) => peer.socket.write(OK, () => leave(peer)),
      allowHalfOpen: true,
    });
    expect(await rig.ask(upstream)).toMatchObject({ text: "ok", failure: null });
  });
});

describe("the limit of connections", () => {
  it("makes calls wait in turn", async () => {
    const upstream = await rig.upstream((peer) => setImmediate(() => peer.write(OK)));
    const order: number[] = [];
    for (let turn = 0; turn < 12; turn += 1) rig.send(upstream, { path: `/${turn}` }, { end: () => order.push(turn) });
    await until(() => order.length === 12, "all have ended");
    expect(order).toEqual([...order].sort((one, other) => one - other));
    expect(upstream.peers.length).toBe(2);
  });

  it("lets the next in turn go when a connection is lost", async () => {
    const upstream = await rig.upstream((peer, { head }) => {
      if (head.startsWith("POST /lost")) peer.socket.destroy();
      else peer.write(OK);
    });
    const sent = ["/lost/1", "/lost/2", "/lost/3", "/a", "/b"].map((path) => rig.send(upstream, { path }).recorded);
    for (const recorded of sent) await recorded.whenOver();
    expect(sent.map(({ failure }) => failure?.kind ?? "answered")).toEqual([
      ...["transport", "transport", "transport", "answered", "answered"],
    ]);
  });

  it("is not held by calls that were given up while they waited", async () => {
    const upstream = await rig.upstream(() => {});
    const held = [rig.send(upstream, { path: "/1" }), rig.send(upstream, { path: "/2" })];
    const [waiting, last] = [rig.send(upstream, { path: "/3" }), rig.send(upstream, { path: "/4" })];
    await until(() => carried(upstream).join() === "1,1", "two have come");
    waiting.call.resume();
    waiting.abort();
    waiting.abort();
    for (const { socket } of upstream.peers) socket.write(OK);
    await until(() => paths(upstream).includes("/4"), "the last has come");
    upstream.peers.find(({ requests }) => requests.length === 2)!.write(OK);
    for (const { recorded } of [...held, last]) expect((await recorded.whenOver()).text).toBe("ok");
    expect(paths(upstream)).not.toContain("/3");
  });

  it("is of each origin and of each trust", async () => {
    const [one, other] = [await rig.upstream(() => {}), await rig.upstream(answersOk)];
    for (let turn = 0; turn < 3; turn += 1) rig.send(one);
    expect((await rig.ask(other)).text).toBe("ok");
    expect((await rig.ask(other, { tls: { caCert: null, verify: false } })).text).toBe("ok");
    expect(other.peers.length).toBe(2);
  });
});

describe("a call that is given up", () => {
  it("ends its connection, and the next gets a new one", async () => {
    const upstream = await rig.upstream((peer, { head }) => {
      if (!head.startsWith("POST /given-up")) peer.write(OK);
    });
    const sent = rig.send(upstream, { path: "/given-up" });
    const next = [rig.send(upstream, { path: "/given-up" }), rig.send(upstream), rig.send(upstream)];
    await until(() => carried(upstream).join() === "1,1", "two have come");
    sent.abort();
    for (const { recorded } of next.slice(1)) expect((await recorded.whenOver()).text).toBe("ok");
    await until(() => upstream.peers[0]!.closed, "its connection has ended");
    expect(carried(upstream)).toEqual([1, 1, 2]);
    next[0]!.abort();
  });

  it("before it was sent leaves its connection to the next", async () => {
    const upstream = await rig.upstream(answersOk);
    rig.send(upstream, { path: "/given-up" }).abort();
    await until(() => upstream.peers.length === 1, "it has connected");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await rig.ask(upstream, { path: "/next" })).text).toBe("ok");
    expect(paths(upstream)).toEqual(["/next"]);
    expect(upstream.peers.length).toBe(1);
  });

  it("before it was sent leaves its connection to one that waits", async () => {
    rig = new Rig({ connectionsPerOrigin: 1 });
    const upstream = await rig.upstream(answersOk);
    const sent = rig.send(upstream, { path: "/given-up" });
    const waiting = rig.send(upstream, { path: "/waiting" });
    sent.abort();
    expect((await waiting.recorded.whenOver()).text).toBe("ok");
    expect(paths(upstream)).toEqual(["/waiting"]);
  });

  it("after its end changes nothing", async () => {
    const upstream = await rig.upstream(answersOk);
    const sent = rig.send(upstream);
    await sent.recorded.whenOver();
    sent.abort();
    sent.call.resume();
    const next = rig.send(upstream);
    sent.abort();
    sent.call.resume();
    expect((await next.recorded.whenOver()).text).toBe("ok");
    expect(carried(upstream)).toEqual([2]);
  });
});

describe("an upstream that cannot be reached", () => {
  async function closedPort(): Promise<number> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    await new Promise((done) => server.close(done));
    return port;
  }

  it("because nobody listens, fails every call once", async () => {
    const port = await closedPort();
    const to = { origin: `http://127.0.0.1:${port}` };
    const all = await Promise.all(Array.from({ length: 5 }, () => rig.ask(to)));
    for (const { failure } of all) expect(failure).toEqual({ kind: "transport", message: "ECONNREFUSED" });
  });

  it("because its name is unknown, fails without saying the name", async () => {
    const { failure } = await rig.ask({ origin: "http://upstream.invalid:8080" });
    expect(failure?.kind).toBe("transport");
    expect(failure?.message).toMatch(/^E[A-Z_]+$/);
  });

  it("is tried anew for each call, and found when it is there", async () => {
    const upstream = await rig.upstream(answersOk);
    const { port } = upstream;
    upstream.close();
    await until(() => !upstream.server.listening, "it has closed");
    expect((await rig.ask({ origin: `http://localhost:${port}` })).failure?.message).toBe("ECONNREFUSED");
    await new Promise<void>((done) => upstream.server.listen(port, "127.0.0.1", done));
    expect((await rig.ask({ origin: `http://localhost:${port}` })).text).toBe("ok");
  });
});

describe("pools", () => {
  it("are forgotten when nobody has used them for ten minutes, but not while they have connections", async () => {
    const upstream = await rig.upstream((peer, { head }) => {
      peer.write(head.startsWith("POST /last") ? answer("ok", "connection: close\r\n") : OK);
    });
    await rig.ask(upstream);
    rig.upstreams.sweep(performance.now() + 700_000);
    await rig.ask(upstream, { path: "/last" });
    expect(carried(upstream)).toEqual([2]);
    rig.upstreams.sweep(performance.now() + 700_000);
    expect((await rig.ask(upstream)).text).toBe("ok");
    expect(carried(upstream)).toEqual([2, 1]);
  });
});
