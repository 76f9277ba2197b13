import { describe, expect, test } from "vitest";
import type { DialectId, Operation } from "../../../src/dialects/dialect.js";
import { simulate } from "../../../src/providers/simulator/simulate.js";
import { wav } from "../dialects/media/sounds.js";

function ask(dialect: DialectId, operation: Operation, body: object | Buffer) {
  return simulate(operation, dialect, Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)));
}

function form(fields: Readonly<Record<string, string>>, file: Buffer): Buffer {
  const parts = Object.entries(fields).map(
    ([name, value]) => `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const head = '--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n';
  return Buffer.concat([Buffer.from(parts.join("") + head), file, Buffer.from("\r\n--B--\r\n")]);
}

describe("the simulator's media", () => {
  test("deals out what its answer says", () => {
    const answer = ask("openai-images", "images", { model: "m", prompt: "four word long text", n: 3 });
    const said = JSON.parse(answer.frames.join(""));
    expect(said.data).toHaveLength(3);
    expect(said.usage).toMatchObject({
      input_tokens: answer.usage.inputTokens,
      output_tokens: answer.usage.outputTokens,
    });
    expect(answer.usage.units).toEqual({ images: 3 });
    expect(answer.frameTokens.reduce((sum, tokens) => sum + tokens, 0)).toBe(answer.usage.outputTokens);
  });

  test("listens to a form, which may script it", () => {
    const metadata = JSON.stringify({ simulator: { words: 3, delay_ms: 7 } });
    const answer = ask("openai-audio", "transcriptions", form({ model: "whisper-1", metadata }, wav(2)));
    expect(JSON.parse(answer.frames.join(""))).toEqual({
      text: "the water runs",
      usage: { type: "duration", seconds: 2 },
    });
    expect(answer).toMatchObject({ delayMs: 7, usage: { units: { seconds: 2 } } });
  });

  test("speaks in bytes, or in events", () => {
    const sound = ask("openai-audio", "speech", {
      model: "m",
      input: "abc",
      metadata: { simulator: { bytes: 10_000 } },
    });
    const bytes = Buffer.concat(sound.frames.map((frame) => Buffer.from(frame, sound.encoding)));
    expect([bytes.length, sound.contentType, sound.streamed]).toEqual([10_000, "audio/mpeg", false]);
    const events = ask("openai-audio", "speech", { model: "m", input: "abc", stream_format: "sse" });
    expect(events.streamed).toBe(true);
    expect(events.frames.at(-1)).toContain("speech.audio.done");
  });

  test("refuses what it cannot read, and never throws", () => {
    for (const body of ["", "[]", "--B\r\nbroken", "--"]) {
      expect(ask("openai-audio", "transcriptions", Buffer.from(body)).status).toBe(400);
    }
    expect(ask("openai-chat", "images", {}).status).toBe(400);
    expect(ask("openai-images", "images", {}).status).toBe(200);
  });
});
