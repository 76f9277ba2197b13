import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { environmentName } from "../../../src/config/environment.js";
import { loadConfig, parseResources } from "../../../src/config/load.js";
import { type Field, fieldsOf } from "../../../src/config/fields.js";
import { GUARDRAIL_SCHEMAS } from "../../../src/config/schema-guardrails.js";
import { COLLECTIONS, type CollectionName, outline, weirConfigSchema } from "../../../src/config/schema.js";
import { UNSUPPORTED_COLLECTIONS, UNSUPPORTED_FIELDS, UNSUPPORTED_VALUES } from "../../../src/config/unsupported.js";
import { contextWith, temporaryDirectory, loaded } from "./files.js";

const read = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

/** Rows of all tables: the field of the first column without its backticks, then the other cells. */
function tableRows(markdown: string): string[][] {
  const rows = markdown.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((line) => {
    const cells = line.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, ""));
    return [(cells[0] ?? "").replaceAll("`", ""), ...cells.slice(1)];
  });
}

/** What stands under a heading of the third rank, or before the first one. */
function subsection(markdown: string, heading: string | null): string {
  const parts = markdown.split(/^### /m);
  return heading === null ? (parts[0] ?? "") : (parts.find((part) => part.startsWith(`${heading}\n`)) ?? "");
}

function section(markdown: string, heading: string): string {
  return markdown.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
}

/** A default that a document can state; the others depend on the host or on another field. */
function statedDefault(field: Field): string | null {
  if (["acceptors", "node_name"].includes(field.path)) return null;
  return field.default === undefined ? null : `\`${JSON.stringify(field.default)}\``;
}

function leaves(schema: Parameters<typeof outline>[0]): Field[] {
  return fieldsOf(outline(schema)).filter((field) => field.type !== "group");
}

function examples(markdown: string): string[] {
  return [...markdown.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? "");
}

describe("docs/configuration.md", () => {
  const markdown = read("configuration.md");
  const rows = new Map(tableRows(markdown).map((row) => [row[0], row]));

  it("lists exactly the fields of the schema", () => {
    expect([...rows.keys()].sort()).toEqual(
      leaves(weirConfigSchema)
        .map((field) => field.path)
        .sort(),
    );
  });

  it.each(leaves(weirConfigSchema).map((field) => [field.path, field] as const))(
    "tells the truth about %s",
    (path, field) => {
      const row = rows.get(path);
      expect(row).toHaveLength(5);
      if (statedDefault(field) !== null) expect(row?.[2]).toBe(statedDefault(field));
      else expect(row?.[2]).not.toContain("`[");
      expect(row?.[3]).toBe(`\`${environmentName(path)}\``);
    },
  );

  it("shows examples that load", () => {
    const directory = temporaryDirectory();
    for (const example of examples(markdown)) loaded(loadConfig(directory.write("weir.yaml", example), {}));
    directory.remove();
    expect(examples(markdown).length).toBeGreaterThan(0);
  });
});

describe("docs/resources.md", () => {
  const markdown = read("resources.md");
  const collections = Object.keys(COLLECTIONS) as CollectionName[];
  const plain = collections.filter((collection) => collection !== "guardrails");
  const kinds = GUARDRAIL_SCHEMAS.map((schema) => [schema.shape.kind.value, schema] as const);

  function expectTold(rows: ReadonlyMap<string | undefined, string[]>, fields: readonly Field[]): void {
    for (const field of fields) {
      expect(rows.get(field.path), field.path).toHaveLength(4);
      if (statedDefault(field) !== null) expect(rows.get(field.path)?.[2], field.path).toBe(statedDefault(field));
    }
  }

  it.each(plain)("lists exactly the fields of %s, with their defaults", (collection) => {
    const rows = new Map(tableRows(section(markdown, collection)).map((row) => [row[0], row]));
    const fields = leaves(COLLECTIONS[collection]);
    expect([...rows.keys()].sort()).toEqual(fields.map((field) => field.path).sort());
    expectTold(rows, fields);
  });

  it.each(kinds)("lists exactly the fields of guardrails of kind %s, with their defaults", (kind, schema) => {
    const told = section(markdown, "guardrails");
    const shared = new Map(tableRows(subsection(told, null)).map((row) => [row[0], row]));
    const own = new Map(tableRows(subsection(told, kind)).map((row) => [row[0], row]));
    const fields = leaves(schema);
    const mine = fields.filter((field) => !shared.has(field.path));
    expect([...own.keys()].sort()).toEqual(mine.map((field) => field.path).sort());
    expectTold(new Map([...shared, ...own]), fields);
  });

  it("shares no field of guardrails that no kind has", () => {
    const known = new Set(kinds.flatMap(([, schema]) => leaves(schema).map((field) => field.path)));
    const shared = tableRows(subsection(section(markdown, "guardrails"), null)).map((row) => row[0] ?? "");
    expect(shared.filter((path) => !known.has(path))).toEqual([]);
  });

  it("has no table outside the collections", () => {
    const inside = collections.flatMap((collection) => tableRows(section(markdown, collection)));
    expect(tableRows(markdown)).toHaveLength(inside.length);
  });

  it("names what is not supported yet", () => {
    const named = [...section(markdown, "Not supported yet").matchAll(/`([a-z_.0-9]+)`/g)].map((match) => match[1]);
    const values = Object.values(UNSUPPORTED_VALUES).flatMap((fields) => Object.entries(fields).flat(2));
    const expected = [...UNSUPPORTED_COLLECTIONS, ...Object.values(UNSUPPORTED_FIELDS).flat(), ...values];
    expect([...new Set(named)].sort()).toEqual([...new Set(expected)].sort());
  });

  it("shows examples that load together", () => {
    const operations = new Set(["chat", "embeddings"]);
    const providers = new Set(["openai", "bedrock"]);
    const text = `_format_version: "1"\n${examples(markdown).join("")}`;
    const names = ["JUDGE_TOKEN", "OPENAI_API_KEY", "CI_WEIR_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    const environment = Object.fromEntries(names.map((name) => [name, name.toLowerCase()]));
    const resources = loaded(parseResources(text, contextWith(environment, { operations, providers })));
    expect([resources.providerKeys.length, resources.models.length, resources.apiKeys.length]).toEqual([4, 5, 1]);
    const { policies, budgets, cachePolicies, guardrails, attachments } = resources.traffic;
    const counts = [policies, budgets, cachePolicies, guardrails, attachments].map(({ length }) => length);
    expect(counts).toEqual([2, 3, 1, 3, 2]);
  });
});
