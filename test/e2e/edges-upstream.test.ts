/** Upstreams that refuse, stall, break off, send garbage or encode: what the caller sees and what is recorded. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { lastError, spelled, SURFACES, wholeEvents } from "./surfaces.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { ask, chat, deadPort, startHandUpstream } from "./wire.js";

let fake: FakeUpstream;
let gateway: RunningGateway;
/** Has little patience; the other one has much, so that a busy machine is not taken for a silent upstream. */
let hasty: RunningGateway;

beforeAll(async () => {
  fake = await startFakeUpstream();
  const resources = oneProvider(fake.url);
  const timeouts = { keep_alive_comment_ms: 0 };
  gateway = await startGateway({ config: { timeouts }, resources });
  const little = { ...timeouts, first_byte_ms: 600, stream_idle_ms: 600 };
  hasty = await startGateway({ config: { timeouts: little }, resources });
});

afterAll(async () => {
  await hasty?.dispose();
  await gateway?.dispose();
  await fake?.close();
});

beforeEach(() => fake.reset());

/** Does something, and tells the one event that it left. */
async function eventOf(act: () => Promise<unknown>, at = gateway): Promise<UsageEvent> {
  const earlier = (await at.events()).length;
  await act();
  return at.until(async () => (await at.events())[earlier]);
}

describe.each(SURFACES)("on $name", (surface) => {
  const { path } = surface;

  it.each([
    ["resets the connection", { reset: true }, 502, ["transport_error"]],
    ["sends no HTTP", { garbage: "http" }, 502, ["upstream_decode_error"]],
    ["sends broken JSON", { garbage: "json" }, 502, ["upstream_decode_error"]],
    ["sends bytes that are no text", { garbage: "binary" }, 502, ["upstream_decode_error"]],
    ["sends an empty answer", { body: "" }, 502, ["upstream_decode_error"]],
    ["sends an error page as its answer", { body: "<html>Bad</html>" }, 502, ["upstream_decode_error"]],
    ["redirects", { redirect: "http://127.0.0.1:1/v1" }, 502, ["transport_error"]],
    ["breaks off in its answer", { close_after_bytes: 40 }, 502, ["transport_error", "upstream_decode_error"]],
    [
      "breaks off in chunks",
      { close_after_bytes: 40, chunked: true },
      502,
      ["transport_error", "upstream_decode_error"],
    ],
    [
      "announces an encoding that nobody knows",
      { headers: { "content-encoding": "rot13" } },
      502,
      ["upstream_decode_error"],
    ],
    ["announces gzip and sends none", { headers: { "content-encoding": "gzip" } }, 502, ["upstream_decode_error"]],
    ["sends nothing", { delay_ms: 60_000 }, 504, ["timeout"]],
  ] as [string, Behaviour, number, string[]][])(
    "an upstream that %s gives a %o error",
    async (_what, script, status, codes) => {
      let code = "";
      const asked = status === 504 ? hasty : gateway;
      const event = await eventOf(async () => {
        const answer = await ask(asked.url, surface.body(false, script), { path });
        expect(answer.status).toBe(status);
        code = surface.code(answer.json);
        expect(answer.text).not.toContain("127.0.0.1");
      }, asked);
      expect(codes).toContain(event.error);
      expect(code).toBe(spelled(surface, event.error, status));
      expect(event).toMatchObject({ status, complete: false, streamed: false });
      await fake.until((stats) => stats.in_flight === 0);
    },
  );

  it.each([
    ["resets the connection", { reset: true }, 502, "transport_error"],
    ["sends nothing", { delay_ms: 60_000 }, 504, "timeout"],
    ["breaks off after the head", { close_after_frames: 0 }, 502, "transport_error"],
  ] as [string, Behaviour, number, string][])(
    "a stream whose upstream %s before the first event is a %o error",
    async (_what, script, status, error) => {
      const asked = status === 504 ? hasty : gateway;
      const event = await eventOf(async () => {
        const answer = await ask(asked.url, surface.body(true, script), { path });
        expect(answer.status).toBe(status);
        expect(surface.code(answer.json)).toBe(spelled(surface, error, status));
      }, asked);
      expect(event).toMatchObject({ status, error, streamed: true, complete: false });
    },
  );

  it.each([
    ["stalls", { stall_after_frames: 8 }, "timeout"],
    ["closes", { close_after_frames: 8 }, "transport_error"],
    ["closes inside an event", { close_after_bytes: 3_500 }, "transport_error"],
    ["ends without the terminator", { end_without_terminator: true }, "transport_error"],
  ] as [string, Behaviour, string][])(
    "a stream whose upstream %s ends with an error event and without a terminator",
    async (_what, script, error) => {
      const asked = error === "timeout" ? hasty : gateway;
      const event = await eventOf(async () => {
        const answer = await ask(asked.url, surface.body(true, { words: 30, ...script }), { path });
        expect(answer.status).toBe(200);
        expect(answer.text).not.toContain(surface.terminator);
        expect(wholeEvents(answer.text)).toBeGreaterThan(2);
        const data = lastError(surface, answer.text);
        expect(surface.code(data)).toBe(spelled(surface, error, error === "timeout" ? 504 : 502));
      }, asked);
      expect(event).toMatchObject({ status: 200, upstream_status: 200, error, complete: false });
      expect(event.input_tokens).toBeGreaterThan(0);
      expect(event.output_tokens).toBeGreaterThan(0);
      await fake.until((stats) => stats.in_flight === 0);
    },
  );

  it("an error event of the upstream's own passes and is recorded as one", async () => {
    const event = await eventOf(async () => {
      const answer = await ask(gateway.url, surface.body(true, { words: 30, error_frame_after: 8 }), { path });
      expect(answer.status).toBe(200);
      expect(answer.text).toContain("The fake upstream broke off.");
      expect(answer.text).not.toContain(surface.terminator);
      expect(JSON.stringify(lastError(surface, answer.text))).toContain("The fake upstream broke off.");
    });
    expect(event).toMatchObject({ status: 200, error: "upstream_error", complete: false });
  });

  it("a stream with CR LF passes and its usage is read", async () => {
    const event = await eventOf(async () => {
      const answer = await ask(gateway.url, surface.body(true, { words: 30, crlf: true }), { path });
      expect(answer.text).toContain(surface.terminator);
      expect(answer.text).toContain("\r\n\r\n");
    });
    expect(event).toMatchObject({ status: 200, estimated: false, complete: true, error: "" });
    const { input, output } = fake.stats();
    expect([event.input_tokens, event.output_tokens]).toEqual([input, output]);
  });

  it.each([false, true])("gzip is undone (stream: %s)", async (stream) => {
    const event = await eventOf(async () => {
      const answer = await ask(gateway.url, surface.body(stream, { gzip: true, words: 30 }), { path });
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-encoding")).toBeNull();
      if (stream) expect(answer.text).toContain(surface.terminator);
      else expect(answer.json.model).toBeTruthy();
    });
    const { input, output } = fake.stats();
    expect(event).toMatchObject({ input_tokens: input, output_tokens: output, estimated: false, complete: true });
  });
});

describe("an upstream that nobody listens for", () => {
  it("is a 502 transport_error on every surface", async () => {
    const other = await startGateway({ resources: oneProvider(`http://127.0.0.1:${await deadPort()}`) });
    try {
      for (const surface of SURFACES) {
        const answer = await ask(other.url, surface.body(false, {}), { path: surface.path });
        expect(answer.status).toBe(502);
        expect(surface.code(answer.json)).toBe(spelled(surface, "transport_error", 502));
      }
      const events = await other.until(async () => {
        const all = await other.events();
        return all.length === SURFACES.length ? all : null;
      });
      for (const event of events) {
        expect(event).toMatchObject({ status: 502, upstream_status: 0, error: "transport_error", complete: false });
      }
    } finally {
      await other.dispose();
    }
  });
});

describe("informational answers", () => {
  it("before the real one are passed over", async () => {
    const upstream = await startHandUpstream((response) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: "</a>; rel=preload" });
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"id":"chatcmpl-9","choices":[]}');
    });
    const other = await startGateway({ resources: oneProvider(upstream.url) });
    try {
      const answer = await ask(other.url, chat());
      expect([answer.status, answer.json?.id]).toEqual([200, "chatcmpl-9"]);
    } finally {
      await other.dispose();
      await upstream.close();
    }
  });
});

describe("a whole answer that has begun to leave", () => {
  it("is cut, not ended, when its upstream breaks off", async () => {
    const event = await eventOf(async () => {
      const script: Behaviour = { bytes: 400_000, close_after_bytes: 300_000, chunked: true };
      await expect(ask(gateway.url, chat(script))).rejects.toThrow();
    });
    expect(event).toMatchObject({ complete: false, error: "transport_error" });
  });
});
