import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { answer, Rig, type Sent } from "./raw-upstream.js";
import { type Reactions, until } from "./recorded.js";

let rig: Rig;
beforeEach(() => {
  rig = new Rig({ connectionsPerOrigin: 1 });
});
afterEach(() => rig.close());

const OK = answer("ok");
const FAULT = new Error("of the handler's own");

function fault(): never {
  throw FAULT;
}

describe("a handler that gives up", () => {
  it.each(["head", "data", "end"] as const)(
    "from within its %s hears nothing more, and others are served",
    async (where) => {
      const upstream = await rig.upstream((peer) => peer.write(OK));
      const giveUp = (): undefined => sent.abort() as undefined;
      const sent: Sent = rig.send(upstream, {}, { [where]: giveUp });
      const next = rig.send(upstream);
      expect((await next.recorded.whenOver()).text).toBe("ok");
      expect(sent.recorded).toMatchObject({ left: true, ended: where === "end", failure: null });
      expect(upstream.peers.length).toBe(where === "end" ? 1 : 2);
      await until(() => where === "end" || upstream.peers[0]!.closed, "its connection has ended");
    },
  );

  it("from within its failure changes nothing", async () => {
    const upstream = await rig.upstream((peer) => peer.socket.destroy());
    const sent: Sent = rig.send(upstream, {}, { failure: () => sent.abort() });
    await sent.recorded.whenOver();
    await until(() => upstream.open === 0, "the connection has ended");
  });

  it.each([true, false])("and wants a pause or not (%s), is not resumed either", async (more) => {
    const upstream = await rig.upstream((peer) => peer.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo"));
    const giveUp = (answered: boolean): boolean => {
      sent.abort();
      return answered;
    };
    const sent: Sent = rig.send(upstream, {}, { data: () => giveUp(more) });
    await until(() => upstream.peers[0]?.closed === true, "the connection has ended");
    sent.call.resume();
    expect(sent.recorded).toMatchObject({ text: "bo", over: false });
  });
});

describe("a handler that throws", () => {
  it.each(["head", "data"] as const)("from its %s fails, once, and others are served", async (where) => {
    const upstream = await rig.upstream((peer) => peer.write(OK));
    const sent = rig.send(upstream, {}, { [where]: fault });
    const next = rig.send(upstream);
    await sent.recorded.whenOver();
    expect(sent.recorded.failure).toEqual({ kind: "transport", message: "the answer could not be taken" });
    expect((await next.recorded.whenOver()).text).toBe("ok");
    expect(rig.faults).toEqual([FAULT]);
    expect(upstream.peers.length).toBe(2);
  });

  it("from its end harms neither the next call of its connection nor the connection", async () => {
    const upstream = await rig.upstream((peer) => void setTimeout(() => peer.write(OK), 20));
    const sent = rig.send(upstream, {}, { end: fault });
    const next = rig.send(upstream);
    expect(await next.recorded.whenOver()).toMatchObject({ text: "ok", failure: null });
    expect(sent.recorded).toMatchObject({ ended: true, failure: null });
    expect(rig.faults).toEqual([FAULT]);
    expect(upstream.peers.map(({ requests }) => requests.length)).toEqual([2]);
  });

  it("from its end, when it goes on after a pause, does not throw at whoever resumes", async () => {
    const upstream = await rig.upstream((peer) => peer.write(OK));
    const sent = rig.send(upstream, {}, { data: () => false, end: fault });
    await until(() => sent.recorded.bytes === 2, "the body has come");
    sent.call.resume();
    expect(sent.recorded.ended).toBe(true);
    expect(rig.faults).toEqual([FAULT]);
  });

  const FAILING: Record<string, { text: string; reactions: Reactions }> = {
    "that the upstream has caused": { text: "nonsense\r\n\r\n", reactions: {} },
    "that its own fault has caused": { text: OK, reactions: { data: fault } },
    "of time": { text: "HTTP/1.1 200 OK\r\n\r\n", reactions: {} },
  };

  it.each(Object.entries(FAILING))("from a failure %s harms nobody", async (_name, { text, reactions }) => {
    const upstream = await rig.upstream((peer, { head }) => peer.write(head.startsWith("POST /next") ? OK : text));
    const sent = rig.send(upstream, { idleMs: 60 }, { ...reactions, failure: fault });
    const next = rig.send(upstream, { path: "/next" });
    expect((await next.recorded.whenOver()).text).toBe("ok");
    expect(sent.recorded.failure).not.toBeNull();
    expect(rig.faults).toEqual(reactions.data === undefined ? [FAULT] : [FAULT, FAULT]);
  });

  it("from the failure of what cannot be sent harms nobody", async () => {
    const upstream = await rig.upstream(() => {});
    const sent = rig.send(upstream, { path: "nonsense" }, { failure: fault });
    await sent.recorded.whenOver();
    expect(rig.faults).toEqual([FAULT]);
  });

  it("what is no error, and gives up before, is nobody's failure", async () => {
    const upstream = await rig.upstream((peer) => peer.write(OK));
    const sent: Sent = rig.send(
      upstream,
      {},
      {
        head: () => {
          sent.abort();
          throw null;
        },
      },
    );
    const next = rig.send(upstream);
    expect((await next.recorded.whenOver()).text).toBe("ok");
    expect(rig.faults).toEqual([null]);
  });

  it("needs nobody who is told", async () => {
    rig = new Rig({ reportFault: () => {} });
    const upstream = await rig.upstream((peer) => peer.write(OK));
    await rig.send(upstream, {}, { end: fault }).recorded.whenOver();
    expect((await rig.ask(upstream)).text).toBe("ok");
  });
});

describe("a handler that sends another call", () => {
  it.each(["head", "data", "end"] as const)("from within its %s has both answered", async (where) => {
    rig = new Rig({ connectionsPerOrigin: 2 });
    const upstream = await rig.upstream((peer) => peer.write(OK));
    let next: Sent | null = null;
    const sendNext = (): undefined => {
      next = rig.send(upstream);
    };
    const first = rig.send(upstream, {}, { [where]: sendNext });
    expect((await first.recorded.whenOver()).text).toBe("ok");
    await until(() => next?.recorded.ended === true, "the second has ended");
    expect(upstream.peers.length).toBe(where === "end" ? 1 : 2);
  });

  it("from within its failure has it answered", async () => {
    const upstream = await rig.upstream((peer) =>
      peer.requests.length + upstream.peers.length > 2 ? peer.write(OK) : peer.socket.destroy(),
    );
    let next: Sent | null = null;
    const sendNext = (): void => {
      next = rig.send(upstream);
    };
    rig.send(upstream, {}, { failure: sendNext });
    await until(() => next?.recorded.ended === true, "the second has ended");
  });

  it("a thousand times from within its end does not pile up", async () => {
    const upstream = await rig.upstream((peer) => peer.write(OK));
    let left = 1_000;
    const again = (): void => {
      left -= 1;
      if (left > 0) rig.send(upstream, {}, { end: again });
    };
    rig.send(upstream, {}, { end: again });
    await until(() => left === 0, "all have ended");
    expect(upstream.peers.length).toBe(1);
  });
});

describe("the end of it all", () => {
  it("fails every call once, whatever it was doing", async () => {
    rig = new Rig({ connectionsPerOrigin: 3 });
    const upstream = await rig.upstream((peer, { head }) => {
      if (head.startsWith("POST /part")) peer.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo");
    });
    const silent = await rig.upstream({ peer: ({ socket }) => socket.pause() });
    const sent = [
      rig.send(upstream, { path: "/part" }),
      rig.send(upstream, { path: "/part" }, { data: () => false }),
      rig.send(upstream, { path: "/silent" }),
      rig.send(upstream, { path: "/waiting" }),
      rig.send(upstream, { path: "/waiting" }),
      rig.send(silent, { body: Buffer.alloc(30_000_000) }),
    ];
    const left = [rig.send(upstream), rig.send(silent)];
    await until(() => sent.filter(({ recorded }) => recorded.bytes === 2).length === 2, "some answers have begun");
    await until(() => upstream.peers.length === 3 && silent.peers.length === 2, "all have connected");
    for (const call of left) call.abort();
    const connecting = rig.send({ origin: silent.origin.replace("http:", "https:") });
    await rig.upstreams.destroy();
    for (const { recorded } of [...sent, connecting]) {
      expect(recorded.failure).toEqual({ kind: "aborted", message: "closed" });
    }
    // They read on, lest the end of the connections stays behind what they have not read.
    for (const { socket } of silent.peers) socket.resume();
    await until(
      () => upstream.open === 0 && silent.peers.slice(0, 2).every(({ closed }) => closed),
      "all sockets are closed",
    );
  });

  it("is not undone by handlers that try again, nor held up by those that throw", async () => {
    const upstream = await rig.upstream(() => {});
    let tries = 0;
    const again = (): void => {
      tries += 1;
      if (tries < 50) rig.send(upstream, {}, { failure: again });
    };
    rig.send(upstream, {}, { failure: fault });
    rig.send(upstream, {}, { failure: again });
    await until(() => upstream.peers.length === 1, "it has connected");
    await rig.upstreams.destroy();
    await until(() => tries === 50, "every try has failed");
    expect(rig.faults).toEqual([FAULT]);
    await until(() => upstream.open === 0, "no connection is left");
    expect(upstream.peers.length).toBe(1);
  });

  it("leaves a whole answer whole, although its reader goes on only now", async () => {
    const upstream = await rig.upstream((peer) => peer.write(OK));
    const sent = rig.send(upstream, {}, { data: () => false });
    await until(() => sent.recorded.bytes === 2, "the body has come");
    await rig.upstreams.destroy();
    expect(sent.recorded.over).toBe(false);
    sent.call.resume();
    expect(sent.recorded).toMatchObject({ ended: true, failure: null });
  });

  it("lets the process end by itself, also where nobody has ended anything but the calls", async () => {
    for (const ending of ["await upstreams.destroy()", "call.abort()"])
      expect(await runOf(ending)).toBe("failed:0 0\n");
  }, 60_000);

  /** A process of its own: what it prints, and how it exits, by itself. */
  function runOf(ending: string): Promise<string> {
    const source = fileURLToPath(new URL("../../../../src/providers/upstream.ts", import.meta.url));
    const script = `
      import { createServer } from "node:net";
      import { Upstreams } from ${JSON.stringify(source)};
      const server = createServer((socket) => { socket.on("error", () => {}); socket.resume(); });
      server.listen(0, "127.0.0.1", () => {
        const upstreams = new Upstreams({ connectMs: 60_000, connectionsPerOrigin: 4 });
        let failed = 0;
        const handler = { onHead() {}, onData: () => true, onEnd() {}, onFailure: () => { failed += 1; } };
        const origin = "http://127.0.0.1:" + server.address().port;
        const request = { origin, path: "/", headers: [], body: Buffer.alloc(1e6), firstByteMs: 60_000, idleMs: 0, tls: null };
        const call = upstreams.send(request, handler, performance.now());
        process.on("exit", (code) => console.log("failed:" + (failed - ${ending.includes("destroy") ? 1 : 0}) + " " + code));
        setTimeout(async () => { ${ending}; server.close(); }, 100);
      });
    `;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { stdio: "pipe" });
    const said: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => said.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => said.push(bytes));
    const tooLong = setTimeout(() => child.kill("SIGKILL"), 25_000);
    return new Promise((resolve) => {
      child.on("close", () => {
        clearTimeout(tooLong);
        resolve(Buffer.concat(said).toString());
      });
    });
  }
});
