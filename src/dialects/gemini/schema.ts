/**
 * JSON Schema → the subset of OpenAPI's schema object that models before 2.5 take: references are expanded,
 * null becomes `nullable`, and what has no place there is a loss.
 */
import { asArray, asObject, asObjects, asString, isAbsent } from "../json.js";
import type { JsonObject, JsonValue, LossList } from "../semantic.js";

/** A recursive schema is expanded this deep; what lies deeper is an object of any form. */
const MAX_DEPTH = 24;
/** How often one reference may stand inside itself. */
const MAX_RECURSION = 2;
/** Schemas visited in all: references to references could otherwise double at every level. */
const MAX_NODES = 5_000;

interface Conversion {
  readonly root: JsonObject;
  readonly losses: LossList;
  /** References being expanded, outermost first. */
  readonly open: string[];
  nodes: number;
}

/** Keys that mean the same on both sides. */
const KEPT = new Set(
  (
    "description title default example maxItems maxLength maxProperties maximum minItems minLength minProperties " +
    "minimum pattern propertyOrdering required nullable"
  ).split(" "),
);
/** Keys read by the steps below, and keys that say nothing about the value. */
const HANDLED = new Set(
  "type enum const format items properties anyOf oneOf allOf $ref $defs definitions $schema $id $comment".split(" "),
);
const FORMATS: Readonly<Record<string, ReadonlySet<string>>> = {
  STRING: new Set(["enum", "date-time"]),
  INTEGER: new Set(["int32", "int64", "enum"]),
  NUMBER: new Set(["float", "double"]),
};

/** The schema in the older form; null when it says nothing (an object without properties). */
export function olderSchema(schema: JsonObject, losses: LossList): JsonObject | null {
  const converted = convert(schema, { root: schema, losses, open: [], nodes: 0 }, 0);
  const bare = converted.type === "OBJECT" && converted.properties === undefined;
  return Object.keys(converted).length === 0 || bare ? null : converted;
}

function convert(schema: JsonObject, conversion: Conversion, depth: number): JsonObject {
  if (depth > MAX_DEPTH || ++conversion.nodes > MAX_NODES) {
    conversion.losses.add("schema_depth");
    return { type: "OBJECT" };
  }
  const reference = asString(schema.$ref);
  if (reference !== "") return expand(reference, schema, conversion, depth);
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(schema)) {
    if (KEPT.has(key)) result[key] = value;
    else if (!HANDLED.has(key)) reportKey(key, value, conversion.losses);
  }
  readType(schema, result);
  readChoices(schema, result, conversion.losses);
  readFormat(schema, result, conversion.losses);
  readMembers(schema, result, conversion, depth);
  readAlternatives(schema, result, conversion, depth);
  mergeAll(schema, result, conversion, depth);
  return result;
}

function reportKey(key: string, value: JsonValue | undefined, losses: LossList): void {
  // Closed objects are what these models make anyway.
  if (key === "additionalProperties" && value === false) return;
  losses.add(KNOWN_KEYWORDS.get(key) ?? "schema_keyword");
}

const KNOWN_KEYWORDS: ReadonlyMap<string, string> = new Map([
  ["additionalProperties", "schema_additional_properties"],
  ["patternProperties", "schema_pattern_properties"],
  ["exclusiveMinimum", "schema_exclusive_minimum"],
  ["exclusiveMaximum", "schema_exclusive_maximum"],
  ["multipleOf", "schema_multiple_of"],
  ["uniqueItems", "schema_unique_items"],
  ["not", "schema_not"],
  ["if", "schema_if"],
]);

/** A reference's target, with what stands beside it; bounded where schemas contain themselves. */
function expand(reference: string, schema: JsonObject, conversion: Conversion, depth: number): JsonObject {
  const target = resolve(reference, conversion.root);
  const within = conversion.open.filter((open) => open === reference).length;
  if (target === null || within >= MAX_RECURSION) {
    conversion.losses.add("schema_ref");
    return { type: "OBJECT" };
  }
  const { $ref: _reference, ...beside } = schema;
  conversion.open.push(reference);
  const converted = convert({ ...target, ...beside }, conversion, depth + 1);
  conversion.open.pop();
  return converted;
}

function resolve(reference: string, root: JsonObject): JsonObject | null {
  if (reference === "#") return root;
  if (!reference.startsWith("#/")) return null;
  let found: JsonObject | null = root;
  for (const step of reference.slice(2).split("/")) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    found = found !== null && Object.hasOwn(found, name) ? asObject(found[name]) : null;
  }
  return found;
}

function readType(schema: JsonObject, result: JsonObject): void {
  const types = typeof schema.type === "string" ? [schema.type] : asArray(schema.type).map(asString);
  const named = types.filter((type) => type !== "" && type.toLowerCase() !== "null").map((type) => type.toUpperCase());
  if (named.length < types.length) result.nullable = true;
  if (named.length === 1) result.type = named[0];
  if (named.length > 1) result.anyOf = named.map((type) => ({ type }));
}

/** `enum` and `const`: text only; numbers go as text with their type kept. */
function readChoices(schema: JsonObject, result: JsonObject, losses: LossList): void {
  const all = schema.const !== undefined ? [schema.const] : Array.isArray(schema.enum) ? schema.enum : null;
  if (all === null) return;
  const choices = all.filter((choice) => choice !== null);
  if (choices.length < all.length) result.nullable = true;
  if (choices.length === 0) return;
  if (choices.every((choice) => typeof choice === "string")) {
    result.type ??= "STRING";
    result.enum = choices;
  } else if (choices.every((choice) => Number.isInteger(choice))) {
    result.type ??= "INTEGER";
    result.format = "enum";
    result.enum = choices.map(String);
  } else {
    losses.add("schema_enum");
  }
}

function readFormat(schema: JsonObject, result: JsonObject, losses: LossList): void {
  const format = asString(schema.format);
  if (format === "" || result.format !== undefined) return;
  if (FORMATS[asString(result.type)]?.has(format) === true) result.format = format;
  else losses.add("schema_format");
}

function readMembers(schema: JsonObject, result: JsonObject, conversion: Conversion, depth: number): void {
  const items = asObject(schema.items);
  if (items !== null) result.items = convert(items, conversion, depth + 1);
  else if (result.type === "ARRAY") result.items = { type: "STRING" };
  if (Array.isArray(schema.items)) conversion.losses.add("schema_items");
  const properties = asObject(schema.properties);
  if (properties === null || Object.keys(properties).length === 0) return;
  const converted: JsonObject = {};
  for (const [name, member] of Object.entries(properties)) {
    converted[name] = convert(asObject(member) ?? {}, conversion, depth + 1);
  }
  result.type ??= "OBJECT";
  result.properties = converted;
}

/** `anyOf` and `oneOf`: an alternative of null becomes `nullable`, one that stays alone takes the schema's place. */
function readAlternatives(schema: JsonObject, result: JsonObject, conversion: Conversion, depth: number): void {
  const listed = [...asObjects(schema.anyOf), ...asObjects(schema.oneOf)];
  if (listed.length === 0) return;
  const others = listed.filter((alternative) => asString(alternative.type).toLowerCase() !== "null");
  if (others.length < listed.length) result.nullable = true;
  const converted = others.map((alternative) => convert(alternative, conversion, depth + 1));
  if (converted.length === 1) {
    for (const [key, value] of Object.entries(converted[0] ?? {})) result[key] ??= value;
  } else if (converted.length > 1) {
    result.anyOf = converted;
  }
}

/** `allOf`: members side by side; where two say different things the first stays, and that is a loss. */
function mergeAll(schema: JsonObject, result: JsonObject, conversion: Conversion, depth: number): void {
  for (const part of asObjects(schema.allOf)) {
    const converted = convert(part, conversion, depth + 1);
    for (const [key, value] of Object.entries(converted)) {
      const before = result[key];
      if (isAbsent(before)) result[key] = value;
      else if (key === "properties") result[key] = { ...asObject(value), ...asObject(before) };
      else if (key === "required") result[key] = [...new Set([...asArray(before), ...asArray(value)])];
      else if (JSON.stringify(before) !== JSON.stringify(value)) conversion.losses.add("schema_all_of");
    }
  }
}
