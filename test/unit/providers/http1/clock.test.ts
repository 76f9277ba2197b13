import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { answer, type Peer, Rig } from "./raw-upstream.js";
import { until } from "./recorded.js";

let rig: Rig;
beforeEach(() => {
  rig = new Rig({ connectionsPerOrigin: 2 });
});
afterEach(() => rig.close());

const HEAD = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";

/** Keeps the thread to itself. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {}
}

/** A timer of the test's own for the same time: whatever keeps the thread busy delays both. */
function reference(milliseconds: number): { firedAt: number } {
  const timer = { firedAt: Number.POSITIVE_INFINITY };
  setTimeout(() => {
    timer.firedAt = performance.now();
  }, milliseconds);
  return timer;
}

describe("the time until the head", () => {
  it.each([60, 200, 450])("of %i ms is neither cut short nor stretched", async (firstByteMs) => {
    const upstream = await rig.upstream((peer, { head }) => {
      if (head.startsWith("POST /warm")) peer.write(answer("ok"));
    });
    await rig.ask(upstream, { path: "/warm" });
    const sentAt = performance.now();
    const { recorded } = rig.send(upstream, { firstByteMs });
    const timer = reference(firstByteMs + 50);
    const { failure, overAt } = await recorded.whenOver();
    expect(failure).toEqual({ kind: "timeout", message: "no answer yet" });
    expect(overAt - sentAt).toBeGreaterThanOrEqual(firstByteMs);
    await until(() => timer.firedAt < Number.POSITIVE_INFINITY, "the test's own timer has fired");
    expect(overAt).toBeLessThan(timer.firedAt + 100);
    await until(() => upstream.open === 0, "the connection has ended");
  });

  it("is not prolonged by announcements nor by half a head", async () => {
    const upstream = await rig.upstream((peer) => {
      const timer = setInterval(() => peer.write("HTTP/1.1 100 Continue\r\n\r\n"), 40);
      setTimeout(() => clearInterval(timer), 350);
      peer.socket.on("close", () => clearInterval(timer));
      setTimeout(() => !peer.closed && peer.write("HTTP/1.1 200 OK\r\n"), 390);
    });
    const sentAt = performance.now();
    const { failure, overAt } = await rig.ask(upstream, { firstByteMs: 500 });
    expect(failure?.kind).toBe("timeout");
    expect(overAt - sentAt).toBeGreaterThanOrEqual(500);
    expect(overAt - sentAt).toBeLessThan(800);
  });

  it("does not bound the body", async () => {
    const upstream = await rig.upstream((peer) => {
      peer.write(HEAD);
      setTimeout(() => peer.write("body"), 300);
    });
    expect((await rig.ask(upstream, { firstByteMs: 150 })).text).toBe("body");
  });

  it("does not run while a call waits for its turn", async () => {
    rig = new Rig({ connectionsPerOrigin: 1 });
    const upstream = await rig.upstream((peer) => void setTimeout(() => peer.write(answer("ok")), 250));
    const sent = [1, 2].map(() => rig.send(upstream, { firstByteMs: 400 }).recorded);
    for (const recorded of sent) expect((await recorded.whenOver()).text).toBe("ok");
  });

  it("bounds how long a call waits for its turn", async () => {
    rig = new Rig({ connectionsPerOrigin: 1 });
    const upstream = await rig.upstream(() => {});
    rig.send(upstream, { firstByteMs: 0 });
    const sentAt = performance.now();
    const told = await rig.ask(upstream, { firstByteMs: 200 });
    expect(told.failure).toEqual({ kind: "timeout", message: "no free connection" });
    expect(told.overAt - sentAt).toBeGreaterThanOrEqual(200);
  });

  it("of nothing has no end", async () => {
    const upstream = await rig.upstream((peer) => void setTimeout(() => peer.write(answer("ok")), 400));
    expect((await rig.ask(upstream, { firstByteMs: 0, idleMs: 50 })).text).toBe("ok");
  });
});

describe("the silence inside an answer", () => {
  it("is bounded from the last bytes on", async () => {
    let lastAt = 0;
    const upstream = await rig.upstream((peer) => {
      peer.write(HEAD);
      let left = 3;
      const timer = setInterval(() => {
        peer.write("x");
        lastAt = performance.now();
        left -= 1;
        if (left === 0) clearInterval(timer);
      }, 120);
    });
    const told = await rig.ask(upstream, { idleMs: 250 });
    expect(told).toMatchObject({ text: "xxx", failure: { kind: "timeout", message: "silent" } });
    expect(told.overAt - lastAt).toBeGreaterThanOrEqual(250);
    expect(told.overAt - lastAt).toBeLessThan(600);
  });

  it("does not count while the answer is paused, and counts again from its going on", async () => {
    const upstream = await rig.upstream((peer) => peer.write(`${HEAD}bo`));
    const sent = rig.send(upstream, { idleMs: 120 }, { data: () => false });
    await until(() => sent.recorded.bytes === 2, "half of the body has come");
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(sent.recorded.over).toBe(false);
    const resumedAt = performance.now();
    sent.call.resume();
    await sent.recorded.whenOver();
    expect(sent.recorded.failure).toEqual({ kind: "timeout", message: "silent" });
    expect(sent.recorded.overAt - resumedAt).toBeGreaterThanOrEqual(120);
    expect(sent.recorded.overAt - resumedAt).toBeLessThan(450);
  });
});

describe("a thread that was away", () => {
  /** Answers in parts; all of it lies in the system's memory before the thread is kept busy. */
  function answersThenBlocks(milliseconds: number): (peer: Peer) => void {
    return (peer) => {
      peer.write(answer("ok"));
      block(milliseconds);
    };
  }

  it.each([
    [60, 110],
    [60, 240],
    [200, 500],
  ])("finds the answer that came within %i ms, although %i ms have passed", async (firstByteMs, away) => {
    const upstream = await rig.upstream(answersThenBlocks(away));
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await rig.ask(upstream, { firstByteMs })).toMatchObject({ text: "ok", failure: null });
    }
  });

  it("finds the rest of the answer, too", async () => {
    const upstream = await rig.upstream((peer) => {
      peer.write(`${HEAD}bo`);
      setTimeout(() => {
        peer.write("dy");
        block(500);
      }, 50);
    });
    expect(await rig.ask(upstream, { firstByteMs: 300, idleMs: 300 })).toMatchObject({ text: "body", failure: null });
  });

  it("finds its connection open", async () => {
    rig = new Rig({ connectMs: 100 });
    const upstream = await rig.upstream((peer) => peer.write(answer("ok")));
    const { recorded } = rig.send(upstream);
    block(400);
    expect(await recorded.whenOver()).toMatchObject({ text: "ok", failure: null });
  });

  it("again and again still ends what is silent", async () => {
    const upstream = await rig.upstream(() => {});
    const timer = setInterval(() => block(300), 1);
    const told = await rig.ask(upstream, { firstByteMs: 500 });
    clearInterval(timer);
    expect(told.failure?.kind).toBe("timeout");
  });
});
