import { describe, expect, it } from "vitest";
import { olderSchema } from "../../../../src/dialects/gemini/schema.js";
import { type JsonObject, LossList } from "../../../../src/dialects/semantic.js";

function convert(schema: JsonObject): { schema: JsonObject | null; losses: readonly string[] } {
  const losses = new LossList();
  return { schema: olderSchema(schema, losses), losses: losses.names };
}

describe("the older schema form", () => {
  it("expands references and keeps what stands beside them", () => {
    const { schema, losses } = convert({
      type: "object",
      properties: { home: { $ref: "#/$defs/place", description: "where" }, work: { $ref: "#/$defs/place" } },
      $defs: { place: { type: "object", properties: { city: { type: "string" } } } },
    });
    const place = { type: "OBJECT", properties: { city: { type: "STRING" } } };
    expect(schema).toEqual({ type: "OBJECT", properties: { home: { ...place, description: "where" }, work: place } });
    expect(losses).toEqual([]);
  });

  it("ends where schemas contain themselves, whatever their width", () => {
    const node = { type: "object", properties: { next: { $ref: "#" }, other: { $ref: "#/definitions/twin" } } };
    const twin = { type: "object", properties: { left: { $ref: "#/definitions/twin" }, right: { $ref: "#" } } };
    const { schema, losses } = convert({ ...node, definitions: { twin } });
    expect(JSON.stringify(schema).length).toBeLessThan(100_000);
    expect(losses).toContain("schema_ref");
  });

  it("ends where references double at every level", () => {
    const definitions: JsonObject = { d0: { type: "string" } };
    for (let at = 1; at < 20; at++) {
      const below = { $ref: `#/definitions/d${at - 1}` };
      definitions[`d${at}`] = { type: "object", properties: { a: below, b: below } };
    }
    const { schema, losses } = convert({ $ref: "#/definitions/d19", definitions });
    expect(JSON.stringify(schema).length).toBeLessThan(1_000_000);
    expect(losses).toContain("schema_depth");
  });

  it("maps null in every spelling", () => {
    const nullable = { type: "STRING", nullable: true };
    expect(convert({ type: ["string", "null"] }).schema).toEqual(nullable);
    expect(convert({ anyOf: [{ type: "string" }, { type: "null" }] }).schema).toEqual(nullable);
    expect(convert({ oneOf: [{ type: "null" }, { type: "string" }] }).schema).toEqual(nullable);
    expect(convert({ enum: ["a", null] }).schema).toEqual({ ...nullable, enum: ["a"] });
  });

  it("keeps alternatives, choices and constants", () => {
    expect(convert({ type: ["string", "integer"] }).schema).toEqual({
      anyOf: [{ type: "STRING" }, { type: "INTEGER" }],
    });
    expect(convert({ const: "x" }).schema).toEqual({ type: "STRING", enum: ["x"] });
    expect(convert({ type: "integer", enum: [1, 2] }).schema).toEqual({
      type: "INTEGER",
      format: "enum",
      enum: ["1", "2"],
    });
    expect(convert({ enum: [true] })).toEqual({ schema: null, losses: ["schema_enum"] });
  });

  it("merges allOf and says where it cannot", () => {
    const { schema, losses } = convert({
      allOf: [
        { type: "object", properties: { a: { type: "string" } }, required: ["a"] },
        { type: "object", properties: { b: { type: "string" } }, required: ["b"], description: "x" },
        { description: "y" },
      ],
    });
    expect(schema).toMatchObject({ type: "OBJECT", required: ["a", "b"], description: "x" });
    expect(Object.keys(schema?.properties ?? {}).sort()).toEqual(["a", "b"]);
    expect(losses).toEqual(["schema_all_of"]);
  });

  it("drops what has no place as losses, and closed objects without one", () => {
    const { schema, losses } = convert({
      type: "object",
      additionalProperties: false,
      properties: {
        a: { type: "string", format: "uri", minLength: 1 },
        b: { type: "array" },
        c: { type: "number", exclusiveMinimum: 0, "x-made-up": 1 },
        d: { type: "string", format: "date-time" },
      },
    });
    expect(schema?.properties).toEqual({
      a: { type: "STRING", minLength: 1 },
      b: { type: "ARRAY", items: { type: "STRING" } },
      c: { type: "NUMBER" },
      d: { type: "STRING", format: "date-time" },
    });
    expect(losses).toEqual(["schema_format", "schema_exclusive_minimum", "schema_keyword"]);
  });

  it("is not misled by names of every object", () => {
    expect(convert({ $ref: "#/constructor/name" }).losses).toEqual(["schema_ref"]);
    expect(convert({ constructor: {} }).losses).toEqual(["schema_keyword"]);
  });
});
