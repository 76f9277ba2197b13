/** Images, sound and moderation through the vendor's own SDK: every operation, every form of its answers. */
import { createHash } from "node:crypto";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { wav } from "../unit/dialects/media/sounds.js";
import { BEARER, call, eventOf, lastRequest, received } from "./calls.js";
import { formOf } from "./forms.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";

const MIB = 1024 * 1024;

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: OpenAI;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = oneProvider(upstream.url) as Record<"models", unknown[]>;
  const names = ["whisper-*", "tts-*", "dall-e-*", "omni-moderation-*"];
  for (const name of names) {
    resources.models.push({ display_name: name, provider: "openai", model_name: name, provider_key: "openai-main" });
  }
  const keys = (resources as Record<string, unknown[]>).provider_keys;
  keys?.push({ display_name: "built-in", provider: "simulator" });
  const simulated = { provider: "simulator", model_name: "simulator", provider_key: "built-in" };
  resources.models.push({ display_name: "sim", ...simulated });
  gateway = await startGateway({ config: { limits: { event_bytes: 4096 } }, resources });
  client = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

/** The event of the request that the upstream got last. */
async function lastEvent() {
  const events = await gateway.until(async () => {
    const all = await gateway.events();
    return all.length > 0 ? all : null;
  });
  return events.at(-1);
}

const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Not silence, so that a byte out of place shows. */
function noise(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = 1;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

describe("images", () => {
  test("generated: as bytes, as addresses", async () => {
    const made = await client.images.generate({
      model: "gpt-alias",
      prompt: "A weir",
      n: 2,
      size: "1024x1536",
      quality: "high",
    });
    expect(made.data).toHaveLength(2);
    expect(made.data?.[0]?.b64_json).toMatch(/^[A-Za-z0-9+/]+=*$/);
    const { units, outputTokens, inputTokens, model } = lastRequest(upstream);
    expect([units, model]).toEqual([{ images: 2 }, "gpt-upstream"]);
    expect(made.usage).toMatchObject({ input_tokens: inputTokens, output_tokens: outputTokens });
    expect(await lastEvent()).toMatchObject({
      operation: "images",
      images: 2,
      image_size: "1024x1536",
      image_quality: "high",
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      estimated: false,
      complete: true,
      streamed: false,
    });
    const placed = await client.images.generate({ model: "dall-e-3", prompt: "A weir", response_format: "url" });
    expect(placed.data?.[0]?.url).toMatch(/^https:/);
    expect(await lastEvent()).toMatchObject({ images: 1, price_known: true });
  });

  test("that tell no usage cost by the piece", async () => {
    upstream.script({ usage: "none" });
    await client.images.generate({ model: "dall-e-3", prompt: "A weir", size: "1792x1024", quality: "hd" });
    expect(await lastEvent()).toMatchObject({ images: 1, input_tokens: 0, output_tokens: 0, cost_usd: 0.12 });
  });

  test("larger than any buffer pass whole", async () => {
    upstream.script({ bytes: 3 * MIB });
    const made = await client.images.generate({ model: "gpt-alias", prompt: "A weir" });
    expect(Buffer.from(made.data?.[0]?.b64_json ?? "", "base64")).toHaveLength(3 * MIB);
    expect(await lastEvent()).toMatchObject({ images: 1, complete: true, estimated: false });
  });

  test.each([96, 1 * MIB])("streamed, partial ones before: events of %d bytes and more", async (bytes) => {
    upstream.script({ bytes });
    const stream = await client.images.generate({
      model: "gpt-alias",
      prompt: "A weir",
      stream: true,
      partial_images: 2,
    });
    const types: string[] = [];
    for await (const event of stream) {
      types.push(event.type);
      expect(Buffer.from(event.b64_json, "base64")).toHaveLength(bytes);
    }
    const partial = "image_generation.partial_image";
    expect(types).toEqual([partial, partial, "image_generation.completed"]);
    const { outputTokens } = lastRequest(upstream);
    expect(await lastEvent()).toMatchObject({
      images: 1,
      image_size: "1024x1024",
      output_tokens: outputTokens,
      streamed: true,
      complete: true,
      error: "",
    });
  });

  test("streamed and broken off end with an error", async () => {
    upstream.script({ bytes: 10_000, close_after_frames: 1 });
    const stream = await client.images.generate({ model: "gpt-alias", prompt: "p", stream: true, partial_images: 2 });
    await expect(async () => {
      for await (const _event of stream);
    }).rejects.toThrow(/broke off|upstream/);
    expect(await lastEvent()).toMatchObject({ images: 0, complete: false, error: "transport_error" });
  });

  test("edited: one, several, masked, streamed, 20 MB of them", async () => {
    const picture = noise(20 * MIB);
    const image = [await toFile(picture, "a.png", { type: "image/png" }), await toFile(noise(99), "b.png")];
    const made = await client.images.edit({ model: "gpt-alias", prompt: "More water", image, n: 2, size: "1024x1024" });
    expect(made.data).toHaveLength(2);
    const record = lastRequest(upstream);
    expect(record.body.indexOf(picture)).toBeGreaterThan(0);
    expect(received(record, "content-type")[0]).toMatch(/^multipart\/form-data; ?boundary=/);
    expect(await lastEvent()).toMatchObject({ operation: "image_edits", images: 2, request_bytes: expect.any(Number) });
    const stream = await client.images.edit({
      model: "gpt-alias",
      prompt: "p",
      image: await toFile(noise(9), "a.png"),
      stream: true,
    });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual(["image_edit.completed"]);
    expect(await lastEvent()).toMatchObject({ images: 1, streamed: true, complete: true });
  });

  test("varied", async () => {
    const made = await client.images.createVariation({
      model: "dall-e-2",
      image: await toFile(noise(99), "a.png"),
      n: 3,
      size: "256x256",
    });
    expect(made.data).toHaveLength(3);
    expect(await lastEvent()).toMatchObject({ operation: "image_variations", images: 3, image_size: "256x256" });
  });
});

describe("sound that is listened to", () => {
  const file = () => toFile(wav(2), "a.wav", { type: "audio/wav" });

  test("changes in nothing but its model's name on the way", async () => {
    const fields = { language: "en", model: "gpt-alias", "timestamp_granularities[]": "word" };
    const files = [{ field: "file", name: "ä.wav", bytes: noise(5_000) }];
    const { bytes, contentType } = formOf(fields, files);
    const answer = await call(`${gateway.url}/v1/audio/transcriptions`, {
      body: bytes,
      headers: { ...BEARER, "content-type": contentType },
    });
    expect(answer.status).toBe(200);
    const record = lastRequest(upstream);
    expect(record.body.equals(formOf({ ...fields, model: "gpt-upstream" }, files).bytes)).toBe(true);
    expect(received(record, "content-type")).toEqual([contentType]);
    expect(received(record, "content-length")).toEqual([String(record.body.length)]);
  });

  test.each(["json", "verbose_json", "text", "srt", "vtt"] as const)("as %s", async (response_format) => {
    const said = await client.audio.transcriptions.create({ model: "whisper-1", file: await file(), response_format });
    const text = typeof said === "string" ? said : said.text;
    expect(text).toContain("The simulator hears");
    if (response_format === "srt") expect(text).toContain("00:00:00,000 --> 00:00:02,000");
    if (response_format === "vtt") expect(text.startsWith("WEBVTT\n\n")).toBe(true);
    expect(await lastEvent()).toMatchObject({
      operation: "transcriptions",
      upstream_model: "whisper-1",
      audio_seconds: lastRequest(upstream).units.seconds,
      estimated: false,
      cost_usd: 0.0002,
      complete: true,
    });
  });

  test("of no length that anybody knows counts by its size, and says so", async () => {
    const some = await toFile(Buffer.alloc(80_000), "a.webm");
    await client.audio.transcriptions.create({ model: "whisper-1", file: some, response_format: "text" });
    expect(await lastEvent()).toMatchObject({ audio_seconds: 10, estimated: true });
  });

  test("by a model that is paid by tokens, whole and streamed", async () => {
    const whole = await client.audio.transcriptions.create({
      model: "gpt-transcribe",
      file: await file(),
      prompt: "A river",
    });
    const { inputTokens: input_tokens, outputTokens: output_tokens } = lastRequest(upstream);
    expect(output_tokens).toBeGreaterThan(0);
    expect(await lastEvent()).toMatchObject({ input_tokens, output_tokens, audio_seconds: 2, estimated: false });
    upstream.script({ words: 12 });
    const stream = await client.audio.transcriptions.create({
      model: "gpt-transcribe",
      file: await file(),
      stream: true,
    });
    let text = "";
    let last = "";
    for await (const event of stream) {
      if (event.type === "transcript.text.delta") text += event.delta;
      if (event.type === "transcript.text.done") last = event.text;
    }
    expect(text.split(" ")).toHaveLength(12);
    expect(text).toBe(last);
    expect(whole.text).toContain("hears");
    expect(await lastEvent()).toMatchObject({
      streamed: true,
      complete: true,
      output_tokens: lastRequest(upstream).outputTokens,
    });
  });

  test("of 25 MB arrives byte for byte", async () => {
    const sound = Buffer.concat([wav(1).subarray(0, 44), noise(25 * MIB)]);
    await client.audio.transcriptions.create({ model: "whisper-1", file: await toFile(sound, "long.wav") });
    const { body } = lastRequest(upstream);
    const start = body.indexOf("RIFF");
    expect(hash(body.subarray(start, start + sound.length))).toBe(hash(sound));
  });

  test("is translated", async () => {
    const said = await client.audio.translations.create({ model: "whisper-1", file: await file() });
    expect(said.text).toContain("hears");
    expect(await lastEvent()).toMatchObject({ operation: "translations", audio_seconds: 2 });
  });

  test("is refused where a JSON answer was asked for and another came", async () => {
    upstream.script({ body: "<html>busy</html>", content_type: "text/html" });
    const broken = client.audio.transcriptions.create({ model: "whisper-1", file: await file() });
    await expect(broken).rejects.toMatchObject({ status: 502 });
  });
});

describe("speech", () => {
  const speak = { model: "tts-1", input: "Über das Wehr 😀", voice: "alloy" } as const;
  const characters = Array.from(speak.input).length;

  test.each(["mp3", "opus", "aac", "flac", "wav", "pcm"] as const)("as %s, byte for byte", async (response_format) => {
    upstream.script({ bytes: 300_000 });
    const answer = await client.audio.speech.create({ ...speak, response_format });
    expect(answer.headers.get("content-type")).toMatch(/^audio\//);
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(bytes).toHaveLength(300_000);
    expect(bytes.every((byte, at) => byte === ((at * 7 + 0xff) & 0xff))).toBe(true);
    expect(await lastEvent()).toMatchObject({
      operation: "speech",
      characters,
      estimated: false,
      complete: true,
      response_bytes: 300_000,
      cost_usd: characters * 15e-6,
    });
  });

  test("is heard while it is made", async () => {
    upstream.script({ bytes: 20_000, gap_ms: 10_000 });
    const began = performance.now();
    const answer = await client.audio.speech.create(speak);
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    expect(first?.value?.length).toBe(4_095);
    expect(performance.now() - began).toBeLessThan(8_000);
    await reader?.cancel();
    await upstream.until((stats) => stats.aborted === 1);
    const event = await gateway.until(async () => (await gateway.events()).findLast((one) => one.status === 499));
    expect(event).toMatchObject({ operation: "speech", characters, complete: false });
  });

  test("as events", async () => {
    const answer = await client.audio.speech.create({ ...speak, model: "gpt-speech", stream_format: "sse" });
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const text = await answer.text();
    expect(text).toContain('"type":"speech.audio.delta"');
    expect(text.trimEnd().split("\n\n").at(-1)).toContain('"type":"speech.audio.done"');
    const { outputTokens: output_tokens } = lastRequest(upstream);
    expect(await lastEvent()).toMatchObject({ streamed: true, complete: true, characters, output_tokens });
  });

  test("that the upstream breaks off is cut, not ended", async () => {
    upstream.script({ bytes: 50_000, chunked: true, close_after_bytes: 20_000 });
    const answer = await client.audio.speech.create(speak);
    await expect(answer.arrayBuffer()).rejects.toThrow();
    expect(await lastEvent()).toMatchObject({ complete: false, error: "transport_error" });
  });

  test("refused by the upstream is refused in its words", async () => {
    upstream.script({ status: 400, body: { error: { message: "no such voice", type: "invalid_request_error" } } });
    await expect(client.audio.speech.create(speak)).rejects.toMatchObject({ status: 400, message: /no such voice/ });
    expect(await lastEvent()).toMatchObject({ characters: 0, error: "upstream_error" });
  });
});

test("moderations: texts, parts, and no price to pay", async () => {
  const judged = await client.moderations.create({ model: "omni-moderation-latest", input: ["peace", "violence"] });
  expect(judged.results.map(({ flagged }) => flagged)).toEqual([false, true]);
  const parts = [{ type: "text" as const, text: "violence" }];
  const one = await client.moderations.create({ model: "omni-moderation-latest", input: parts });
  expect(one.results).toHaveLength(1);
  expect(await lastEvent()).toMatchObject({
    operation: "moderations",
    cost_usd: 0,
    price_known: true,
    estimated: false,
  });
});

test("the simulator serves every one of these operations", async () => {
  const file = () => toFile(wav(1), "a.wav");
  const said = { model: "sim", input: "Hello", voice: "alloy" };
  expect((await client.images.generate({ model: "sim", prompt: "p" })).data).toHaveLength(1);
  expect((await client.images.edit({ model: "sim", prompt: "p", image: await file() })).data).toHaveLength(1);
  expect((await client.images.createVariation({ model: "sim", image: await file() })).data).toHaveLength(1);
  expect((await client.audio.transcriptions.create({ model: "sim", file: await file() })).text).toContain("hears");
  expect((await client.audio.translations.create({ model: "sim", file: await file() })).text).toContain("hears");
  expect(await (await client.audio.speech.create(said)).arrayBuffer()).toHaveProperty("byteLength", 5 * 64);
  expect((await client.moderations.create({ model: "sim", input: "violence" })).results[0]?.flagged).toBe(true);
  const events = (await gateway.events()).filter(({ provider }) => provider === "simulator");
  expect(
    events.map(({ operation, images, audio_seconds, characters }) => [operation, images, audio_seconds, characters]),
  ).toEqual([
    ["images", 1, 0, 0],
    ["image_edits", 1, 0, 0],
    ["image_variations", 1, 0, 0],
    ["transcriptions", 0, 1, 0],
    ["translations", 0, 1, 0],
    ["speech", 0, 0, 5],
    ["moderations", 0, 0, 0],
  ]);
});

test("what was used is on the metrics, unit by unit", async () => {
  await client.audio.speech.create({ model: "tts-1", input: "abc", voice: "alloy" });
  const { text } = await call(`${gateway.opsUrl}/metrics`, { headers: {} });
  for (const unit of ["images", "audio_seconds", "characters"]) {
    expect(text).toMatch(new RegExp(`^weir_usage_units_total\\{model="[^"]+",unit="${unit}"\\} [1-9]`, "m"));
  }
});

test.each<[string, Record<string, unknown>, string, string]>([
  ["no model", { file: true }, "model", "/v1/audio/transcriptions"],
  ["no file", { model: "whisper-1" }, "file", "/v1/audio/transcriptions"],
  ["another type", { type: "text/plain" }, "content-type", "/v1/images/generations"],
  ["a form for JSON", { model: "tts-1", file: true }, "content-type", "/v1/audio/speech"],
])("a request with %s is refused and names it", async (_what, { file, type, ...fields }, param, path) => {
  const files = file === true ? [{ field: "file", name: "a", bytes: wav(0.1) }] : [];
  const { bytes, contentType } = formOf(fields, files);
  const headers = { ...BEARER, "content-type": (type as string | undefined) ?? contentType };
  const answer = await call(gateway.url + path, { body: bytes, headers });
  expect(answer.status).toBe(400);
  expect(answer.json()).toMatchObject({ error: { type: "invalid_request_error", param } });
  expect(upstream.requests()).toHaveLength(0);
});

test("a model in a header, or in the path, goes into a form that has none", async () => {
  const { bytes, contentType } = formOf({}, [{ field: "file", name: "a", bytes: wav(0.5) }]);
  const headers = { ...BEARER, "content-type": contentType };
  const paths = [
    ["/v1/audio/transcriptions", { ...headers, "x-weir-model": "gpt-alias" }],
    ["/openai/deployments/gpt-alias/audio/transcriptions?api-version=2024-10-21", headers],
  ] as const;
  for (const [path, sent] of paths) {
    const answer = await call(gateway.url + path, { body: bytes, headers: sent });
    expect(answer.status).toBe(200);
    expect(lastRequest(upstream).model).toBe("gpt-upstream");
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(event).toMatchObject({ model: "gpt-alias", upstream_model: "gpt-upstream", audio_seconds: 0.5 });
  }
});
