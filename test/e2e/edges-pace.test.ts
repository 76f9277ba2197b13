/** Upstreams that are silent, slow or encode their answers: comments, deadlines, decoding as it comes. */
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  deflateSync,
  gzipSync,
} from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, startGateway, until } from "./gateway.js";
import { lastError, type Surface, SURFACES, wholeEvents } from "./surfaces.js";
import { ask, chat, type HandUpstream, open, startHandUpstream } from "./wire.js";

const COMMENT_MS = 300;

let fake: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  fake = await startFakeUpstream();
  gateway = await startGateway({
    config: { timeouts: { keep_alive_comment_ms: COMMENT_MS } },
    resources: oneProvider(fake.url),
  });
});

afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});

beforeEach(() => fake.reset());

describe("encodings", () => {
  const CODECS = {
    gzip: [gzipSync, createGzip, { flush: constants.Z_SYNC_FLUSH }],
    deflate: [deflateSync, createDeflate, { flush: constants.Z_SYNC_FLUSH }],
    br: [brotliCompressSync, createBrotliCompress, { flush: constants.BROTLI_OPERATION_FLUSH }],
  } as const;
  const WHOLE = JSON.stringify({ id: "chatcmpl-1", choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } });
  let upstream: HandUpstream;
  let encoded: RunningGateway;
  const EVENTS = 6;
  /** Events that the caller of a stream has. */
  let seen = 0;

  beforeAll(async () => {
    upstream = await startHandUpstream((response, bytes) => {
      const body = JSON.parse(bytes.toString()) as { codec: keyof typeof CODECS; stream?: boolean; cut?: boolean };
      const [whole, streaming, options] = CODECS[body.codec];
      const type = body.stream ? "text/event-stream" : "application/json";
      response.writeHead(200, { "content-type": type, "content-encoding": body.codec });
      if (body.stream !== true) {
        const packed = whole(WHOLE);
        response.end(body.cut ? packed.subarray(0, packed.length - 9) : packed);
        return;
      }
      const packer = streaming(options as never);
      packer.pipe(response);
      void (async () => {
        for (let number = 1; number <= EVENTS; number += 1) {
          packer.write(`data: {"choices":[{"index":0,"delta":{"content":"${number}"}}]}\n\n`);
          packer.flush();
          // The next one comes when the caller has this one.
          await until(() => seen >= number).catch(() => response.destroy());
        }
        packer.end("data: [DONE]\n\n");
      })();
    });
    encoded = await startGateway({ resources: oneProvider(upstream.url) });
  });

  afterAll(async () => {
    await encoded?.dispose();
    await upstream?.close();
  });

  it.each(["gzip", "deflate", "br"])("%s of a whole answer is undone; one cut short is a 502", async (codec) => {
    const answer = await ask(encoded.url, chat({}, { codec }));
    expect(answer.text).toBe(WHOLE);
    expect(answer.headers.get("content-encoding")).toBeNull();
    const cut = await ask(encoded.url, chat({}, { codec, cut: true }));
    expect([cut.status, cut.json.error.code]).toEqual([502, "upstream_decode_error"]);
  });

  it.each(["gzip", "deflate", "br"])("%s of a stream is undone event by event, as they come", async (codec) => {
    seen = 0;
    const response = await open(encoded.url, chat({}, { codec, stream: true }));
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      seen = text.match(/"delta"/g)?.length ?? 0;
    }
    expect(seen).toBe(EVENTS);
    expect(text).toContain("[DONE]");
  });
});

describe("an upstream that is silent after its head", () => {
  it("is bridged with comments every keep_alive_comment_ms, and its events stay whole", async () => {
    const script: Behaviour = { words: 4, first_byte_delay_ms: 1_300 };
    for (const surface of SURFACES) {
      const startedAt = performance.now();
      const answer = await ask(gateway.url, surface.body(true, script), { path: surface.path });
      const comments = answer.text.match(/^:.*\n\n/gm) ?? [];
      expect(comments.length).toBeGreaterThanOrEqual(2);
      expect(comments.length).toBeLessThanOrEqual((performance.now() - startedAt) / COMMENT_MS + 1);
      expect(answer.text.startsWith(":")).toBe(true);
      // A busy machine makes an upstream silent, too; one that is not gets no comments.
      const prompt = await gateway.until(async () => {
        const { text } = await ask(gateway.url, surface.body(true, { words: 4 }), { path: surface.path });
        return /^:/m.test(text) ? null : text;
      });
      expect(wholeEvents(answer.text)).toBe(wholeEvents(prompt));
      expect(answer.text).toContain(surface.terminator);
    }
  });

  it("gets no comments when keep_alive_comment_ms is 0", async () => {
    const script: Behaviour = { words: 4, first_byte_delay_ms: 500 };
    const other = await startGateway({
      config: { timeouts: { keep_alive_comment_ms: 0 } },
      resources: oneProvider(fake.url),
    });
    try {
      const answer = await ask(other.url, chat(script, { stream: true }));
      expect(answer.text).toContain("[DONE]");
      expect(answer.text).not.toMatch(/^:/m);
    } finally {
      await other.dispose();
    }
  });

  it("gets comments also between two bytes of one event, without harm to it", async () => {
    const script: Behaviour = { words: 2, chunking: { mode: "bytes", size: 250 }, gap_ms: 700 };
    const answer = await ask(gateway.url, chat(script, { stream: true }));
    expect(answer.text).toMatch(/^:/m);
    expect(wholeEvents(answer.text)).toBeGreaterThan(2);
    expect(answer.text).toContain("[DONE]");
  });
});

describe("timeouts.request_ms", () => {
  it("ends what takes longer: a whole answer with 504, a stream with an error event", async () => {
    const other = await startGateway({
      config: { timeouts: { request_ms: 1_000 } },
      resources: oneProvider(fake.url),
    });
    try {
      const startedAt = performance.now();
      const [whole, stream, trickle] = await Promise.all([
        ask(other.url, chat({ delay_ms: 60_000 })),
        ask(other.url, chat({ words: 500, gap_ms: 100 }, { stream: true })),
        ask(other.url, chat({ bytes: 4_000, chunking: { mode: "bytes", size: 10 }, gap_ms: 100 })),
      ]);
      // Each would have gone on for 40 s and more.
      expect(performance.now() - startedAt).toBeLessThan(15_000);
      expect([whole.status, whole.json.error.code]).toEqual([504, "timeout"]);
      expect([trickle.status, trickle.json.error.code]).toEqual([504, "timeout"]);
      expect(stream.status).toBe(200);
      expect(stream.text).not.toContain("[DONE]");
      expect(lastError(SURFACES[0] as Surface, stream.text).error.code).toBe("timeout");
      await fake.until((stats) => stats.in_flight === 0);
      const events = await other.until(async () => {
        const all = await other.events();
        return all.length === 3 ? all : null;
      });
      for (const event of events) expect(event).toMatchObject({ error: "timeout", complete: false });
    } finally {
      await other.dispose();
    }
  });
});
