/** How one entry of a resource file is known where entries are handled one by one: in NATS and the admin API. */
import { isMapping, type Raw } from "./entry.js";
import type { CollectionName } from "./schema.js";

/** The field that an entry's name goes into where the entry does not say it. */
export const NAME_FIELDS: Readonly<Record<CollectionName, string>> = {
  provider_keys: "display_name",
  models: "display_name",
  api_keys: "display_name",
  rate_limit_policies: "name",
  budgets: "name",
  cache_policies: "name",
  passthrough_routes: "name",
  guardrails: "name",
  // These have no name of their own: nothing refers to them.
  guardrail_attachments: "id",
};

export interface NamedEntry {
  readonly name: string;
  /** The entry, with its name in it. */
  readonly value: Raw;
}

/**
 * An entry with its name: the one it says, for an attachment its id, or, where it has none, one made of what
 * hangs where (`pii@model:gpt`), which is then put in as its id. null: it has no name, or is no mapping.
 */
export function namedEntry(collection: CollectionName, raw: unknown): NamedEntry | null {
  if (!isMapping(raw)) return null;
  if (collection !== "guardrail_attachments") {
    const name = raw.display_name ?? raw.name;
    return typeof name === "string" && name !== "" ? { name, value: raw } : null;
  }
  if (raw.id !== undefined) return typeof raw.id === "string" && raw.id !== "" ? { name: raw.id, value: raw } : null;
  const guardrail = raw.guardrail ?? raw.guardrail_id;
  if (typeof guardrail !== "string" || typeof raw.scope_type !== "string") return null;
  const place = typeof raw.scope_id === "string" && raw.scope_id !== "" ? `:${raw.scope_id}` : "";
  const name = `${guardrail}@${raw.scope_type}${place}`;
  return { name, value: { id: name, ...raw } };
}
