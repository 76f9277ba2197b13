/** The end of a node: readiness first, what is under way finishes, nothing is lost, and it is bounded. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { ask, chat, dechunked, probe, rawRequest, startHandUpstream, Wire } from "./wire.js";

const MIB = 1_048_576;
let fake: FakeUpstream;
let gateway: RunningGateway | null = null;
const wires: Wire[] = [];

beforeAll(async () => {
  fake = await startFakeUpstream();
});

afterAll(() => fake?.close());
beforeEach(() => fake.reset());
afterEach(async () => {
  for (const wire of wires.splice(0)) wire.destroy();
  await gateway?.dispose();
  gateway = null;
});

async function start(drain: Record<string, number>, upstream = fake.url, acceptors = 2): Promise<RunningGateway> {
  gateway = await startGateway({ config: { drain, acceptors }, resources: oneProvider(upstream) });
  return gateway;
}

async function refused(url: string): Promise<boolean> {
  return probe(`${url}/livez`).then(
    () => false,
    () => true,
  );
}

describe("SIGTERM", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "turns readiness 503 at once and lets a stream finish wholly (%s)",
    async (signal) => {
      const running = await start({ notice_ms: 0, max_ms: 20_000 });
      const stream = ask(running.url, chat({ words: 75, gap_ms: 40 }, { stream: true }));
      const whole = ask(running.url, chat({ delay_ms: 3_000 }));
      await fake.until((stats) => stats.in_flight === 2);
      expect(await probe(`${running.opsUrl}/readyz`)).toBe(200);
      const end = running.end(signal);
      await running.until(async () => (await probe(`${running.opsUrl}/readyz`)) === 503);
      expect(await probe(`${running.opsUrl}/livez`)).toBe(200);
      await running.until(() => refused(running.url));
      // At once: neither of them has ended.
      expect(fake.stats().in_flight).toBe(2);
      expect((await whole).status).toBe(200);
      const answer = await stream;
      expect(answer.text).toContain("[DONE]");
      expect(await end).toEqual({ code: 0, signal: null });
      const { input, output } = fake.stats();
      const events = await running.events();
      expect(events.map(({ status, complete }) => [status, complete])).toEqual([
        [200, true],
        [200, true],
      ]);
      expect(events.reduce((sum, event) => sum + event.input_tokens + event.output_tokens, 0)).toBe(input + output);
    },
  );

  it("still serves during drain.notice_ms, each answer closing its connection", async () => {
    const running = await start({ notice_ms: 4_000, max_ms: 20_000 });
    const kept = new Wire(running.url);
    wires.push(kept);
    kept.write(rawRequest(JSON.stringify(chat())));
    await kept.saw('"choices"');
    const early = new Wire(running.url);
    wires.push(early);
    early.write(rawRequest(JSON.stringify(chat({ words: 10, gap_ms: 20 }, { stream: true }))));
    await early.saw("data: ");
    const end = running.end();
    await running.until(async () => (await probe(`${running.opsUrl}/readyz`)) === 503);
    await running.until(async () => (await probe(`${running.url}/readyz`)) === 503);
    expect(await probe(`${running.url}/livez`)).toBe(200);
    for (const stream of [false, true]) {
      const fresh = new Wire(running.url);
      wires.push(fresh);
      fresh.write(rawRequest(JSON.stringify(chat({ words: 3 }, { stream }))));
      if (stream) await fresh.saw("\r\n0\r\n\r\n");
      else await fresh.ended();
      expect(fresh.status).toBe(200);
      const [head] = fresh.text.split("\r\n\r\n");
      expect(head).toMatch(/^connection: close\r?$/im);
      expect(stream ? dechunked(fresh.text) : fresh.text).toContain(stream ? "[DONE]" : '"choices"');
    }
    await early.saw("\r\n0\r\n\r\n");
    expect(dechunked(early.text)).toContain("[DONE]");
    const model = new Wire(running.url);
    wires.push(model);
    model.write(`GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\n\r\n`);
    await model.ended();
    expect(model.text).toMatch(/^connection: close\r$/im);
    kept.received = Buffer.alloc(0);
    kept.write(rawRequest(JSON.stringify(chat())));
    await kept.ended();
    expect(kept.text).toMatch(/^connection: close\r$/im);
    expect(kept.text).toContain('"choices"');
    expect(await end).toEqual({ code: 0, signal: null });
    expect(await running.events()).toHaveLength(5);
  });

  it("gives requests drain.max_ms after the notice", async () => {
    const running = await start({ notice_ms: 3_000, max_ms: 3_000 });
    // It takes four seconds.
    const stream = ask(running.url, chat({ words: 80, gap_ms: 50 }, { stream: true }));
    await fake.until((stats) => stats.in_flight === 1);
    const end = running.end();
    expect((await stream).text).toContain("[DONE]");
    expect(await end).toEqual({ code: 0, signal: null });
  });

  it("cuts what goes on after drain.max_ms, and still has it on file", async () => {
    const running = await start({ notice_ms: 0, max_ms: 700 });
    const stream = ask(running.url, chat({ words: 1_000, gap_ms: 50 }, { stream: true }));
    const whole = ask(running.url, chat({ delay_ms: 30_000 }));
    stream.catch(() => {});
    whole.catch(() => {});
    await fake.until((stats) => stats.in_flight === 2 && stats.output > 2);
    const sentAt = performance.now();
    expect(await running.end()).toEqual({ code: 0, signal: null });
    const took = performance.now() - sentAt;
    expect(took).toBeGreaterThan(650);
    // The stream would have gone on for 50 s, the other for 30.
    expect(took).toBeLessThan(10_000);
    await expect(whole).rejects.toThrow();
    await stream.then(
      (answer) => expect(answer.text).not.toContain("[DONE]"),
      () => {},
    );
    await fake.until((stats) => stats.in_flight === 0);
    const events = await running.events();
    expect(events).toHaveLength(2);
    for (const event of events) {
      expect(event.complete).toBe(false);
      expect(event.input_tokens).toBeGreaterThan(0);
    }
  });

  it("a second one ends at once", async () => {
    const running = await start({ notice_ms: 0, max_ms: 60_000 });
    const stream = ask(running.url, chat({ words: 1_000, gap_ms: 50 }, { stream: true }));
    stream.catch(() => {});
    await fake.until((stats) => stats.in_flight === 1 && stats.output > 2);
    const end = running.end();
    await running.until(async () => (await probe(`${running.opsUrl}/readyz`)) === 503);
    // It has heard the first one by now; what comes soon after that would be taken for the same.
    const heardBy = performance.now();
    await running.until(() => performance.now() - heardBy > 300);
    expect(running.child.exitCode).toBeNull();
    running.child.kill("SIGTERM");
    const secondAt = performance.now();
    expect((await end).signal).toBeNull();
    expect(performance.now() - secondAt).toBeLessThan(15_000);
    expect(await running.events()).toHaveLength(1);
  });

  it("that arrives twice at once, as from a process group, counts as one", async () => {
    const running = await start({ notice_ms: 0, max_ms: 20_000 });
    const stream = ask(running.url, chat({ words: 30, gap_ms: 40 }, { stream: true }));
    await fake.until((stats) => stats.in_flight === 1);
    const end = running.end();
    running.child.kill("SIGTERM");
    expect((await stream).text).toContain("[DONE]");
    expect(await end).toEqual({ code: 0, signal: null });
  });

  it("is not held up by connections that only stand open", async () => {
    const running = await start({ notice_ms: 0, max_ms: 60_000 });
    const idle = Array.from({ length: 6 }, () => new Wire(running.url));
    wires.push(...idle);
    for (const wire of idle.slice(0, 3)) wire.write(rawRequest(JSON.stringify(chat())));
    for (const wire of idle.slice(0, 3)) await wire.saw('"choices"');
    const sentAt = performance.now();
    expect(await running.end()).toEqual({ code: 0, signal: null });
    expect(performance.now() - sentAt).toBeLessThan(20_000);
  });
});

describe("a drain", () => {
  it("delivers a long answer to its last byte also to a slow reader", async () => {
    const total = 24 * MIB;
    const line = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "z".repeat(32_000) } }] })}\n\n`;
    const upstream = await startHandUpstream(async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let sent = 0; sent < total; sent += line.length) {
        if (!response.write(line)) await once(response, "drain");
      }
      response.end("data: [DONE]\n\n");
    });
    try {
      const running = await start({ notice_ms: 0, max_ms: 30_000 }, upstream.url, 1);
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
        const request = httpRequest(`${running.url}/v1/chat/completions`, { method: "POST", agent: false, headers });
        request.once("response", resolve).once("error", reject);
        request.end(JSON.stringify({ ...chat(), stream: true, stream_options: { include_usage: true } }));
      });
      const end = running.end();
      let bytes = 0;
      let tail = "";
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        tail = (tail + chunk.toString("latin1")).slice(-64);
        response.pause();
        setTimeout(() => response.resume(), 2);
      });
      await Promise.race([once(response, "end"), once(response, "error")]);
      expect(tail.endsWith("data: [DONE]\n\n")).toBe(true);
      expect(bytes).toBeGreaterThanOrEqual(total);
      expect(await end).toEqual({ code: 0, signal: null });
    } finally {
      await upstream.close();
    }
  });

  it("under load loses no request that was taken", async () => {
    const running = await start({ notice_ms: 800, max_ms: 20_000 });
    const agent = new Agent({ keepAlive: true });
    const failures: string[] = [];
    const delivered: string[] = [];
    let going = true;
    const one = () =>
      new Promise<boolean>((resolve) => {
        const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
        const request = httpRequest(
          `${running.url}/v1/chat/completions`,
          { method: "POST", agent, headers },
          (answer) => {
            answer.resume();
            answer.once("error", (error) => failures.push(`answer: ${error.message}`));
            answer.once("end", () => {
              if (answer.statusCode === 200) delivered.push(String(answer.headers["x-weir-request-id"]));
              else failures.push(`status ${answer.statusCode}`);
              resolve(true);
            });
          },
        );
        request.once("error", (error: NodeJS.ErrnoException) => {
          // Nobody listens any more, or the port closed while the connection waited to be accepted: balancers
          // have noticed long before. A connection that had been taken may not be reset.
          const untaken = error.code === "ECONNREFUSED" || (error.code === "ECONNRESET" && !request.reusedSocket);
          if (!untaken) failures.push(String(error.code ?? error.message));
          resolve(!untaken);
        });
        request.end(JSON.stringify(chat({ delay_ms: 10 })));
      });
    const clients = Array.from({ length: 16 }, async () => {
      while (going && (await one()));
    });
    await running.until(() => delivered.length > 100);
    const end = running.end();
    await Promise.all(clients);
    going = false;
    agent.destroy();
    expect(await end).toEqual({ code: 0, signal: null });
    expect(failures).toEqual([]);
    const onFile = new Set((await running.events()).map((event) => event.request_id));
    expect(delivered.filter((id) => !onFile.has(id))).toEqual([]);
    expect(onFile.size).toBe(delivered.length);
    expect(fake.stats().requests).toBe(delivered.length);
  });
});
