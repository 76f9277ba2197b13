/**
 * The laws of the house, each one a test. A law is a function over the tree; its own breaches are kept beside
 * it, so that a law that has gone blind fails too.
 */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { IMPORT_LAWS } from "./architecture/imports.js";
import type { Law } from "./architecture/law.js";
import { SHAPE_LAWS } from "./architecture/shape.js";
import { projectTree, snippetTree } from "./architecture/tree.js";
import { WORD_LAWS } from "./architecture/words.js";

const LAWS: readonly Law[] = [...IMPORT_LAWS, ...SHAPE_LAWS, ...WORD_LAWS];
const tree = projectTree(fileURLToPath(new URL("..", import.meta.url)));

describe("the laws of the house", () => {
  it("see the sources", () => {
    expect(tree.sources.map((file) => file.path)).toContain("src/errors.ts");
  });

  for (const law of LAWS) {
    it(law.name, () => {
      const breaches = law.check(tree);
      expect(breaches, `${law.advice}\n  ${breaches.join("\n  ")}\n`).toEqual([]);
    });
  }
});

describe("each law bites", () => {
  for (const law of LAWS) {
    it(law.name, () => {
      for (const breach of law.breaches) {
        expect(law.check(snippetTree(breach)), JSON.stringify(breach).slice(0, 200)).not.toEqual([]);
      }
      expect(law.breaches.length).toBeGreaterThan(0);
      expect(law.check(snippetTree(law.kept))).toEqual([]);
    });
  }
});
