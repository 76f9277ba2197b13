import { describe, expect, it } from "vitest";
import { bodyTexts } from "../../../src/dialects/form-texts.js";
import { spliceTexts } from "../../../src/dialects/text-spans.js";
import { textsOfDialect } from "../../../src/dialects/texts.js";

const TYPE = "multipart/form-data; boundary=B";
const SHAPE = textsOfDialect("openai-images").request;

function form(...parts: readonly (readonly [name: string, content: string | Buffer, isFile?: boolean])[]): Buffer {
  const bytes = parts.flatMap(([name, content, isFile = false]) => [
    Buffer.from(
      `--B\r\ncontent-disposition: form-data; name="${name}"${isFile ? '; filename="prompt.png"' : ""}\r\n\r\n`,
    ),
    Buffer.from(content),
    Buffer.from("\r\n"),
  ]);
  return Buffer.concat([...bytes, Buffer.from("--B--\r\n")]);
}

describe("the texts of a form", () => {
  it("are its fields that are texts, and no files", () => {
    const body = form(["model", "m"], ["prompt", 'A "fälcon"\r\nand more'], ["image", "bytes", true], ["prompt", "2"]);
    const texts = bodyTexts(body, SHAPE, TYPE);
    expect(texts?.spans.map(({ text }) => text)).toEqual(['A "fälcon"\r\nand more', "2"]);
    expect(texts?.unreadable).toBe(false);
    expect(bodyTexts(form(["prompt", "of a file", true]), SHAPE, TYPE)).toEqual({ spans: [], unreadable: false });
  });

  it("are spliced as they are, and everything else stays", () => {
    const parts = (prompt: string) => form(["model", "m"], ["prompt", prompt], ["image", Buffer.from([0, 255]), true]);
    const body = parts("Write to ann@example.com");
    const spans = bodyTexts(body, SHAPE, TYPE)?.spans ?? [];
    expect(spliceTexts(body, spans, ['"é" \\'])).toEqual(parts('"é" \\'));
    expect(spliceTexts(body, spans, [null])).toEqual(body);
  });

  it("that are no UTF-8 are told to be unreadable", () => {
    const body = form(["prompt", Buffer.from([0xff, 0xfe])]);
    expect(bodyTexts(body, SHAPE, TYPE)).toEqual({ spans: [], unreadable: true });
  });

  it("are not to be had of what is no form", () => {
    expect(bodyTexts(Buffer.from("--C\r\n"), SHAPE, TYPE)).toBeNull();
    expect(bodyTexts(Buffer.from("{}x"), SHAPE, "")).toBeNull();
  });

  it("of JSON are read as ever", () => {
    expect(bodyTexts(Buffer.from('{"prompt":"a"}'), SHAPE, "application/json")?.spans).toEqual([
      { start: 10, end: 13, text: "a" },
    ]);
  });
});
