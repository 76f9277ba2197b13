import { createHash } from "node:crypto";
import { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { editedPieces } from "../../../../src/dialects/body-pieces.js";
import { selfSigned } from "./certificates.js";
import { answer, patterned, type RawOptions, type RawUpstream, Rig } from "./raw-upstream.js";
import { until } from "./recorded.js";

const LARGE = patterned(30 * 1024 * 1024);
const DIGEST = digest(LARGE);
const CERTIFICATE = selfSigned("IP:127.0.0.1");
const TRUST = { caCert: CERTIFICATE.cert, verify: true };

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rig.close();
});

/** Notes what waits in the memory of the client's sockets; the greatest ever is told. */
function greatestWaiting(upstream: RawUpstream): () => number {
  let greatest = 0;
  const write = Duplex.prototype.write as (...given: unknown[]) => boolean;
  vi.spyOn(Duplex.prototype, "write").mockImplementation(function (this: Duplex, ...given: unknown[]) {
    const goesOn = write.apply(this, given);
    if ((this as { remotePort?: number }).remotePort === upstream.port) {
      greatest = Math.max(greatest, this.writableLength);
    }
    return goesOn;
  } as typeof Duplex.prototype.write);
  return () => greatest;
}

/** Takes nothing for a while, so that the client has to wait, then all of it. */
function slowly(options: RawOptions): RawOptions {
  return {
    ...options,
    peer: (peer) => {
      peer.socket.pause();
      setTimeout(() => peer.read().socket.resume(), 150);
    },
  };
}

function inSizesOf(sizes: readonly number[]): Buffer[] {
  let from = 0;
  return sizes.map((size) => {
    const piece = LARGE.subarray(from, from + size);
    from += piece.length;
    return piece;
  });
}

const SHAPES: Record<string, Buffer | readonly Buffer[]> = {
  whole: LARGE,
  "in the pieces of an edited body": editedPieces(LARGE, [{ start: 5, end: 9, bytes: LARGE.subarray(5, 9) }]),
  "in pieces of all sizes": inSizesOf([1, 0, 65_537, 262_144, 3, 0, 5_000_000, LARGE.length, 0]),
};

describe.each(["TCP", "TLS"])("a body of 30 MB over %s", (wire) => {
  const secure = wire === "TLS" ? { tls: CERTIFICATE } : {};
  const tls = wire === "TLS" ? TRUST : null;

  it.each(Object.entries(SHAPES))("%s arrives as it is, and hardly any of it waits in memory", async (_name, body) => {
    const upstream = await rig.upstream(slowly({ ...secure, request: (peer) => peer.write(answer("ok")) }));
    const waiting = greatestWaiting(upstream);
    const told = await rig.ask(upstream, { body, tls });
    expect(told).toMatchObject({ failure: null, text: "ok" });
    expect(digest(upstream.peers[0]!.requests[0]!.body)).toBe(DIGEST);
    expect(waiting()).toBeGreaterThan(0);
    expect(waiting()).toBeLessThan(1024 * 1024);
    // The connection has said all and heard all: it serves the next.
    expect((await rig.ask(upstream, { tls })).text).toBe("ok");
    expect(upstream.peers.map(({ requests }) => requests.length)).toEqual([2]);
  });

  it("that the upstream does not wait for is answered, and its connection serves nobody else", async () => {
    const upstream = await rig.upstream({
      ...secure,
      request: (peer) => peer.write(answer("read")),
      peer: (peer) => {
        if (upstream.peers.length > 1) peer.read();
        else peer.socket.once("data", () => peer.socket.pause() && peer.write(answer("too large")));
      },
    });
    const told = await rig.ask(upstream, { body: LARGE, tls });
    expect(told).toMatchObject({ failure: null, status: 200, text: "too large" });
    // It reads on, lest the end of the connection stays behind what it has not read.
    upstream.peers[0]!.socket.resume();
    await until(() => upstream.peers[0]!.closed, "the connection has ended");
    expect((await rig.ask(upstream, { tls })).text).toBe("read");
    expect(upstream.peers.length).toBe(2);
  });

  it("that the upstream breaks off fails once", async () => {
    const upstream = await rig.upstream({
      ...secure,
      peer: (peer) => {
        peer.read();
        void until(() => peer.received > 1_000_000, "some of it has come").then(() => peer.reset());
      },
    });
    const told = await rig.ask(upstream, { body: LARGE, tls });
    expect(told.failure?.kind).toBe("transport");
    expect(told.status).toBe(0);
  });

  it("that nobody reads is not waited for longer than the head may take", async () => {
    const upstream = await rig.upstream({ ...secure, peer: ({ socket }) => socket.pause() });
    const waiting = greatestWaiting(upstream);
    const told = await rig.ask(upstream, { body: LARGE, firstByteMs: 300, tls });
    expect(told.failure?.kind).toBe("timeout");
    expect(waiting()).toBeLessThan(1024 * 1024);
  });

  it("that is given up on its way leaves nothing behind", async () => {
    const upstream = await rig.upstream({ ...secure });
    const sent = rig.send(upstream, { body: LARGE, tls });
    await until(() => (upstream.peers[0]?.received ?? 0) > 1_000_000, "some of it has come");
    sent.abort();
    await until(() => upstream.open === 0, "the connection has ended");
    expect(upstream.peers[0]!.requests.length).toBe(0);
  });
});

describe("an answer that comes with a reset, before its request was read", () => {
  it.each([1_000, 8_000_000])("is told where the request has %i bytes", async (bytes) => {
    const upstream = await rig.upstream({
      peer: (peer) => {
        peer.socket.once("data", () => {
          peer.socket.pause();
          peer.socket.write(answer("no", "connection: close\r\n"), () => peer.reset());
        });
      },
    });
    const told = await rig.ask(upstream, { body: LARGE.subarray(0, bytes) });
    expect(told).toMatchObject({ failure: null, text: "no" });
    await until(() => upstream.open === 0, "the connection has ended");
  });
});

describe("small bodies", () => {
  it.each([0, 1, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145])(
    "of %i bytes arrive as they are",
    async (bytes) => {
      const upstream = await rig.upstream((peer, { body }) => peer.write(answer(digest(body))));
      const body = LARGE.subarray(0, bytes);
      const half = bytes >> 1;
      expect((await rig.ask(upstream, { body })).text).toBe(digest(body));
      expect((await rig.ask(upstream, { body: [body.subarray(0, half), body.subarray(half)] })).text).toBe(
        digest(body),
      );
      expect(upstream.peers.length).toBe(1);
    },
  );
});
