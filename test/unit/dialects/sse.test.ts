import { describe, expect, it } from "vitest";
import { parseSse, sseData, sseEvent } from "../../../src/dialects/sse.js";

describe("SSE framing", () => {
  it.each([
    ["data: a\n\n", "a"],
    ["data:a\n\n", "a"],
    ["data:  a\n\n", " a"],
    ["data\n\n", ""],
    ["data:\n\n", ""],
    ["data: a\ndata: b\n\n", "a\nb"],
    ["data: a\r\ndata:b\r\n\r\n", "a\nb"],
    ["data: a\rdata: b\r\r", "a\nb"],
    [": note\nid: 1\nevent: x\ndata: é\nretry: 5\n\n", "é"],
    ["\ufeffdata: a\n\n", "a"],
    ["database: a\n\n", ""],
    [" data: a\n\n", ""],
    ["data: a", "a"],
    [`data: ${"x".repeat(2000)}\ndata: b\r\n\r\n`, `${"x".repeat(2000)}\nb`],
  ])("data of %j", (frame, data) => {
    expect(sseData(Buffer.from(frame))).toBe(data);
  });

  it.each([
    ["event: error\ndata: a\n\n", "error"],
    ["data: a\r\nevent:ping\r\n\r\n", "ping"],
    ["data: event: no\n\n", ""],
  ])("name of %j", (frame, name) => {
    expect(sseEvent(Buffer.from(frame))).toBe(name);
  });

  it("parses a run of events, a cut last one included", () => {
    const bytes = Buffer.from("event: a\ndata: 1\n\n: c\n\n\r\ndata: 2\r\rdata: 3\r\n\r\ndata: 4");
    expect(parseSse(bytes)).toEqual([
      { event: "a", data: "1" },
      { event: "", data: "2" },
      { event: "", data: "3" },
      { event: "", data: "4" },
    ]);
  });
});
