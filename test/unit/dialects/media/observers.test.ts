import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ArrayCount } from "../../../../src/dialects/array-count.js";
import type { DialectId, Operation, RequestView } from "../../../../src/dialects/dialect.js";
import { dialectOf } from "../../../../src/dialects/registry.js";
import { StreamTap } from "../../../../src/dialects/stream-tap.js";
import { UsageTally } from "../../../../src/dialects/usage-tally.js";
import { isFailure } from "../../../../src/errors.js";
import { wav } from "./sounds.js";

const NO_VIEW = {} as RequestView;

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...at, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : at[index - 1], end));
}

function watch(id: DialectId, operation: Operation, chunks: readonly Buffer[]): UsageTally {
  const tally = new UsageTally();
  const observer = dialectOf(id).answerObserver(operation, tally);
  for (const chunk of chunks) observer.feed(chunk);
  observer.finish();
  return tally;
}

/** Measures a request, as it is done when its answer has come. */
function measure(
  id: DialectId,
  operation: Operation,
  body: Buffer,
  { contentType = "", tally = new UsageTally() } = {},
) {
  const dialect = dialectOf(id);
  const view = dialect.readRequest(body, operation, null, contentType);
  if (isFailure(view)) throw new Error(view.message);
  dialect.measureRequest?.(operation, body, view, tally);
  return tally;
}

describe("an array's items", () => {
  it("are counted wherever the answer is cut", () => {
    const item = fc.jsonValue({ maxDepth: 2 });
    const answer = fc.record(
      { x: item, list: fc.array(item, { maxLength: 5 }), "a]": item },
      { requiredKeys: ["list"] },
    );
    fc.assert(
      fc.property(answer, fc.array(fc.nat(), { maxLength: 6 }), fc.boolean(), (value, places, pretty) => {
        const count = new ArrayCount("list");
        for (const chunk of cut(Buffer.from(JSON.stringify(value, null, pretty ? 2 : 0)), places)) count.feed(chunk);
        expect(count.count).toBe(value.list.length);
      }),
      { numRuns: 500 },
    );
  });

  it("are none of another array's, and no array is none", () => {
    const of = (text: string) => {
      const count = new ArrayCount("data");
      count.feed(Buffer.from(text));
      return count.count;
    };
    expect(of('{"datas":[1,2],"data":[{},[1,2,3]],"x":{"data":[1,2,3]}}')).toBe(2);
    expect(of('{"x":"data","y":[1]}')).toBe(-1);
    expect(of('{"data":[ ]}')).toBe(0);
  });
});

describe("what answers tell", () => {
  it("of images: how many, how large, and their tokens", () => {
    const answer = {
      created: 1,
      data: [{ b64_json: "a".repeat(200_000) }, { b64_json: "b" }],
      size: "512x512",
      quality: "low",
    };
    const bytes = Buffer.from(
      JSON.stringify({ ...answer, usage: { input_tokens: 5, output_tokens: 7, total_tokens: 12 } }),
    );
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 5 }), (places) => {
        const tally = watch("openai-images", "images", cut(bytes, places));
        expect(tally).toMatchObject({
          images: 2,
          imageSize: "512x512",
          imageQuality: "low",
          inputTokens: 5,
          outputTokens: 7,
        });
      }),
      { numRuns: 30 },
    );
  });

  it.each<[string, object, Partial<UsageTally>]>([
    ["seconds", { text: "t", usage: { type: "duration", seconds: 12 } }, { audioSeconds: 12 }],
    ["the duration", { text: "t", duration: 3.5 }, { audioSeconds: 3.5 }],
    ["the duration as a text", { text: "t", duration: "3.5" }, { audioSeconds: 3.5 }],
    ["both", { duration: 3.5, usage: { type: "duration", seconds: 4 } }, { audioSeconds: 4 }],
    ["tokens", { usage: { type: "tokens", input_tokens: 3, output_tokens: 4 } }, { inputTokens: 3, outputTokens: 4 }],
    ["nothing", { text: "t" }, { audioSeconds: -1, inputTokens: -1 }],
  ])("of sound: %s", (_what, answer, told) => {
    expect(watch("openai-audio", "transcriptions", [Buffer.from(JSON.stringify(answer))])).toMatchObject(told);
  });

  it("nothing, where they are no JSON", () => {
    expect(watch("openai-audio", "transcriptions", [Buffer.from("1\n00:00 --> 00:01\n{hello")])).toMatchObject({
      audioSeconds: -1,
    });
  });
});

const BIG = "A".repeat(5_000);
const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
const STREAM = [
  event("image_generation.partial_image", { b64_json: BIG, partial_image_index: 0 }),
  event("image_generation.completed", { b64_json: "small", size: "512x512" }),
  event("image_generation.completed", { b64_json: BIG, quality: "low", usage: { input_tokens: 5, output_tokens: 7 } }),
].join("");

describe("a stream of images", () => {
  it("passes events of any size, and is understood wherever it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), fc.constantFrom(1_024, 1_000_000), (places, most) => {
        const tally = new UsageTally();
        const tap = new StreamTap(dialectOf("openai-images").streamObserver(NO_VIEW, tally), most);
        const out = cut(Buffer.from(STREAM), places).map((piece) => tap.push(piece));
        out.push(tap.end());
        expect(Buffer.concat(out.filter((piece) => piece !== null)).toString()).toBe(STREAM);
        expect(tally).toMatchObject({
          images: 2,
          imageSize: "512x512",
          imageQuality: "low",
          inputTokens: 5,
          outputTokens: 7,
        });
        expect([tap.wholes, tap.terminal, tap.failed]).toEqual([2, false, false]);
      }),
      { numRuns: 300 },
    );
  });

  it("that tells of an error has failed", () => {
    for (const failed of [
      event("error", { error: { type: "image_error", message: "m" } }),
      'data: {"error":{"type":"image_error"}}\n\n',
    ]) {
      const tally = new UsageTally();
      const tap = new StreamTap(dialectOf("openai-images").streamObserver(NO_VIEW, tally), 1_024);
      tap.push(Buffer.from(failed));
      expect([tap.failed, tally.streamError]).toEqual([true, "image_error"]);
    }
  });
});

describe("a stream of sound or of what was heard", () => {
  it("ends with its last event, or with the word for it", () => {
    for (const type of ["transcript.text.done", "speech.audio.done"]) {
      const tally = new UsageTally();
      const tap = new StreamTap(dialectOf("openai-audio").streamObserver(NO_VIEW, tally), 1_024);
      tap.push(Buffer.from(event("transcript.text.delta", { delta: "usage" })));
      expect(tap.wholes).toBe(0);
      tap.push(Buffer.from(event(type, { usage: { type: "tokens", input_tokens: 1, output_tokens: 2 } })));
      expect([tap.wholes, tap.terminal, tally.outputTokens]).toEqual([1, false, 2]);
      tap.push(Buffer.from("data: [DONE]\n\n"));
      expect(tap.terminal).toBe(true);
    }
  });
});

describe("what requests tell", () => {
  const form = (fields: Record<string, string>, file: Buffer) => {
    const parts = Object.entries(fields).map(
      ([name, value]) => `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
    const head = '--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n';
    return Buffer.concat([Buffer.from(parts.join("") + head), file, Buffer.from("\r\n--B--\r\n")]);
  };
  const contentType = "multipart/form-data; boundary=B";

  it("of images: what was asked for, where the answer does not say it", () => {
    const body = Buffer.from('{"model":"m","prompt":"p","n":3,"size":"512x512","quality":"\\u0068d"}');
    expect(measure("openai-images", "images", body)).toMatchObject({
      images: 3,
      imageSize: "512x512",
      imageQuality: "hd",
      unitsGuessed: true,
    });
    const said = Object.assign(new UsageTally(), { images: 1, imageSize: "256x256" });
    expect(measure("openai-images", "images", body, { tally: said })).toMatchObject({
      images: 1,
      imageSize: "256x256",
      imageQuality: "hd",
      unitsGuessed: false,
    });
    expect(measure("openai-images", "images", Buffer.from('{"model":"m","prompt":"p","n":null}')).images).toBe(1);
  });

  it("of speech: characters, not the units that JavaScript counts by", () => {
    const body = Buffer.from(JSON.stringify({ model: "m", input: "aé😀\n", voice: "v" }));
    expect(measure("openai-audio", "speech", body)).toMatchObject({ characters: 4, unitsGuessed: false });
  });

  it("of sound: its length by its header, else by its size", () => {
    const known = form({ model: "m" }, wav(2));
    expect(measure("openai-audio", "transcriptions", known, { contentType })).toMatchObject({
      audioSeconds: 2,
      unitsGuessed: false,
    });
    const unknown = form({ model: "m" }, Buffer.alloc(16_000));
    expect(measure("openai-audio", "transcriptions", unknown, { contentType })).toMatchObject({
      audioSeconds: 2,
      unitsGuessed: true,
    });
    const tokens = Object.assign(new UsageTally(), { inputTokens: 1, outputTokens: 1 });
    expect(measure("openai-audio", "transcriptions", unknown, { contentType, tally: tokens })).toMatchObject({
      audioSeconds: -1,
      unitsGuessed: false,
    });
  });

  it("which form their answers have", () => {
    const audio = dialectOf("openai-audio");
    const formOf = (operation: Operation, body: Buffer, type = contentType) => {
      const view = audio.readRequest(body, operation, null, type);
      if (isFailure(view)) throw new Error(view.message);
      return audio.answerForm?.(operation, body, view);
    };
    expect(formOf("speech", Buffer.from('{"model":"m","input":"i"}'), "")).toBe("flowing");
    for (const format of ["text", "srt", "vtt"]) {
      expect(formOf("translations", form({ model: "m", response_format: format }, wav(1)))).toBe("any");
    }
    expect(formOf("transcriptions", form({ model: "m", response_format: "verbose_json" }, wav(1)))).toBe("json");
    expect(formOf("transcriptions", form({ model: "m" }, wav(1)))).toBe("json");
  });
});
