import { describe, expect, it } from "vitest";
import { synthesisTurn } from "../../../src/routing/ensemble.js";

describe("the judge's turn", () => {
  it("labels the answers in the panel's order", () => {
    const answers = [
      { model: "one", text: "first" },
      { model: "two", text: "second" },
    ];
    expect(synthesisTurn("Weigh them.", answers)).toBe(
      "Weigh them.\n\n## Answer 1 (one)\n\nfirst\n\n## Answer 2 (two)\n\nsecond",
    );
    expect(synthesisTurn(null, answers)).toContain("\n\n## Answer 1 (one)\n\nfirst\n\n## Answer 2");
  });

  it.each([
    ["a".repeat(8_192), "a".repeat(8_192)],
    ["a".repeat(8_193), `${"a".repeat(8_192)}\n[cut]`],
    [`a${"ü".repeat(4_096)}`, `a${"ü".repeat(4_095)}\n[cut]`],
    [`ab${"😀".repeat(2_048)}`, `ab${"😀".repeat(2_047)}\n[cut]`],
  ])("cuts at 8 KiB and never inside a character", (text, expected) => {
    const cut = synthesisTurn("?", [{ model: "one", text }]).slice("?\n\n## Answer 1 (one)\n\n".length);
    expect(cut === expected).toBe(true);
  });
});
