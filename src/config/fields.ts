/** The fields of a schema as a flat list: what environment overrides and the documentation go by. */

export interface Field {
  /** `limits.body_bytes` */
  readonly path: string;
  readonly type: "string" | "integer" | "boolean" | "list" | "map" | "group";
  /** undefined = none. */
  readonly default: unknown;
}

interface Node {
  readonly type?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
}

/**
 * Walks the outline of a schema. A `group` is a mapping with fields of its own, which follow it; a field
 * that may be a string or a mapping (`listen`) is a string, followed by the mapping's fields, and a list of
 * mappings is followed by theirs (`targets[].weight`).
 */
export function fieldsOf(outline: unknown, prefix = ""): Field[] {
  const fields: Field[] = [];
  for (const [name, node] of Object.entries((outline as Node).properties ?? {})) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const group = [node, ...(node.anyOf ?? [])].find((branch) => branch.properties !== undefined);
    fields.push({ path, type: typeOf(node), default: node.default });
    if (group !== undefined) fields.push(...fieldsOf(group, path));
    if (node.items?.properties !== undefined) fields.push(...fieldsOf(node.items, `${path}[]`));
  }
  return fields;
}

function typeOf(node: Node): Field["type"] {
  if (node.properties !== undefined) return "group";
  const type = node.type ?? node.anyOf?.find((branch) => branch.properties === undefined)?.type;
  if (type === "array") return "list";
  if (type === "object") return "map";
  return type === "integer" || type === "boolean" ? type : "string";
}
