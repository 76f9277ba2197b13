import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { UsageEvent } from "../../../src/usage/event.js";
import { EventIds, newEventId } from "../../../src/usage/event-id.js";
import { quote } from "../../../src/usage/json-text.js";
import { USAGE_FIELDS } from "../../../src/usage/meter.js";
import { usageLine } from "./usage-line.js";
import { parseEvent } from "../../../src/usage/reader.js";
import { sampleEvent } from "./sample-event.js";

const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), fc.string());
const thousandths = fc.integer({ min: 0, max: 10 ** 9 }).map((whole) => whole / 1000);

const actions = fc.record({
  name: text,
  action: fc.constantFrom("monitor", "mask", "block"),
  hook: fc.constantFrom("input", "output"),
});

function arbitraryOf(type: string): fc.Arbitrary<unknown> {
  if (type === "string") return text;
  if (type === "string or null") return fc.option(text);
  if (type === "number") return fc.oneof(fc.nat(), fc.constantFrom(0, -1, 1e21, 0.5));
  if (type === "boolean") return fc.boolean();
  if (type === "array of strings") return fc.array(text, { maxLength: 4 });
  if (type === "array of objects") return fc.array(actions, { maxLength: 3 });
  return fc.dictionary(
    text.filter((name) => name !== "__proto__"),
    text,
    { maxKeys: 4 },
  );
}

const fields = Object.fromEntries(Object.entries(USAGE_FIELDS).map(([name, type]) => [name, arbitraryOf(type)]));
const events = fc.record({
  ...fields,
  v: fc.constant(1),
  // The gateway makes these itself.
  id: fc.uuid(),
  request_id: fc.uuid(),
  time: fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  duration_ms: thousandths,
  time_to_first_token_ms: thousandths,
  cache: fc.constantFrom("hit", "miss", "bypass"),
}) as fc.Arbitrary<unknown> as fc.Arbitrary<UsageEvent>;

describe("usageLine", () => {
  test("says what JSON.stringify says, in one line", () => {
    fc.assert(
      fc.property(events, (event) => {
        const line = usageLine(event);
        expect(line).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(event)));
      }),
      { numRuns: 300 },
    );
  });

  test("holds every field, in the declared order", () => {
    expect(Object.keys(JSON.parse(usageLine(sampleEvent())))).toEqual(Object.keys(USAGE_FIELDS));
  });

  test("stays JSON whatever the numbers are, and rounds times", () => {
    const line = usageLine(
      sampleEvent({ duration_ms: Number.NaN, input_tokens: Number.POSITIVE_INFINITY, time_to_first_token_ms: 1.23456 }),
    );
    expect(JSON.parse(line)).toMatchObject({ duration_ms: 0, input_tokens: 0, time_to_first_token_ms: 1.235 });
  });
});

describe("quote", () => {
  test("escapes what steers terminals and splits lines", () => {
    expect(quote('a"b\\c\n\u0085\u2028\u202e\u001b')).toBe('"a\\"b\\\\c\\n\\u0085\\u2028\\u202e\\u001b"');
  });
});

describe("parseEvent", () => {
  test("takes what usageLine wrote and refuses everything else", () => {
    const event = sampleEvent();
    expect(parseEvent(usageLine(event))).toEqual(event);
    for (const line of ["", "null", "[]", "1", "{}", '{"v":1}', usageLine(event).slice(0, -1)]) {
      expect(parseEvent(line)).toBeNull();
    }
    expect(parseEvent(usageLine(event).replace('"v":1', '"v":2'))).toBeNull();
    expect(parseEvent(usageLine(event).replace('"input_tokens":10', '"input_tokens":"10"'))).toBeNull();
  });
});

describe("event ids", () => {
  test("are version 7 UUIDs, unique and in order, also within one millisecond", () => {
    const ids = Array.from({ length: 50_000 }, newEventId);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual(ids);
  });

  test("carry the time, do not follow a clock that steps back, and differ between threads", () => {
    const times = [1_700_000_000_000, 1_700_000_000_000, 1_600_000_000_000, 1_700_000_000_001];
    const read = [...times];
    const ids = new EventIds(() => read.shift() as number);
    const made = times.map(() => ids.next());
    expect([...made].sort()).toEqual(made);
    expect(new Set(made).size).toBe(4);
    expect(Number.parseInt((made[0] as string).replace("-", "").slice(0, 12), 16)).toBe(1_700_000_000_000);
    const fixed = () => 1_700_000_000_000;
    expect(new EventIds(fixed).next()).not.toBe(new EventIds(fixed).next());
  });
});
