import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { PAGES } from "../../generated/pages.js";

describe("generated pages", () => {
  it.each(Object.entries(PAGES))("docs/%s tells what the code has", (name, render) => {
    const written = readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");
    expect(written, "Write the generated pages anew: npx tsx test/generated/write.ts").toBe(render());
  });
});
