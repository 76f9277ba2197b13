/** The part of the resource vocabulary that is not built yet: named as such instead of as unknown. */
import type { Path } from "./result.js";
import type { CollectionName } from "./schema.js";

/** Collections of later versions. */
export const UNSUPPORTED_COLLECTIONS: ReadonlySet<string> = new Set([
  "rate_limit_policies",
  "budgets",
  "cache_policies",
  "guardrails",
  "guardrail_attachments",
  "passthrough_routes",
  "oidc_providers",
  "claim_mappings",
  "observability_exporters",
  "mcp_servers",
  "a2a_agents",
]);

/** Fields of later versions, by collection; a dotted one is a field of a mapping. */
export const UNSUPPORTED_FIELDS: Readonly<Record<CollectionName, readonly string[]>> = {
  provider_keys: ["telemetry_tags"],
  models: [
    "routing",
    "ensemble",
    "semantic",
    "retries",
    "cooldown",
    "background_model_check",
    "cost",
    "embedding",
    "auto_prompt_caching",
  ],
  api_keys: ["budget"],
};

// Without these the entry is something else, so it is left out as a whole.
const ESSENTIAL_FIELDS: ReadonlySet<string> = new Set(["routing", "ensemble", "semantic"]);

type Entry = Readonly<Record<string, unknown>>;

/**
 * Tells `report` of every field that is not supported yet and answers the entry without them; null when
 * nothing useful is left.
 */
export function stripUnsupported(collection: CollectionName, entry: Entry, report: (path: Path) => void): Entry | null {
  let rest: Record<string, unknown> = { ...entry };
  let whole = true;
  for (const dotted of UNSUPPORTED_FIELDS[collection]) {
    const [name = "", inner] = dotted.split(".");
    if (!Object.hasOwn(rest, name)) continue;
    if (inner === undefined) {
      report([name]);
      if (ESSENTIAL_FIELDS.has(name)) whole = false;
      rest = without(rest, name);
      continue;
    }
    const group = rest[name];
    if (typeof group !== "object" || group === null || !Object.hasOwn(group, inner)) continue;
    report([name, inner]);
    rest[name] = without(group as Entry, inner);
  }
  return whole ? rest : null;
}

function without(entry: Entry, name: string): Record<string, unknown> {
  const { [name]: _left, ...rest } = entry;
  return rest;
}
