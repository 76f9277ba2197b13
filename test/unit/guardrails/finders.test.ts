import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Literals } from "../../../src/guardrails/literals.js";
import { findersOf } from "../../../src/guardrails/local-rules.js";
import { MAX_PATTERN_LENGTH, Pattern, patternProblem } from "../../../src/guardrails/pattern.js";
import type { Finder } from "../../../src/guardrails/rule.js";
import { combined, replaced, screenWhole, TextScreen } from "../../../src/guardrails/text-screen.js";

function found(finder: Finder, text: string): string[] {
  const all: string[] = [];
  for (let at = 0; ; ) {
    const match = finder.find(text, at);
    if (match === null) return all;
    all.push(text.slice(match.start, match.end));
    at = match.ends;
  }
}

describe("literals", () => {
  it("finds each of many without case, the longest where one ends in another", () => {
    const literals = new Literals(["falcon", "Project Falcon", "ÄRGER"], "keyword");
    expect(found(literals, "about PROJECT FALCON, falcon and ärger")).toEqual(["PROJECT FALCON", "falcon", "ärger"]);
    expect(literals.find("project falco n", 0)).toBeNull();
  });

  it("finds what a search for each by itself finds", () => {
    const word = fc.stringMatching(/^[ab]{1,4}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), fc.stringMatching(/^[abc]{0,40}$/), (words, text) => {
        const literals = new Literals(words, "keyword");
        expect(literals.find(text, 0) !== null).toBe(words.some((one) => text.includes(one)));
        const open = literals.open(text, 0);
        const tail = text.slice(open);
        // Held back is exactly the longest end that a literal begins with.
        expect(tail === "" || words.some((one) => one.startsWith(tail))).toBe(true);
        for (let at = 0; at < open; at++) expect(words.some((one) => one.startsWith(text.slice(at)))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe("patterns", () => {
  it("are RE2: what cannot be matched in one pass is refused with its reason", () => {
    expect(patternProblem("secret-[0-9]+")).toBeNull();
    for (const pattern of ["(?<=a)b(", "(a)\\1", "a{2000}", "x".repeat(MAX_PATTERN_LENGTH + 1)]) {
      expect(patternProblem(pattern)).toMatch(/RE2|longer/);
    }
  });

  it("mask the first group where there is one, and replace with what is asked for", () => {
    const rule = {
      kind: "pii" as const,
      detectors: [],
      customPatterns: [{ name: "ticket no", regex: "ticket ([0-9]+)", action: "mask" as const, replacement: null }],
    };
    const finders = findersOf(rule).map((finder) => ({ finder, owner: 0, masks: true }));
    expect(screenWhole("see ticket 123 and ticket 9.", finders, () => {})).toBe(
      "see ticket [TICKET_NO] and ticket [TICKET_NO].",
    );
  });

  it("take time in proportion to the text, whatever the pattern", () => {
    for (const regex of ["(a+)+$", "(a|a)*b", "(.*)*=.*x", "^(([a-z])+.)+[A-Z]([a-z])+$"]) {
      const pattern = new Pattern(regex, { category: "keyword", action: "block", replacement: "" });
      const time = (length: number): number => {
        const text = `${"a".repeat(length)}!`;
        const began = performance.now();
        pattern.find(text, 0);
        return performance.now() - began;
      };
      time(1_000);
      // A backtracking engine needs longer than the universe has had for the first of these.
      expect(time(200_000)).toBeLessThan(5_000);
    }
  });

  it("does not stop at matches of nothing", () => {
    const pattern = new Pattern("x*", { category: "keyword", action: "mask", replacement: "[X]" });
    expect(screenWhole("aaxxb", [{ finder: pattern, owner: 0, masks: true }], () => {})).toBe("aa[X]b");
  });
});

describe("a text that grows", () => {
  const finders = findersOf({
    kind: "pii",
    detectors: (
      ["email", "phone", "credit_card", "us_ssn", "iban", "ip_address", "api_key", "jwt", "private_key"] as const
    ).map((type) => ({ type, action: "mask" as const })),
    customPatterns: [
      { name: "badge", regex: "\\bB-[0-9]{4}\\b", action: "mask", replacement: null },
      { name: "shout", regex: "(?i)falcon", action: "mask", replacement: "***" },
    ],
  }).map((finder, index) => ({ finder, owner: index % 3, masks: true }));

  const SAMPLES = [
    "ann@example.com",
    "bob.b+x@mail.example.co.uk.",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004 12/27",
    "378282246310005",
    "123-45-6789",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "+49 170 1234567",
    "(415) 555-2671",
    "192.168.0.1",
    "2001:db8::8a2e:370:7334",
    "sk-abcdefghijklmnopqrstuvwx",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZw",
    "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
    "B-1234",
    "FALCON",
    "falc",
    "12345678901234567890123",
    "a@b",
    "1.2.3",
    "😀 ",
    "\n",
    " and ",
    ", ",
    "x",
    "@",
    "-",
    "7",
  ];

  it("comes out the same whatever the pieces in which it came", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...SAMPLES), { maxLength: 12 }),
        fc.constantFrom("", " ", "; "),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (parts, separator, sizes) => {
          const text = parts.join(separator);
          const whole = screenWhole(text, finders, () => {}) ?? text;
          expect(inPieces(text, sizes)).toBe(whole);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("is held back by words only as far as a word reaches", () => {
    const screen = new TextScreen(finders.slice(0, 9), () => {});
    screen.append("There is nothing to hide in this sentence. At al");
    screen.advance(false);
    expect(screen.length - screen.cleared).toBeLessThanOrEqual(2);
  });

  function inPieces(text: string, sizes: readonly number[]): string {
    const screen = new TextScreen(finders, () => {});
    let out = "";
    let at = 0;
    let shown = 0;
    const flush = (): void => {
      for (; shown < screen.replacements.length; shown++) {
        const replacement = screen.replacements[shown]!;
        out += text.slice(at, replacement.start) + replacement.text;
        at = replacement.end;
      }
      expect(at).toBeLessThanOrEqual(screen.cleared);
      out += text.slice(at, screen.cleared);
      at = screen.cleared;
    };
    for (let from = 0, turn = 0; from < text.length; turn++) {
      const size = sizes[turn % sizes.length]!;
      screen.append(text.slice(from, from + size));
      screen.advance(false);
      flush();
      from += size;
    }
    screen.advance(true);
    flush();
    return out;
  }
});

describe("masks upon masks", () => {
  const TEXT = "abcdefghijklmnopqrst";
  const cuts = fc.uniqueArray(fc.integer({ min: 0, max: 20 }), { minLength: 0, maxLength: 8 });
  const masksOver = (length: number, points: readonly number[], sign: string) => {
    const inside = points.filter((point) => point <= length).sort((one, other) => one - other);
    const masks: { start: number; end: number; text: string }[] = [];
    for (let at = 0; at + 1 < inside.length; at += 2) {
      masks.push({ start: inside[at]!, end: inside[at + 1]!, text: sign.repeat(at % 4) });
    }
    return masks;
  };

  it("are the same as one round of masks", () => {
    fc.assert(
      fc.property(cuts, cuts, (first, second) => {
        const earlier = masksOver(TEXT.length, first, "X");
        const shown = replaced(TEXT, earlier);
        const later = masksOver(shown.length, second, "y");
        expect(replaced(TEXT, combined(earlier, later))).toBe(replaced(shown, later));
      }),
      { numRuns: 2_000 },
    );
  });
});
