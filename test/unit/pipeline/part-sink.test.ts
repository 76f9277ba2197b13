/** A part's events come out whole, wherever its relay has cut the bytes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PartSink, type PartSinkOwner } from "../../../src/pipeline/part-sink.js";

class Owner implements PartSinkOwner {
  closed = false;
  readonly seen: string[] = [];
  aborts = 0;
  refusal: [number, number, string] | null = null;

  refused(index: number, status: number, _headers: readonly string[], body: Buffer): void {
    this.refusal = [index, status, body.toString()];
  }
  events(_index: number, events: readonly Buffer[]): boolean {
    this.seen.push(...events.map(String));
    return true;
  }
  keepWaiting(): void {}
  onWritable(): void {}
  aborted(): void {
    this.aborts += 1;
  }
}

describe("a part's sink", () => {
  it("gives whole events for any cut of the stream", () => {
    const event = fc.string({ minLength: 1 }).map((text) => `data: ${JSON.stringify(text)}\n\n`);
    const run = fc.property(fc.array(event, { minLength: 1, maxLength: 6 }), fc.array(fc.nat(60)), (events, cuts) => {
      const bytes = Buffer.from(events.join(""));
      const owner = new Owner();
      const sink = new PartSink(owner, 3);
      sink.start();
      let from = 0;
      for (const cut of [...cuts.map((at) => at % bytes.length).sort((a, b) => a - b), bytes.length]) {
        sink.write(bytes.subarray(from, cut));
        from = cut;
      }
      sink.end(null);
      expect(owner.seen).toEqual(events);
      expect(sink.closed).toBe(true);
    });
    fc.assert(run);
  });

  it("tells of a refusal once, and of nothing after its end", () => {
    const owner = new Owner();
    const sink = new PartSink(owner, 2);
    sink.answer(429, [], "no");
    sink.answer(500, [], "again");
    sink.abort();
    expect(owner.refusal).toEqual([2, 429, "no"]);
    expect(owner.aborts).toBe(0);
  });

  it("a part broken off is told", () => {
    const owner = new Owner();
    const sink = new PartSink(owner, 0);
    sink.start();
    sink.abort();
    sink.abort();
    expect(owner.aborts).toBe(1);
  });
});
