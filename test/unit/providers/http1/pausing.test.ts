import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { selfSigned } from "./certificates.js";
import { answer, patterned, type Peer, Rig, type Sent } from "./raw-upstream.js";
import { type Reactions, until } from "./recorded.js";

const CERTIFICATE = selfSigned("IP:127.0.0.1");
const LARGE = patterned(24 * 1024 * 1024);
const OK = answer("ok");
/** Turns of the loop in which what should not happen would. */
const A_WHILE_MS = 120;

let rig: Rig;
beforeEach(() => {
  rig = new Rig({ connectionsPerOrigin: 1 });
});
afterEach(() => rig.close());

function aWhile(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, A_WHILE_MS));
}

/** Pauses at the first piece of the body only. */
function pausing(): Reactions {
  let paused = false;
  return {
    data: () => {
      if (paused) return true;
      paused = true;
      return false;
    },
  };
}

describe.each(["TCP", "TLS"])("an answer over %s that is paused", (wire) => {
  const secure = wire === "TLS" ? { tls: CERTIFICATE } : {};
  const tls = wire === "TLS" ? { caCert: CERTIFICATE.cert, verify: true } : null;

  async function paused(request: (peer: Peer) => void): Promise<{ sent: Sent; peer: Peer }> {
    const upstream = await rig.upstream({ ...secure, request });
    const sent = rig.send(upstream, { tls }, pausing());
    await until(() => sent.recorded.bytes > 0, "some of the body has come");
    return { sent, peer: upstream.peers[0]! };
  }

  it("is not read: the upstream has to wait, and memory does not grow", async () => {
    const { sent, peer } = await paused((came) => {
      came.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n`);
      came.write(LARGE);
    });
    await aWhile();
    const { bytes, chunks } = sent.recorded;
    expect(chunks.length).toBe(1);
    expect(bytes).toBeLessThanOrEqual(65_536);
    expect(peer.socket.writableLength).toBeGreaterThan(0);
    sent.call.resume();
    await sent.recorded.whenOver();
    expect(sent.recorded.failure).toBeNull();
    expect(sent.recorded.body.equals(LARGE)).toBe(true);
  });

  it("piece by piece goes on piece by piece, and is whole", async () => {
    const upstream = await rig.upstream({
      ...secure,
      request: (peer) => {
        peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for (let at = 0; at < 2_000_000; at += 50_000) {
          peer.write(`${(50_000).toString(16)}\r\n`);
          peer.write(LARGE.subarray(at, at + 50_000));
          peer.write("\r\n");
        }
        peer.write("0\r\n\r\n");
      },
    });
    let waiting = false;
    const sent: Sent = rig.send(
      upstream,
      { tls },
      {
        data: () => {
          if (waiting) sent.recorded.violations.push("onData while paused");
          waiting = true;
          setImmediate(() => {
            waiting = false;
            sent.call.resume();
          });
          return false;
        },
      },
    );
    await sent.recorded.whenOver();
    expect(sent.recorded.failure).toBeNull();
    expect(sent.recorded.body.equals(LARGE.subarray(0, 2_000_000))).toBe(true);
  });

  it("at its last piece ends only when it goes on, and its connection hears the next answer", async () => {
    const { sent, peer } = await paused((came) => came.write(OK));
    await aWhile();
    expect(sent.recorded).toMatchObject({ text: "ok", over: false });
    const next = rig.send(
      { origin: `${wire === "TLS" ? "https" : "http"}://127.0.0.1:${peer.socket.localPort}` },
      { tls },
    );
    await aWhile();
    expect(peer.requests.length).toBe(1);
    sent.call.resume();
    expect(sent.recorded.ended).toBe(true);
    expect((await next.recorded.whenOver()).text).toBe("ok");
    expect(peer.requests.length).toBe(2);
    // It hears the upstream's leaving, too.
    peer.end();
    await until(() => peer.closed, "the client has closed");
  });

  it.each(["length: 4", "end by closing"])(
    "with its %s ends only when it goes on, although the upstream has left",
    async (kind) => {
      const head = kind.startsWith("length") ? "content-length: 4\r\n" : "";
      const { sent, peer } = await paused((came) => came.end(`HTTP/1.1 200 OK\r\n${head}\r\nbody`));
      await aWhile();
      expect(sent.recorded).toMatchObject({ text: "body", over: false });
      sent.call.resume();
      await sent.recorded.whenOver();
      expect(sent.recorded.failure).toBeNull();
      await until(() => peer.closed, "the connection has ended");
    },
  );

  it.each(["whole", "not whole"])(
    "and then ended by the upstream is told to its last byte where it is %s",
    async (kind) => {
      const length = kind === "whole" ? 200_000 : 200_001;
      const { sent, peer } = await paused((came) => {
        came.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`);
        came.write(LARGE.subarray(0, 10));
      });
      peer.write(LARGE.subarray(10, 200_000));
      peer.end();
      await aWhile();
      sent.call.resume();
      await sent.recorded.whenOver();
      expect(sent.recorded.body.equals(LARGE.subarray(0, 200_000))).toBe(true);
      expect(sent.recorded.failure?.kind).toBe(kind === "whole" ? undefined : "transport");
    },
  );

  it.each(["whole", "not whole"])(
    "and then reset by the upstream is told to its last byte where it is %s",
    async (kind) => {
      const length = kind === "whole" ? 12_000 : 12_001;
      const { sent, peer } = await paused((came) => {
        came.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`);
        came.write(LARGE.subarray(0, 10));
      });
      peer.socket.write(LARGE.subarray(10, 12_000), () => peer.reset());
      await aWhile();
      sent.call.resume();
      await sent.recorded.whenOver();
      expect(sent.recorded.bytes).toBe(12_000);
      expect(sent.recorded.failure?.kind).toBe(kind === "whole" ? undefined : "transport");
    },
  );

  it.each(["again and again", "once"])(
    "%s for long, and reset meanwhile, is whole and harms no call that waits",
    async (how) => {
      const records = Array.from({ length: 30 }, (_, at) => LARGE.subarray(at * 100, at * 100 + 100));
      const upstream = await rig.upstream({
        ...secure,
        request: (peer) => {
          if (upstream.peers.length > 1) peer.write(OK);
          else peer.write(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n"), records[0]!]));
        },
      });
      const sent = rig.send(upstream, { tls }, how === "once" ? pausing() : { data: () => false });
      const next = rig.send(upstream, { tls });
      await until(() => sent.recorded.bytes > 0, "some of the body has come");
      const [peer] = upstream.peers;
      for (const record of records.slice(1)) await new Promise((done) => peer!.socket.write(record, done));
      peer!.reset();
      // Shorter pauses leave the connection its trust, as the time of rest does.
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      expect(sent.recorded.chunks.length).toBe(1);
      await until(() => {
        sent.call.resume();
        return sent.recorded.over;
      }, "the call is over");
      expect(sent.recorded).toMatchObject({ bytes: 3_000, failure: null });
      expect(await next.recorded.whenOver()).toMatchObject({ text: "ok", failure: null });
    },
  );

  it("can be given up", async () => {
    const { sent, peer } = await paused((came) => {
      came.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE.length}\r\n\r\n`);
      came.write(LARGE);
    });
    sent.abort();
    sent.call.resume();
    await until(() => peer.closed, "the connection has ended");
    await aWhile();
    expect(sent.recorded.chunks.length).toBe(1);
  });

  it("at its last piece can be given up", async () => {
    const { sent, peer } = await paused((came) => came.write(OK));
    sent.abort();
    sent.call.resume();
    await until(() => peer.closed, "the connection has ended");
    expect(sent.recorded.over).toBe(false);
  });

  it("and goes on twice, or without having been paused, is told once", async () => {
    const { sent } = await paused((came) => {
      came.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo");
      setTimeout(() => came.write("dy"), 60);
    });
    sent.call.resume();
    sent.call.resume();
    await sent.recorded.whenOver();
    sent.call.resume();
    expect(sent.recorded.text).toBe("body");
  });

  it("at its last piece, with bytes behind it, loses its connection", async () => {
    const upstream = await rig.upstream({
      ...secure,
      request: (peer) => peer.write(upstream.peers.length === 1 ? OK : answer("own")),
    });
    const sent = rig.send(upstream, { tls }, pausing());
    await until(() => sent.recorded.bytes > 0, "the body has come");
    upstream.peers[0]!.write(answer("smuggled"));
    await aWhile();
    sent.call.resume();
    await sent.recorded.whenOver();
    await until(() => upstream.peers[0]!.closed, "the connection has ended");
    expect((await rig.ask(upstream, { tls })).text).toBe("own");
  });
});
