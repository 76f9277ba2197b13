import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { capture, fill, PatternIndex, parsePattern } from "../../../src/config/pattern.js";

// A tiny alphabet, so that names and patterns meet often.
const word = fc.string({ unit: fc.constantFrom("a", "b", "-"), maxLength: 5 });
const pattern = fc.oneof(
  word,
  fc.tuple(word, word).map(([prefix, suffix]) => `${prefix}*${suffix}`),
);

/** The meaning, written as plainly as possible. */
function matches(text: string, name: string): boolean {
  const star = text.indexOf("*");
  if (star < 0) return text === name;
  for (let end = star; end <= name.length; end++) {
    if (text.slice(0, star) + name.slice(star, end) + text.slice(star + 1) === name) return true;
  }
  return false;
}

describe("capture and fill", () => {
  it("match what they should, and filling the pattern with the capture gives the name back", () => {
    fc.assert(
      fc.property(pattern, word, (text, name) => {
        const captured = capture(parsePattern(text), name);
        expect(captured !== null).toBe(matches(text, name));
        if (captured !== null) expect(fill(text, captured)).toBe(name);
      }),
      { numRuns: 1000 },
    );
  });

  it("takes the empty run, but does not let prefix and suffix overlap", () => {
    expect(capture(parsePattern("gpt-*"), "gpt-")).toBe("");
    expect(capture(parsePattern("ab*ba"), "aba")).toBeNull();
    expect(capture(parsePattern("gpt-*"), "GPT-4o")).toBeNull();
  });

  it("fills a captured dollar or star as it is", () => {
    expect(fill("x-*", "$&*")).toBe("x-$&*");
  });
});

describe("PatternIndex", () => {
  it("finds what a walk over all patterns finds", () => {
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 12 }), word, (texts, name) => {
        const index = new PatternIndex(texts.map((text, order) => [text, order] as const));
        const literals = (text: string): number => (text.includes("*") ? text.length - 1 : Number.POSITIVE_INFINITY);
        let best = -1;
        for (const [order, text] of texts.entries()) {
          if (!matches(text, name)) continue;
          if (best < 0 || literals(text) > literals(texts[best] ?? "")) best = order;
        }
        expect(index.find(name)?.value ?? -1).toBe(best);
      }),
      { numRuns: 1000 },
    );
  });
});
