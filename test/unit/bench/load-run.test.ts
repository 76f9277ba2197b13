import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { expectedAnswer, requestBody, streamEvents, wholeAnswer } from "../../../bench/load/answers.js";
import { runLoad } from "../../../bench/load/load-run.js";
import type { LoadPlan, LoadResult } from "../../../bench/load/plan.js";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => listener(request, response));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function load(model: string, listener: RequestListener, changes: Partial<LoadPlan> = {}): Promise<LoadResult> {
  return runLoad({
    host: "127.0.0.1",
    port: await serve(listener),
    path: "/v1/chat/completions",
    headers: { authorization: "Bearer x" },
    body: requestBody({ surface: "chat", model, padBytes: 0, turns: 1 }),
    connections: 4,
    beginAt: 0,
    rampMs: 0,
    warmupMs: 0,
    windowMs: 5000,
    drainMs: 2000,
    stopAfter: 40,
    expect: expectedAnswer("chat", model),
    watch: [{ role: "middle", pids: [process.pid] }],
    ...changes,
  });
}

const EVENTS = streamEvents("chat", "burst-5", 5, true);

/** Every tenth answer is the odd one: the run ends by its count, and the failures stand out. */
function everyTenth(
  usual: (response: ServerResponse) => void,
  odd: (response: ServerResponse, socket: Socket) => void,
) {
  let count = 0;
  const listener: RequestListener = (request, response) => {
    if (++count % 10 === 0) odd(response, request.socket);
    else usual(response);
  };
  return listener;
}

const whole = (response: ServerResponse): void => void response.end(wholeAnswer("chat", "whole"));
const stream = (events: readonly string[]) => (response: ServerResponse) => {
  for (const event of events) response.write(event);
  response.end();
};

describe("runLoad", () => {
  it("counts whole answers and measures them", async () => {
    const result = await load("whole", (_request, response) => whole(response));
    expect(result.failures).toBe(0);
    expect(result.completed).toBeGreaterThanOrEqual(40);
    expect(result.latency.count).toBe(result.completed);
    expect(result.latency.p50).toBeGreaterThan(0);
    expect(result.processes[0]?.residentBytes).toBeGreaterThan(1e6);
  });

  it("counts the events of streams", async () => {
    const result = await load("burst-5", (_request, response) => stream(EVENTS)(response));
    expect(result.failureExamples).toEqual([]);
    expect(result.events).toBe(result.completed * EVENTS.length);
  });

  it("notices the gap in a stream", async () => {
    const listener: RequestListener = (_request, response) => {
      response.write(EVENTS[0]);
      setTimeout(() => stream(EVENTS.slice(1))(response), 60);
    };
    const result = await load("burst-5", listener, { stopAfter: 4 });
    expect(result.failureExamples).toEqual([]);
    expect(result.gaps.max).toBeGreaterThanOrEqual(55);
    expect(result.firstByte.p50).toBeLessThan(result.latency.p50);
  });

  it("reconnects without a failure when the server announces the close", async () => {
    const closing = (response: ServerResponse): void =>
      void response.setHeader("connection", "close").end(wholeAnswer("chat", "whole"));
    const result = await load("whole", everyTenth(whole, closing));
    expect(result.failures).toBe(0);
    expect(result.reconnects).toBeGreaterThan(0);
  });

  it.each<[string, RequestListener, RegExp]>([
    ["a status", everyTenth(stream(EVENTS), (response) => response.writeHead(503).end("busy")), /status 503: busy/],
    ["a missing event", everyTenth(stream(EVENTS), stream(EVENTS.toSpliced(2, 1))), /differs/],
    ["a doubled event", everyTenth(stream(EVENTS), stream(EVENTS.toSpliced(2, 0, EVENTS[2] as string))), /differs/],
    ["a missing terminator", everyTenth(stream(EVENTS), stream(EVENTS.slice(0, -1))), /short body/],
    ["a reset", everyTenth(stream(EVENTS), (_response, socket) => socket.resetAndDestroy()), /ECONNRESET|closed/],
    [
      "an early end",
      everyTenth(stream(EVENTS), (response, socket) => {
        response.write(EVENTS[0]);
        setImmediate(() => socket.destroy());
      }),
      /closed/,
    ],
  ])("counts %s as a failure", async (_name, listener, reason) => {
    const result = await load("burst-5", listener);
    expect(result.failures).toBeGreaterThan(0);
    expect(result.failureExamples.join("\n")).toMatch(reason);
  });

  it("counts an answer that never ends as a failure", async () => {
    const listener = everyTenth(whole, (response) => void response.write("{"));
    const result = await load("whole", listener, { drainMs: 100, windowMs: 300, stopAfter: 0 });
    expect(result.failures).toBeGreaterThan(0);
    expect(result.failureExamples.join("\n")).toMatch(/not over when the run ended/);
  });

  it("begins when it is told to", async () => {
    const beginAt = Date.now() + 150;
    let first = 0;
    const listener: RequestListener = (_request, response) => {
      first ||= Date.now();
      whole(response);
    };
    expect((await load("whole", listener, { beginAt })).failures).toBe(0);
    // Timers count in whole milliseconds of another clock.
    expect(first).toBeGreaterThanOrEqual(beginAt - 2);
  });

  it("takes a translated answer by its meaning, and an answer that differs from the others as a failure", async () => {
    const translated = (id: string, texts = ["a", "b"]): string =>
      JSON.stringify({
        id,
        type: "message",
        role: "assistant",
        model: "m",
        content: [{ type: "text", text: texts.join("") }],
        stop_reason: "end_turn",
        usage: { input_tokens: 1, output_tokens: 2 },
      });
    const meaning: LoadPlan["expect"] = {
      kind: "message",
      streamed: false,
      model: "m",
      texts: ["ab"],
      inputTokens: 1,
      outputTokens: 2,
    };
    const right = (response: ServerResponse): void => void response.end(translated("same"));
    const good = await load("whole", (_request, response) => right(response), { expect: meaning });
    expect([good.failures, good.completed >= 40]).toEqual([0, true]);
    const other = everyTenth(right, (response) => void response.end(translated("other")));
    const mixed = await load("whole", other, { expect: meaning });
    expect(mixed.failureExamples.join()).toMatch(/differs/);
  });

  it("gives up on a server that only fails", async () => {
    const result = await load("whole", (_request, response) => void response.writeHead(401).end("no"), {
      windowMs: 60_000,
    });
    expect(result.completed).toBe(0);
    expect(result.failures).toBeGreaterThan(200);
  });
});
