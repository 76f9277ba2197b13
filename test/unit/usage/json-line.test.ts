import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { JsonLine, SharedPiece } from "../../../src/usage/json-line.js";
import { quote } from "../../../src/usage/json-text.js";

function written(write: (line: JsonLine) => void, room = 1): string {
  const line = new JsonLine(Buffer.alloc(room));
  write(line);
  return line.written().toString("utf8");
}

const texts = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary", maxLength: 80 }), fc.string());

describe("JsonLine", () => {
  test("says of any text what it says, in one physical line, whatever room there was", () => {
    fc.assert(
      fc.property(texts, fc.nat({ max: 40 }), (text, room) => {
        const line = written((json) => json.quoted(text), room);
        expect(line).toBe(quote(text));
        expect(JSON.parse(line)).toBe(text);
        expect(line).not.toMatch(/[\n\r\u2028]/);
      }),
    );
  });

  test("cuts before it escapes, and survives a cut pair", () => {
    expect(JSON.parse(written((line) => line.quotedCut("abc\u{1f600}", 4)))).toBe("abc\ud83d");
    expect(written((line) => line.quotedCut("abcdef", 3))).toBe('"abc"');
  });

  test("writes numbers as JSON does, and what JSON cannot say as 0", () => {
    const numbers = fc.oneof(fc.nat(), fc.integer(), fc.double(), fc.constantFrom(-0, 999_999_999, 1e9, 1e21, 0.1));
    fc.assert(
      fc.property(numbers, (value) => {
        expect(written((line) => line.number(value))).toBe(Number.isFinite(value) ? String(value) : "0");
      }),
    );
    for (let value = 0; value < 1e9; value = value * 3 + 1) {
      expect(written((line) => line.number(value))).toBe(String(value));
    }
  });

  test("rounds milliseconds to three decimals", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), (thousandths) => {
        expect(written((line) => line.milliseconds(thousandths / 1000))).toBe(String(thousandths / 1000));
      }),
    );
    const each = [1.23456, 0.0004, 0.0005, 999.9999, -1.2345, Number.NaN, Number.POSITIVE_INFINITY, 5e9 + 0.25];
    const said = each.map((value) => written((line) => line.milliseconds(value)));
    expect(said).toEqual(["1.235", "0", "0.001", "1000", "-1.234", "0", "0", "5000000000.25"]);
  });

  test("joins whatever it is given, in order", () => {
    const line = written((json) => {
      json.ascii("x".repeat(40));
      json.byte(0x2c);
      json.piece(Buffer.from("é"));
      json.text("\ud83d");
      json.list([]);
      json.list(["a", 'b"']);
      json.flag(true);
      json.flag(false);
    });
    expect(line).toBe(`${"x".repeat(40)},é\ufffd[]["a","b\\""]truefalse`);
  });
});

describe("SharedPiece", () => {
  interface Fields {
    readonly name: string;
    readonly other: string;
  }
  const make = () => {
    const write = vi.fn((line: JsonLine, { name, other }: Fields) => line.text(`${name}=${other}`));
    const same = (kept: Fields, fields: Fields) => kept.name === fields.name && kept.other === fields.other;
    const kept: Fields[] = [];
    const keep = ({ name, other }: Fields) => {
      kept.push({ name, other });
      return { name, other };
    };
    const shared = new SharedPiece({ write, keep, same, longest: ({ other }: Fields) => other.length });
    return { write, kept, of: (fields: Fields) => shared.of(fields.name, fields).toString() };
  };

  test("writes what stays the same once, and what has changed anew", () => {
    const { write, of } = make();
    expect([of({ name: "a", other: "1" }), of({ name: "a", other: "1" })]).toEqual(["a=1", "a=1"]);
    expect(write).toHaveBeenCalledTimes(1);
    expect([of({ name: "a", other: "2" }), of({ name: "a", other: "2" })]).toEqual(["a=2", "a=2"]);
    expect(write).toHaveBeenCalledTimes(2);
  });

  test("keeps no long field, and not more than a thousand pieces", () => {
    const { write, kept, of } = make();
    const long = { name: "a", other: "x".repeat(256) };
    expect(of(long)).toBe(of(long));
    expect(kept).toEqual([]);
    expect(write).toHaveBeenCalledTimes(2);
    for (let index = 0; index <= 1_000; index += 1) of({ name: String(index), other: "" });
    write.mockClear();
    of({ name: "1000", other: "" });
    expect(write).not.toHaveBeenCalled();
    of({ name: "0", other: "" });
    expect(write).toHaveBeenCalledTimes(1);
  });
});
