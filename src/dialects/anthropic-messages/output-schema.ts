/**
 * JSON Schemas as output_config.format takes them: a subset, with closed objects. What the subset lacks is
 * said in words in the description, where the model still reads it. Source: the vendor's page on structured
 * outputs and its SDK's own reading of it.
 */
import { isObject } from "../json.js";
import type { JsonObject, JsonValue, LossList } from "../semantic.js";

/** Keywords that pass as they are. */
const KEPT: ReadonlySet<string> = new Set([
  "type",
  "enum",
  "const",
  "title",
  "default",
  "$ref",
  "required",
  "description",
]);
/** Keywords that hold a schema, a list of schemas, or schemas by name. */
const SCHEMA: ReadonlySet<string> = new Set(["items"]);
const SCHEMAS: ReadonlySet<string> = new Set(["anyOf", "allOf", "oneOf"]);
const NAMED_SCHEMAS: ReadonlySet<string> = new Set(["properties", "$defs", "definitions"]);
const FORMATS: ReadonlySet<string> = new Set([
  "date-time",
  "time",
  "date",
  "duration",
  "email",
  "hostname",
  "uri",
  "ipv4",
  "ipv6",
  "uuid",
]);

/** Deeper schemas are no schemas that anyone wrote; they pass as they are. */
const DEEPEST = 64;

function isObjectSchema(schema: JsonObject): boolean {
  const { type } = schema;
  return type === "object" || (Array.isArray(type) && type.includes("object")) || isObject(schema.properties);
}

function adaptNamed(schemas: JsonObject, losses: LossList, depth: number): JsonObject {
  const adapted: JsonObject = {};
  for (const [name, schema] of Object.entries(schemas)) {
    Object.defineProperty(adapted, name, {
      value: isObject(schema) ? adapt(schema, losses, depth) : schema,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return adapted;
}

function adaptValue(value: JsonValue, losses: LossList, depth: number): JsonValue {
  return isObject(value) ? adapt(value, losses, depth) : value;
}

/** Does the wire take this keyword with this value, unchanged? */
function isTaken(name: string, value: JsonValue): boolean {
  if (KEPT.has(name)) return true;
  if (name === "format") return typeof value === "string" && FORMATS.has(value);
  return name === "minItems" && (value === 0 || value === 1);
}

function adapt(schema: JsonObject, losses: LossList, depth: number): JsonObject {
  if (depth > DEEPEST) return schema;
  const adapted: JsonObject = {};
  const unsaid: string[] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (value === undefined || name === "$schema" || name === "additionalProperties") continue;
    if (isTaken(name, value)) adapted[name] = value;
    else if (SCHEMA.has(name)) adapted[name] = adaptValue(value, losses, depth + 1);
    else if (SCHEMAS.has(name) && Array.isArray(value)) {
      adapted[name === "oneOf" ? "anyOf" : name] = value.map((entry) => adaptValue(entry, losses, depth + 1));
    } else if (NAMED_SCHEMAS.has(name) && isObject(value)) adapted[name] = adaptNamed(value, losses, depth + 1);
    else unsaid.push(`${name}: ${JSON.stringify(value)}`);
  }
  if (isObjectSchema(schema)) {
    adapted.additionalProperties = false;
    if (schema.additionalProperties === true || isObject(schema.additionalProperties)) losses.add("response_schema");
  }
  if (unsaid.length > 0) {
    losses.add("response_schema");
    const said = typeof adapted.description === "string" ? `${adapted.description}\n` : "";
    adapted.description = `${said}(${unsaid.join(", ")})`;
  }
  return adapted;
}

/** The schema for output_config.format; `response_schema` is a loss where a constraint became words. */
export function adaptSchema(schema: JsonObject, losses: LossList): JsonObject {
  return adapt(schema, losses, 0);
}
