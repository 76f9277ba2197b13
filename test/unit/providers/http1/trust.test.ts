import { randomBytes } from "node:crypto";
import { type AddressInfo, connect, createServer } from "node:net";
import type { SecureVersion, Server as SecureServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { selfSigned } from "./certificates.js";
import { answer, type Peer, type RawUpstream, Rig } from "./raw-upstream.js";
import { until } from "./recorded.js";

const BY_ADDRESS = selfSigned("IP:127.0.0.1");
const BY_NAME = selfSigned("DNS:localhost");
const TRUST = { caCert: BY_ADDRESS.cert, verify: true };
const PARTING = answer("ok", "connection: close\r\n");
const parts = (peer: Peer): void => peer.write(PARTING);

let rig: Rig;
beforeEach(() => {
  rig = new Rig({ connectMs: 400 });
});
afterEach(() => rig.close());

function byName({ port }: RawUpstream): { origin: string } {
  return { origin: `https://localhost:${port}` };
}

function resumed({ peers }: RawUpstream): boolean[] {
  return peers.map((peer) => peer.resumed);
}

describe("a certificate", () => {
  it("is trusted where its root is", async () => {
    const upstream = await rig.upstream({ tls: BY_ADDRESS, request: parts });
    expect((await rig.ask(upstream, { tls: TRUST })).text).toBe("ok");
    const named = await rig.upstream({ tls: BY_NAME, request: parts });
    expect((await rig.ask(byName(named), { tls: { caCert: BY_NAME.cert, verify: true } })).text).toBe("ok");
    expect([upstream.peers[0]!.named, named.peers[0]!.named]).toEqual([false, "localhost"]);
  });

  it("of anybody will do where it is not verified, and only there", async () => {
    const upstream = await rig.upstream({ tls: BY_NAME, request: parts });
    const lax = { caCert: null, verify: false };
    expect((await rig.ask(upstream, { tls: lax })).text).toBe("ok");
    expect((await rig.ask(upstream, { tls: lax })).text).toBe("ok");
    expect((await rig.ask(upstream, { tls: null })).failure?.kind).toBe("transport");
    expect((await rig.ask(upstream, { tls: TRUST })).failure?.kind).toBe("transport");
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "that is not trusted fails the call once, without an address (%s)",
    async (version) => {
      const tls = { ...BY_ADDRESS, minVersion: version, maxVersion: version };
      const upstream = await rig.upstream({ tls, request: parts });
      for (const trust of [null, { caCert: BY_NAME.cert, verify: true }, { caCert: "nonsense", verify: true }]) {
        for (let turn = 0; turn < 2; turn += 1) {
          const { failure } = await rig.ask(upstream, { tls: trust });
          expect(failure).toEqual({ kind: "transport", message: "DEPTH_ZERO_SELF_SIGNED_CERT" });
        }
      }
      expect(upstream.peers.flatMap(({ requests }) => requests)).toEqual([]);
    },
  );

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "of another name fails each call, without an address (%s)",
    async (version) => {
      const tls = { ...BY_ADDRESS, minVersion: version, maxVersion: version };
      const upstream = await rig.upstream({ tls, request: parts });
      for (let turn = 0; turn < 3; turn += 1) {
        const { failure } = await rig.ask(byName(upstream), { tls: TRUST });
        expect(failure).toEqual({ kind: "transport", message: "ERR_TLS_CERT_ALTNAME_INVALID" });
      }
      expect(upstream.peers.flatMap(({ requests }) => requests)).toEqual([]);
    },
  );

  it("is asked for where there is none: that fails once", async () => {
    const upstream = await rig.upstream({
      peer: (peer) => peer.socket.once("data", () => peer.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    });
    const { failure } = await rig.ask({ origin: upstream.origin.replace("http:", "https:") });
    expect(failure?.kind).toBe("transport");
    expect(failure?.message).toMatch(/^[A-Z_]+$/);
  });

  it("that nobody shows is not waited for longer than connecting may take", async () => {
    const silent = await rig.upstream({ peer: (peer) => peer.read() });
    const before = performance.now();
    const [one, other] = [1, 2].map(() => rig.send({ origin: silent.origin.replace("http:", "https:") }).recorded);
    for (const recorded of [one!, other!]) {
      const { failure, overAt } = await recorded.whenOver();
      expect(failure).toEqual({ kind: "timeout", message: "connecting" });
      expect(overAt - before).toBeGreaterThanOrEqual(400);
    }
    await until(() => silent.open === 0, "the connections have ended");
  });

  it("arriving in time is no reason to count the answer's time from before", async () => {
    const upstream = await rig.upstream({
      tls: BY_ADDRESS,
      request: (peer) => void setTimeout(() => parts(peer), 250),
    });
    expect((await rig.ask(upstream, { tls: TRUST, firstByteMs: 600 })).text).toBe("ok");
  });

  it("belongs to a call that is given up while it is shown: the next takes the connection over", async () => {
    rig = new Rig({ connectionsPerOrigin: 1 });
    const upstream = await rig.upstream({ tls: BY_ADDRESS, request: parts });
    const sent = rig.send(upstream, { tls: TRUST, path: "/given-up" });
    const next = rig.send(upstream, { tls: TRUST, path: "/next" });
    sent.abort();
    expect((await next.recorded.whenOver()).text).toBe("ok");
    expect(upstream.peers.flatMap(({ requests }) => requests.map(({ head }) => head.split(" ")[1]))).toEqual(["/next"]);
  });
});

describe.each<SecureVersion>(["TLSv1.2", "TLSv1.3"])("a session of %s", (version) => {
  const tls = { ...BY_ADDRESS, minVersion: version, maxVersion: version };

  it("is resumed by the next connection", async () => {
    const upstream = await rig.upstream({ tls, request: parts });
    for (let turn = 0; turn < 4; turn += 1) expect((await rig.ask(upstream, { tls: TRUST })).text).toBe("ok");
    expect(resumed(upstream)).toEqual([false, true, true, true]);
  });

  it("is not shared between different trusts", async () => {
    const upstream = await rig.upstream({ tls, request: parts });
    for (const trust of [TRUST, { caCert: null, verify: false }]) await rig.ask(upstream, { tls: trust });
    expect(resumed(upstream)).toEqual([false, false]);
  });

  it("that the upstream knows no more is begun anew", async () => {
    const upstream = await rig.upstream({ tls, request: parts });
    for (let turn = 0; turn < 3; turn += 1) {
      expect((await rig.ask(upstream, { tls: TRUST })).text).toBe("ok");
      (upstream.server as SecureServer).setTicketKeys(randomBytes(48));
    }
    expect(resumed(upstream)).toEqual([false, false, false]);
  });

  it("ends with a certificate that is trusted no more, and does not outlive it", async () => {
    const upstream = await rig.upstream({ tls, request: parts });
    const server = upstream.server as SecureServer;
    expect((await rig.ask(upstream, { tls: TRUST })).text).toBe("ok");
    server.setSecureContext({ ...BY_NAME, minVersion: version, maxVersion: version });
    expect((await rig.ask(upstream, { tls: TRUST })).failure?.kind).toBe("transport");
    server.setSecureContext(tls);
    expect((await rig.ask(upstream, { tls: TRUST })).text).toBe("ok");
    expect(resumed(upstream)).not.toContain(true);
  });

  it("at which the upstream gets stuck is not tried for ever", async () => {
    const upstream = await rig.upstream({ tls, request: parts });
    let connections = 0;
    // It swallows the second connection, which would resume the session of the first.
    const between = createServer((socket) => {
      socket.on("error", () => {});
      connections += 1;
      if (connections === 2) socket.resume();
      else {
        const inner = connect(upstream.port, "127.0.0.1");
        inner.on("error", () => socket.destroy());
        socket.pipe(inner).pipe(socket);
      }
    });
    await new Promise<void>((done) => between.listen(0, "127.0.0.1", done));
    const to = { origin: `https://127.0.0.1:${(between.address() as AddressInfo).port}` };
    expect((await rig.ask(to, { tls: TRUST })).text).toBe("ok");
    expect((await rig.ask(to, { tls: TRUST })).failure).toEqual({ kind: "timeout", message: "connecting" });
    expect((await rig.ask(to, { tls: TRUST })).text).toBe("ok");
    expect(resumed(upstream)).toEqual([false, false]);
    between.close();
  });
});
