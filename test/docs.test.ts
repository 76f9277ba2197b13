/** The documents name only what exists, and tell it as the code has it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ERRORS } from "../src/errors.js";
import { namedCommands, namedPaths, namedScripts, type Page, relativeLinks, tableRows } from "./architecture/prose.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const docPaths = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`);
const pages: Page[] = ["README.md", ...docPaths].map(readPage);
const readme = readPage("README.md");

function readPage(path: string): Page {
  return { path, text: readFileSync(join(root, path), "utf8") };
}

/** "page: thing" for everything `find` names on any page that `exists` does not know. */
function missing(find: (page: Page) => string[], exists: (name: string) => boolean): string[] {
  return pages.flatMap((page) =>
    find(page)
      .filter((name) => !exists(name))
      .map((name) => `${page.path}: ${name}`),
  );
}

const inTree = (path: string): boolean => existsSync(join(root, path));

describe("every page", () => {
  it("links only to files that exist", () => {
    expect(missing(relativeLinks, inTree), "Correct the link or add the page.").toEqual([]);
  });

  it("names only paths that exist", () => {
    expect(missing(namedPaths, inTree), "Name the file where it is now.").toEqual([]);
  });

  it("names only commands that exist", () => {
    const known = readdirSync(join(root, "src/cli")).map((name) => name.replace(/\.ts$/, ""));
    expect(
      missing(namedCommands, (name) => known.includes(name)),
      "Each command is a file in src/cli.",
    ).toEqual([]);
  });

  it("names only npm scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
    expect(
      missing(namedScripts, (name) => name in scripts),
      "See the scripts in package.json.",
    ).toEqual([]);
  });

  it("is linked from the README (decisions: from docs/architecture.md)", () => {
    const linked = new Set([...relativeLinks(readme), ...relativeLinks(readPage("docs/architecture.md"))]);
    expect(docPaths.filter((path) => !linked.has(path))).toEqual([]);
  });
});

describe("README.md", () => {
  it("has at most 150 lines", () => {
    expect(readme.text.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
  });
});

describe("docs/errors.md", () => {
  it("holds the error table, row by row", () => {
    const told = tableRows(readPage("docs/errors.md").text, "code").map((cells) => cells.slice(0, 4));
    const held = Object.entries(ERRORS).map(([code, row]) => [
      code,
      String(row.status),
      row.type,
      row.retryable ? "yes" : "no",
    ]);
    expect(told, "Change src/errors.ts and docs/errors.md together.").toEqual(held);
  });

  it("tells the message of every code", () => {
    const told = tableRows(readPage("docs/errors.md").text, "code").map((cells) => cells[4]);
    expect(told).toEqual(Object.values(ERRORS).map((row) => row.message));
  });
});

describe("docs/lifecycle.md", () => {
  const rows = tableRows(readPage("docs/lifecycle.md").text, "stage");

  it("lists the stages in their order, with what each needs and refuses with", async () => {
    const { STAGES } = await import("../src/pipeline/pipeline.js");
    const codes = (cell = ""): string[] => (cell.match(/[a-z][a-z_]+/g) ?? []).sort();
    const told = rows.map((cells) => ({ name: cells[0], needs: cells[1], failures: codes(cells[3]) }));
    const held = STAGES.map(({ name, needs, failures }) => ({ name, needs, failures: [...failures].sort() }));
    expect(told, "Change src/pipeline and docs/lifecycle.md together.").toEqual(held);
  });
});

describe("the reader of the pages", () => {
  const page = (text: string): Page => ({ path: "docs/page.md", text });

  it("finds links and leaves those to other places alone", () => {
    expect(relativeLinks(page("[a](gone.md#x) [b](../README.md) [c](https://example.com) [d](#here)"))).toEqual([
      "docs/gone.md",
      "README.md",
    ]);
  });

  it("finds paths in inline code", () => {
    expect(namedPaths(page("`src/gone.ts`, `docs/adr/`, `test/e2e/*.test.ts`, `.ci/run`, `dist/main.js`"))).toEqual([
      "src/gone.ts",
      "docs/adr",
      "test/e2e",
      ".ci/run",
    ]);
  });

  it("finds commands and scripts in code, not in prose", () => {
    const text =
      "A weir holds water. `weir fly --now`\n\n```sh\nnpm run gone\nnode dist/main.js swim\n```\nnpm run no\n";
    expect(namedCommands(page(text)).sort()).toEqual(["fly", "swim"]);
    expect(namedScripts(page(text))).toEqual(["gone"]);
  });

  it("reads a table's cells", () => {
    expect(tableRows("| code | b |\n|---|---|\n| `x` | y z |\n\n| other | b |", "code")).toEqual([["x", "y z"]]);
  });
});
