import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { UsageEvent } from "../../../src/usage/event.js";
import { expenseOf } from "../../../src/usage/spending.js";
import { line, NOON } from "./journal-line.js";

const HOUR = 3_600_000;

describe("expenseOf", () => {
  test("reads who spent what, and when", () => {
    const expense = expenseOf(line(0.25, { team_id: "t", user_id: null, model: "m" }).trim());
    expect(expense).toEqual({
      spender: { key: "ann", team: "t", user: null, model: "m" },
      at: NOON - HOUR,
      nanos: 250_000_000,
    });
  });

  test("passes over what is free, torn, of another version, or no event", () => {
    expect(expenseOf(line(0).trim())).toBeNull();
    for (const text of ["", "{", "[]", "null", "7", line(1).slice(0, 80), line(1).replace('"v":1', '"v":2')]) {
      expect(expenseOf(text)).toBeNull();
    }
  });

  test("reads a line of our own as a parser reads it, whatever the names hold", () => {
    const text = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.constantFrom("", '"', "\\", '},"model":"', '"cost_usd":7,', '"user_id":"x"', "null", "a,b}"),
    );
    const labels = fc.dictionary(
      text.filter((name) => name !== "__proto__"),
      text,
      { maxKeys: 3 },
    );
    const fields = fc.record({
      api_key: text,
      team_id: fc.option(text),
      user_id: fc.option(text),
      model: text,
      node: text,
      metadata: labels,
      tags: labels,
      upstream_model: text,
      finish_reason: text,
      cost_usd: fc.integer({ min: 0, max: 1e12 }).map((nanos) => nanos / 1e9),
    });
    const read = (change: object) => {
      const written = line(0, change).trim();
      const event = JSON.parse(written) as UsageEvent;
      const nanos = Math.round(event.cost_usd * 1e9);
      const spender = {
        key: event.api_key || null,
        team: event.team_id || null,
        user: event.user_id || null,
        model: event.model || null,
      };
      expect(expenseOf(written)).toEqual(nanos === 0 ? null : { spender, at: NOON - HOUR, nanos });
    };
    const turns = fc.array(fc.nat(), { minLength: 1, maxLength: 8 });
    fc.assert(
      // The same ones again and again, as in a journal: what the last line said is remembered.
      fc.property(fc.array(fields, { minLength: 1, maxLength: 3 }), turns, (changes, order) => {
        for (const turn of order) read(changes[turn % changes.length] as object);
      }),
      { numRuns: 300 },
    );
  });

  test("reads every time as a parser does", () => {
    const times = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true });
    const some = fc.oneof(
      times.map((date) => date.toISOString()),
      fc.constantFrom("2026-01-31T12:00:61.000Z", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000+01:00", "soon"),
    );
    fc.assert(
      fc.property(some, (time) => {
        const at = Date.parse(time);
        const read = expenseOf(line(1, { time, duration_ms: 0 }).trim());
        if (Number.isNaN(at)) expect(read).toBeNull();
        else expect(read?.at).toBe(at);
      }),
      { numRuns: 300 },
    );
  });

  test("finds its way from long lines to short ones and back", () => {
    const long = line(2, { response_id: "r".repeat(3_000), model: "m".repeat(500), tags: { cost_usd: "7" } }).trim();
    const short = line(3, { response_id: "", tags: {} }).trim();
    for (const [text, nanos] of [
      [long, 2e9],
      [short, 3e9],
      [long, 2e9],
      [short, 3e9],
      [short, 3e9],
    ] as const) {
      expect(expenseOf(text)?.nanos).toBe(nanos);
    }
  });

  test("is not misled by labels", () => {
    const labels = { metadata: { cost_usd: "0", x: '"cost_usd":0,' }, model: '"cost_usd":0,' };
    expect(expenseOf(line(3, labels).trim())?.nanos).toBe(3e9);
  });
});
