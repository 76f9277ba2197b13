/** The part of the resource vocabulary that is not built yet: named as such instead of as unknown. */
import type { Path } from "./result.js";
import type { CollectionName } from "./schema.js";

/** Collections of later versions. */
export const UNSUPPORTED_COLLECTIONS: ReadonlySet<string> = new Set([
  "oidc_providers",
  "claim_mappings",
  "observability_exporters",
  "mcp_servers",
  "a2a_agents",
]);

/** Fields of later versions, by collection; the entry is whole without them. */
export const UNSUPPORTED_FIELDS: Readonly<Partial<Record<CollectionName, readonly string[]>>> = {
  guardrails: [
    "created_at",
    "direction",
    "halt_on_blocklist_hit",
    "max_buffer_bytes",
    "on_buffer_exceeded",
    "output_type",
    "stream_processing_mode",
    "text_source",
    "window_overlap_size",
    "window_size",
  ],
};

/** Values of later versions, by collection and field; with one of them the entry is left out as a whole. */
export const UNSUPPORTED_VALUES: Readonly<
  Partial<Record<CollectionName, Readonly<Record<string, readonly string[]>>>>
> = {
  guardrails: { kind: ["aliyun_ai_guardrail", "aliyun_text_moderation", "semantic"] },
};

type Entry = Readonly<Record<string, unknown>>;

/**
 * Tells `report` of everything that is not supported yet and answers the entry without it; null when
 * nothing useful is left.
 */
export function stripUnsupported(collection: CollectionName, entry: Entry, report: (path: Path) => void): Entry | null {
  for (const [name, values] of Object.entries(UNSUPPORTED_VALUES[collection] ?? {})) {
    const value = entry[name];
    if (typeof value !== "string" || !values.includes(value)) continue;
    report([name]);
    return null;
  }
  let rest = entry;
  for (const name of UNSUPPORTED_FIELDS[collection] ?? []) {
    if (!Object.hasOwn(rest, name)) continue;
    report([name]);
    const { [name]: _left, ...others } = rest;
    rest = others;
  }
  return rest;
}
