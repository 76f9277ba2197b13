import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyRollup, parseRollup, type Placed, rollupBytes, withEvents } from "../../../src/cluster/rollup-entry.js";
import { sampleEvent } from "../usage/sample-event.js";

const PLACE = { day: "2026-01-31", key: "team-a", model: "small" };
const STREAM = "2026-01-31T00:00:00Z";

function placed(count: number): Placed[] {
  return Array.from({ length: count }, (_, index) => ({
    sequence: index + 1,
    event: sampleEvent({ id: String(index), input_tokens: index, cost_usd: index / 1e9 }),
  }));
}

describe("withEvents", () => {
  it("adds each event once, however often and in whatever pieces the stream is read", () => {
    const events = placed(40);
    const whole = withEvents(emptyRollup(PLACE, STREAM), STREAM, events);
    expect(whole.sums).toMatchObject({ requests: 40, input_tokens: 780, cost_usd: 780 / 1e9 });
    const pieces = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, (read) => {
        let rollup = emptyRollup(PLACE, STREAM);
        let end = 0;
        for (const [start, length] of read) {
          // Whoever reads begins where everything before has been added, or earlier.
          const from = Math.min(start, end);
          rollup = withEvents(rollup, STREAM, events.slice(from, from + length));
          end = Math.max(end, Math.min(40, from + length));
        }
        rollup = withEvents(rollup, STREAM, events);
        expect(rollup).toEqual(whole);
      }),
    );
  });

  it("is the same entry when there was nothing new", () => {
    const rollup = withEvents(emptyRollup(PLACE, STREAM), STREAM, placed(3));
    expect(withEvents(rollup, STREAM, placed(3))).toBe(rollup);
    expect(withEvents(rollup, STREAM, [])).toBe(rollup);
  });

  it("adds on when the stream was made anew, whose sequences begin again", () => {
    const rollup = withEvents(emptyRollup(PLACE, STREAM), STREAM, placed(3));
    const next = withEvents(rollup, "later", placed(2));
    expect(next).toMatchObject({ stream: "later", sequence: 2, sums: { requests: 5 } });
  });
});

describe("the bytes of an entry", () => {
  it("come back as they were", () => {
    const rollup = withEvents(emptyRollup(PLACE, STREAM), STREAM, placed(3));
    expect(parseRollup(rollupBytes(rollup))).toEqual(rollup);
  });

  it("are nothing when they are no entry; sums that are not told are 0", () => {
    expect(parseRollup(Buffer.from("{}"))).toBeNull();
    expect(parseRollup(Buffer.from("not json"))).toBeNull();
    const old = { v: 1, ...PLACE, stream: STREAM, sequence: 1, sums: { requests: 1 }, more: true };
    expect(parseRollup(Buffer.from(JSON.stringify(old)))?.sums).toMatchObject({ requests: 1, images: 0 });
  });
});
