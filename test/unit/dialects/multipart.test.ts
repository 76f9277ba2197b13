import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RequestView } from "../../../src/dialects/dialect.js";
import { editedPieces } from "../../../src/dialects/body-pieces.js";
import { fieldOf, type Form, isFormType, readForm } from "../../../src/dialects/multipart.js";
import { dialectOf } from "../../../src/dialects/registry.js";
import { isFailure } from "../../../src/errors.js";

interface Part {
  readonly name: string;
  readonly filename?: string;
  readonly content: Buffer;
}

function build(boundary: string, parts: readonly Part[]): Buffer {
  const pieces: Buffer[] = [];
  for (const { name, filename, content } of parts) {
    const file = filename === undefined ? "" : `; filename="${filename}"\r\nContent-Type: audio/wav`;
    pieces.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`));
    pieces.push(content, Buffer.from("\r\n"));
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  return Buffer.concat(pieces);
}

const type = (boundary: string) => `multipart/form-data; boundary="${boundary}"`;

function read(body: Buffer | string, boundary = "B"): Form {
  const form = readForm(Buffer.from(body), type(boundary));
  if (isFailure(form)) throw new Error(form.message);
  return form;
}

/** Characters of a boundary that no header needs quoted, so that both spellings can be tried. */
const boundaries = fc.string({
  unit: fc.constantFrom(..."abcXYZ019'()+_,-./:=?"),
  minLength: 1,
  maxLength: 70,
});
const plainNames = fc.string({ unit: fc.constantFrom(..."abc[]_-. é"), minLength: 1, maxLength: 12 });

/** Content in which the boundary nearly stands: without its line, without its line end, without its last character. */
function lookAlikes(boundary: string): fc.Arbitrary<Buffer> {
  const pieces = fc.constantFrom(
    `--${boundary}`,
    `x--${boundary}--`,
    `\r\n--${boundary.slice(0, -1)}`,
    `\r\n-${boundary}`,
    "\r\n",
    "\r\n\r\n",
    "--",
    "\r",
  );
  const bytes = fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some).toString("latin1"));
  return fc
    .array(fc.oneof(pieces, bytes), { maxLength: 8 })
    .map((all) => Buffer.from(all.join(""), "latin1"))
    .filter((content) => !isAmbiguous(content, boundary));
}

/** Does the boundary begin a line of the content? Then no reader can tell it from a real one. */
function isAmbiguous(content: Buffer, boundary: string): boolean {
  const text = `\r\n${content.toString("latin1")}\r\n`;
  return text.includes(`\n--${boundary}`) || text.includes(`\r--${boundary}`);
}

describe("a form", () => {
  it("is found again part by part, whatever its boundary and its contents are", () => {
    const forms = boundaries.chain((boundary) =>
      fc.record({
        boundary: fc.constant(boundary),
        parts: fc.array(
          fc.record({
            name: plainNames,
            filename: fc.constantFrom("a.wav", 'C:\\\\a"b.wav'.replace('"', '\\"'), "é.png"),
            content: lookAlikes(boundary),
          }),
          { minLength: 1, maxLength: 5 },
        ),
      }),
    );
    fc.assert(
      fc.property(forms, ({ boundary, parts }) => {
        const body = build(boundary, parts);
        const form = read(body, boundary);
        expect(form.parts.map(({ name }) => name)).toEqual(parts.map(({ name }) => name));
        for (const [index, { start, end, isFile }] of form.parts.entries()) {
          expect(isFile).toBe(true);
          expect(body.subarray(start, end).equals(parts[index]?.content as Buffer)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("never throws and never reads past its end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const some = Buffer.from(bytes);
        for (const body of [some, Buffer.concat([Buffer.from("--B\r\n"), some]), Buffer.from(`--B${some}--B--`)]) {
          const form = readForm(body, type("B"));
          if (!isFailure(form)) for (const part of form.parts) expect(part.end).toBeLessThanOrEqual(body.length);
        }
      }),
    );
  });

  it.each<[string, string, RegExp]>([
    ["does not begin with its boundary", "hello", /begin/],
    ["ends in a part", "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx", /closing/],
    ["ends in a boundary", "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--B", /ends within/],
    ["has a part without headers", "--B\r\n\r\nx\r\n--B--", /header/],
    ["has a part without a disposition", "--B\r\nX: y\r\n\r\nx\r\n--B--", /no content-disposition/],
    ["has a part without a name", "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--", /no name/],
    [
      "names a part twice",
      '--B\r\nContent-Disposition: form-data; name="a"; name="b"\r\n\r\nx\r\n--B--',
      /disposition/,
    ],
    ["escapes in a name", '--B\r\nContent-Disposition: form-data; name="mo\\del"\r\n\r\nx\r\n--B--', /cannot be read/],
    ["names a part in two ways", "--B\r\nContent-Disposition: form-data; name=a; name*=b\r\n\r\nx\r\n--B--", /cannot/],
    [
      "encodes a part",
      "--B\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--B--",
      /encoding/,
    ],
    ["folds a header", "--B\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\nx\r\n--B--", /header/],
    [
      "has a longer boundary on a line",
      "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--Bx\r\n--B--",
      /followed/,
    ],
    [
      "has a boundary after a bare line feed",
      "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\n--B\r\n--B--",
      /line of its own/,
    ],
    ["goes on after its end", "--B--\r\nmore", /follows/],
  ])("that %s is refused", (_what, body, message) => {
    const form = readForm(Buffer.from(body), type("B"));
    if (!isFailure(form)) throw new Error("it was read");
    expect(form.message).toMatch(message);
    expect(form.code).toBe("invalid_request_error");
  });

  it.each([
    "multipart/form-data",
    "multipart/form-data; boundary=",
    `multipart/form-data; boundary=${"x".repeat(71)}`,
    "multipart/form-data; boundary=a; boundary=b",
    'multipart/form-data; boundary="a b "',
    'multipart/form-data; boundary="a\\"b"',
  ])("without a usable boundary is refused: %s", (contentType) => {
    expect(readForm(Buffer.from("--B--"), contentType)).toMatchObject({ param: "content-type" });
  });

  it("has a bounded number of parts and bounded headers", () => {
    const parts = Array.from({ length: 129 }, () => ({ name: "a", content: Buffer.alloc(0) }));
    expect(readForm(build("B", parts), type("B"))).toMatchObject({ message: expect.stringContaining("128 parts") });
    const long = `--B\r\nX: ${"y".repeat(20_000)}\r\n\r\nx\r\n--B--`;
    expect(readForm(Buffer.from(long), type("B"))).toMatchObject({ message: expect.stringContaining("too large") });
  });

  it("is announced by its content type alone", () => {
    expect(isFormType("Multipart/Form-Data; boundary=x")).toBe(true);
    expect(isFormType("application/json")).toBe(false);
  });

  it("has a field once, and as a field", () => {
    const twice = read(
      build("B", [
        { name: "a", content: Buffer.from("1") },
        { name: "a", content: Buffer.from("2") },
      ]),
    );
    expect(fieldOf(twice, "a")).toMatchObject({ param: "a", message: expect.stringContaining("twice") });
    expect(fieldOf(twice, "b")).toBeNull();
    const file = read(build("B", [{ name: "a", filename: "f", content: Buffer.from("1") }]));
    expect(fieldOf(file, "a")).toMatchObject({ message: expect.stringContaining("not a file") });
  });
});

const audio = dialectOf("openai-audio");
const FILE: Part = { name: "file", filename: "a.wav", content: Buffer.from("sound") };
const field = (name: string, value: string): Part => ({ name, content: Buffer.from(value) });

function transcription(parts: readonly Part[], model: string | null = null) {
  return audio.readRequest(build("B", parts), "transcriptions", model, type("B"));
}

function viewOf(parts: readonly Part[], model: string | null = null): RequestView {
  const view = transcription(parts, model);
  if (isFailure(view)) throw new Error(view.message);
  return view;
}

describe("a request that is a form", () => {
  it("names its model, and whether it wants a stream", () => {
    expect(viewOf([FILE, field("model", "whisper-1")])).toMatchObject({ model: "whisper-1", stream: false });
    expect(viewOf([field("model", "m"), field("stream", "true"), FILE]).stream).toBe(true);
    expect(viewOf([field("model", "m"), field("stream", "false"), FILE]).stream).toBe(false);
    expect(viewOf([FILE], "header-model")).toMatchObject({ model: "header-model", modelSpan: null });
    expect(viewOf([FILE, field("model", "")], "header-model").model).toBe("header-model");
  });

  it.each<[string, readonly Part[], string]>([
    ["no model", [FILE], "model"],
    ["an empty model", [FILE, field("model", "")], "model"],
    ["two models", [FILE, field("model", "a"), field("model", "b")], "model"],
    ["a model in a file", [FILE, { ...field("model", "a"), filename: "m" }], "model"],
    ["a model of two lines", [FILE, field("model", "a\nb")], "model"],
    ["a model that is no text", [FILE, { name: "model", content: Buffer.from([0xff]) }], "model"],
    ["a model that is too long", [FILE, field("model", "x".repeat(257))], "model"],
    ["no file", [field("model", "m")], "file"],
    ["a file that is a field", [field("model", "m"), field("file", "x")], "file"],
    ["two streams", [FILE, field("model", "m"), field("stream", "true"), field("stream", "true")], "stream"],
  ])("is refused with %s", (_what, parts, param) => {
    expect(transcription(parts)).toMatchObject({ code: "invalid_request_error", param });
  });

  it("takes no model of two lines from a header or a path either", () => {
    expect(transcription([FILE], "a\r\nb")).toMatchObject({ param: "model" });
  });

  it.each(["", "application/json", "text/plain", "application/x-www-form-urlencoded"])(
    "is refused as %j, which it is not",
    (contentType) => {
      const body = build("B", [FILE, field("model", "m")]);
      expect(audio.readRequest(body, "transcriptions", null, contentType)).toMatchObject({ param: "content-type" });
    },
  );

  it("keeps every byte but the model's", () => {
    fc.assert(
      fc.property(fc.array(lookAlikes("B"), { maxLength: 4 }), fc.nat(4), (contents, at) => {
        const parts: Part[] = contents.map((content, index) => ({ name: `x${index}`, content }));
        parts.splice(Math.min(at, parts.length), 0, field("model", "alias"));
        const [before, after] = ["alias", "the-upstreams-own-name"].map((model) =>
          build("B", [...parts.map((part) => (part.name === "model" ? field("model", model) : part)), FILE]),
        ) as [Buffer, Buffer];
        const view = audio.readRequest(before, "transcriptions", null, type("B"));
        if (isFailure(view)) throw new Error(view.message);
        expect(audio.spliceRequest(before, view, "the-upstreams-own-name").equals(after)).toBe(true);
        const edits = audio.requestEdits?.(before, view, "the-upstreams-own-name") ?? [];
        expect(Buffer.concat(editedPieces(before, edits) as Buffer[]).equals(after)).toBe(true);
        expect(audio.spliceRequest(before, view, "alias")).toBe(before);
      }),
    );
  });

  it("gets a model that it lacks as a part of its own", () => {
    const body = build("B", [FILE]);
    const spliced = audio.spliceRequest(body, viewOf([FILE], "alias"), "whisper-1");
    expect(spliced.equals(build("B", [field("model", "whisper-1"), FILE]))).toBe(true);
  });

  it("is sent in pieces that share its memory", () => {
    const body = Buffer.alloc(1_000_000, "x");
    const pieces = editedPieces(body, [{ start: 10, end: 20, bytes: Buffer.from("new") }]);
    const shared = pieces.filter((piece) => piece.buffer === body.buffer);
    expect(shared).toHaveLength(pieces.length - 1);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(262_144);
  });
});

describe("a request that may be JSON", () => {
  const images = dialectOf("openai-images");
  const body = Buffer.from('{"prompt":"p","model":"m"}');

  it("says so, or says nothing", () => {
    for (const contentType of ["", "application/json", "application/json; charset=utf-8", "application/problem+json"]) {
      expect(images.readRequest(body, "image_edits", null, contentType)).toMatchObject({ model: "m" });
    }
    expect(images.readRequest(body, "image_edits", null, "text/plain")).toMatchObject({ param: "content-type" });
    expect(images.readRequest(body, "images", null, type("B"))).toMatchObject({ param: "content-type" });
    expect(images.readRequest(body, "image_variations", null, "application/json")).toMatchObject({
      param: "content-type",
    });
  });
});
