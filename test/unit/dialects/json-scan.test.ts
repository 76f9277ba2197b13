import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TopLevelCapture } from "../../../src/dialects/json-capture.js";
import { MAX_DEPTH, scanTopLevel } from "../../../src/dialects/json-scan.js";
import { applyEdits } from "../../../src/dialects/json-splice.js";
import { decodeString, keyTable } from "../../../src/dialects/json-text.js";
import { scannedText } from "../../../src/dialects/json-values.js";
import { DEEP, shapeOf, TEXT, textsOf } from "../../../src/dialects/text-spans.js";
import { jsonObjectText } from "./json-text.js";

const KEYS = keyTable(["model", "stream", "messages"]);

function find(text: string, key: string): string | null {
  const body = Buffer.from(text);
  const scan = scanTopLevel(body, KEYS);
  expect(scan.brokenAt, text).toBe(-1);
  const index = KEYS.names.indexOf(key);
  const start = scan.starts[index] ?? -1;
  return start < 0 ? null : body.toString("utf8", start, scan.ends[index]);
}

describe("scanTopLevel", () => {
  it("finds values wherever they stand", () => {
    expect(find('{"model":"a","x":1}', "model")).toBe('"a"');
    expect(find(' \n{ "x" : [1,{"model":"no"}] ,\t"model" : "b" } \r\n', "model")).toBe('"b"');
    expect(find('{"x":{"model":"no"}}', "model")).toBeNull();
    expect(find('{"x":"\\"model\\":\\"no\\"","stream":false}', "stream")).toBe("false");
    expect(find('{"messages":[{"content":"a\\\\"},{"content":"]}\\""}],"model":"z"}', "messages")).toBe(
      '[{"content":"a\\\\"},{"content":"]}\\""}]',
    );
    expect(find("{}", "model")).toBeNull();
  });

  it("reads escaped keys as what they are", () => {
    expect(find('{"mod\\u0065l":"a"}', "model")).toBe('"a"');
    expect(find('{"\\u006d\\u006f\\u0064\\u0065\\u006c":"a"}', "model")).toBe('"a"');
  });

  it("reports a wanted key that stands there twice, however it is written", () => {
    expect(scanTopLevel(Buffer.from('{"model":"a","x":1,"model":"b"}'), KEYS).duplicate).toBe(0);
    expect(scanTopLevel(Buffer.from('{"model":"a","m\\u006fdel":"b"}'), KEYS).duplicate).toBe(0);
    expect(scanTopLevel(Buffer.from('{"x":1,"x":2}'), KEYS).duplicate).toBe(-1);
  });

  it.each([
    "",
    " ",
    "[]",
    '"a"',
    "null",
    "{",
    "}",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,"a":1}',
    '{"a":1 "b":2}',
    '{"a":1}}',
    '{"a":1}x',
    '{"a":1',
    '{"a":[1,2}',
    '{"a":[1,]}',
    '{"a":[,1]}',
    '{"a":{"b":1]}',
    '{"a":tru}',
    '{"a":nulL}',
    '{"a":truex}',
    '{"a":01}',
    '{"a":-}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":1e}',
    '{"a":1e+}',
    '{"a":+1}',
    '{"a":NaN}',
    '{"a":"b}',
    '{"a":"b\\"}',
    "{a:1}",
    "{'a':1}",
    '{"a":1}{"b":2}',
    "\ufeff{}",
  ])("refuses %s, as JSON.parse does", (text) => {
    expect(() => {
      const value = JSON.parse(text);
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("not an object");
    }).toThrow();
    expect(scanTopLevel(Buffer.from(text), KEYS).brokenAt).toBeGreaterThanOrEqual(0);
  });

  it("bounds the depth", () => {
    const nested = (depth: number) => Buffer.from(`{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`);
    expect(scanTopLevel(nested(MAX_DEPTH - 1), KEYS).brokenAt).toBe(-1);
    expect(scanTopLevel(nested(MAX_DEPTH), KEYS).brokenAt).toBeGreaterThan(0);
    expect(scanTopLevel(nested(200_000), KEYS).brokenAt).toBeGreaterThan(0);
  });

  it("agrees with JSON.parse on any object, and on any object with one byte changed", () => {
    const change = fc.tuple(fc.nat(), fc.constantFrom(...'{}[],:"\\ 0e.-tn'));
    fc.assert(
      fc.property(jsonObjectText(), fc.option(change, { nil: null }), (text, changed) => {
        let body = Buffer.from(text);
        if (changed !== null) {
          body = Buffer.from(body);
          body[changed[0] % body.length] = changed[1].charCodeAt(0);
        }
        let parsed: unknown;
        try {
          parsed = JSON.parse(body.toString("latin1"));
        } catch {
          parsed = undefined;
        }
        const scan = scanTopLevel(body, KEYS);
        // Everything that JSON.parse takes as an object is one for the scan, too (the scan looks less into strings).
        if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) expect(scan.brokenAt).toBe(-1);
        if (scan.brokenAt < 0 && parsed === undefined) expect(stringsAreToBlame(body.toString("latin1"))).toBe(true);
        if (parsed === undefined || scan.brokenAt >= 0 || scan.duplicate >= 0) return;
        for (const [index, name] of KEYS.names.entries()) {
          const start = scan.starts[index] ?? -1;
          const value = start < 0 ? undefined : JSON.parse(body.toString("latin1", start, scan.ends[index]));
          expect(value).toEqual(
            Object.hasOwn(parsed as object, name) ? (parsed as Record<string, unknown>)[name] : undefined,
          );
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("keys that nobody can decode", () => {
  it.each(["\\x", "\\u12", "\\\\\\u00g0", "a\tb\\u0061"])("are no wanted ones: %j", (key) => {
    const scan = scanTopLevel(Buffer.from(`{"${key}":1,"model":2}`), KEYS);
    expect([scan.brokenAt, scan.duplicate]).toEqual([-1, -1]);
    expect(scan.starts[0]).toBeGreaterThan(0);
  });

  it("cost no more than others", { timeout: 2_000 }, () => {
    const body = Buffer.from(`{"model":"m"${',"\\x":1'.repeat(500_000)}}`);
    expect(scanTopLevel(body, KEYS).brokenAt).toBe(-1);
  });
});

describe("a body longer than a window", () => {
  const TAIL = String.raw`"stream" : -12.5e+3 , "b":[true,{"c":null} ,"\\\\\\\""],"mod\u0065l":"z\"\\","messages":[{"d":false}]}`;
  const WINDOW = 65_536;

  /** The bodies in which a window ends at each byte of the tail. */
  function* bodies(): Generator<Buffer> {
    const head = '{"a":"';
    for (let cut = 0; cut <= TAIL.length; cut += 1) {
      yield Buffer.from(`${head}${"x".repeat(WINDOW - head.length - 2 - cut)}",${TAIL}`);
    }
  }

  it("is read as a short one, wherever a window ends", () => {
    for (const body of bodies()) {
      const scan = scanTopLevel(body, KEYS);
      expect(scan.brokenAt).toBe(-1);
      const values = scan.starts.map((start, index) => body.toString("utf8", start, scan.ends[index]));
      expect(values).toEqual([String.raw`"z\"\\"`, "-12.5e+3", '[{"d":false}]']);
      expect(scannedText(scan, 0)).toBe('z"\\');
    }
  });

  it("has its texts where they stand", () => {
    const shape = shapeOf({ members: { b: DEEP, model: TEXT } });
    for (const body of bodies()) {
      expect(textsOf(body, shape)?.spans.map(({ text }) => text)).toEqual(['\\\\\\"', 'z"\\']);
    }
  });

  it("breaks where a short one breaks", () => {
    for (const body of bodies()) {
      const wrong = Buffer.from(body);
      wrong[body.length - 2] = 0x7d;
      expect(scanTopLevel(wrong, KEYS).brokenAt).toBe(body.length - 2);
      const short = body.subarray(0, -3);
      expect(scanTopLevel(short, KEYS).brokenAt).toBe(short.length);
    }
  });

  it("may be one string of backslashes, or one number", () => {
    for (const count of [WINDOW / 2 - 6, WINDOW / 2 - 5, WINDOW, WINDOW + 1]) {
      const slashes = "\\\\".repeat(count);
      const scan = scanTopLevel(Buffer.from(`{"model":"${slashes}","stream":1}`), KEYS);
      expect([scan.brokenAt, scan.ends[0]]).toEqual([-1, 11 + 2 * count]);
      expect(scanTopLevel(Buffer.from(`{"model":"${slashes}\\"}`), KEYS).brokenAt).toBe(2 * count + 13);
    }
    expect(scanTopLevel(Buffer.from(`{"a":${"1".repeat(WINDOW - 1)},"model":2}`), KEYS).brokenAt).toBe(-1);
    expect(scanTopLevel(Buffer.from(`{"a":${"1".repeat(2 * WINDOW)}}`), KEYS).brokenAt).toBeGreaterThan(0);
  });
});

/** Is the text JSON once every string's inside is made harmless? */
function stringsAreToBlame(text: string): boolean {
  try {
    JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"/gs, '"s"'));
    return true;
  } catch {
    return false;
  }
}

describe("decodeString", () => {
  it.each([
    ['"abc"', "abc"],
    ['"\\u0041\\/"', "A/"],
    ['"é"', "é"],
    ['""', ""],
    ['"a\\x"', null],
    ['"a\nb"', null],
    ["12", null],
  ])("%s", (json, text) => {
    const bytes = Buffer.from(json);
    expect(decodeString(bytes, 0, bytes.length)).toBe(text);
  });
});

describe("applyEdits", () => {
  it("replaces and inserts", () => {
    const body = Buffer.from("0123456789");
    const edits = [
      { start: 0, end: 0, bytes: Buffer.from("<") },
      { start: 2, end: 4, bytes: Buffer.from("x") },
      { start: 10, end: 10, bytes: Buffer.from(">") },
    ];
    expect(applyEdits(body, edits).toString()).toBe("<01x456789>");
    expect(applyEdits(body, [])).toBe(body);
  });
});

describe("TopLevelCapture", () => {
  const keys = keyTable(["usage", "id", "model"]);

  function capture(chunks: readonly Buffer[], limit?: number): (string | null)[] {
    const found = new TopLevelCapture(keys, limit);
    for (const chunk of chunks) found.feed(chunk);
    return keys.names.map((_, index) => found.value(index)?.toString("utf8") ?? null);
  }

  function cuts(bytes: Buffer): Buffer[][] {
    const all = [[bytes], [...bytes].map((_, at) => bytes.subarray(at, at + 1))];
    for (let at = 1; at < bytes.length; at++) all.push([bytes.subarray(0, at), bytes.subarray(at)]);
    return all;
  }

  it("captures the same however the answer is cut", () => {
    const text =
      '{ "x\\"}":"\\\\","i\\u0064" : "é\\"}",\n"a":[{"usage":1},"]\\\\\\""],"usage":{"n":{"m":[1,"}"]}}, "model":12.5e3 }';
    for (const cut of cuts(Buffer.from(text))) {
      expect(capture(cut)).toEqual(['{"n":{"m":[1,"}"]}}', '"é\\"}"', "12.5e3"]);
    }
  });

  it("equals JSON.parse on any object, cut into random pieces", () => {
    fc.assert(
      fc.property(jsonObjectText(["usage", "id", "model"]), fc.array(fc.integer({ min: 1, max: 9 })), (text, sizes) => {
        const bytes = Buffer.from(text);
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes.length === 0 ? bytes.length : (sizes[turn % sizes.length] as number);
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        const scan = scanTopLevel(bytes, keys);
        const expected = keys.names.map((_, index) => {
          const start = scan.starts[index] ?? -1;
          return start < 0 ? null : bytes.toString("utf8", start, scan.ends[index]);
        });
        expect(capture(chunks)).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  it("leaves out a value that outgrows the bound, and captures those after it", () => {
    const bytes = Buffer.from(`{"id":"${"x".repeat(100)}","usage":{"a":1}}`);
    for (const cut of cuts(bytes)) expect(capture(cut, 50)).toEqual(['{"a":1}', null, null]);
  });

  it("captures nothing of what is no object, and whole values of a cut answer", () => {
    expect(capture([Buffer.from("<html>")])).toEqual([null, null, null]);
    expect(capture([Buffer.from("[1]")])).toEqual([null, null, null]);
    expect(capture([Buffer.from('{"usage":{"a":1},"id":"cu')])).toEqual(['{"a":1}', null, null]);
  });
});
