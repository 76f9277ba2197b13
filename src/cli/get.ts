/** `weir get`: the entries that a running gateway has, their secrets unreadable. */
import { parseArgs } from "node:util";
import { stringify } from "yaml";
import { isMapping, modelKind, type Raw } from "../config/entry.js";
import { isCollection } from "../config/resource-set.js";
import type { CollectionName } from "../config/schema.js";
import { printable } from "../usage/summary.js";
import type { AdminClient, AdminEntry } from "./admin-client.js";
import {
  ADMIN_OPTIONS,
  ADMIN_USAGE,
  type CommandContext,
  CommandError,
  MistypedError,
  openAdmin,
  runCommand,
} from "./command.js";
import { COLLECTION_NAMES } from "./entry-file.js";

const USAGE = `usage: weir get COLLECTION [NAME] [--json | --yaml] [OPTIONS]
  --json             as the gateway answers it
  --yaml             as a resource file has it; without it, all of a collection is a table
${ADMIN_USAGE}collections: ${COLLECTION_NAMES.join(", ")}
`;

/** What the table shows of an entry, beside its name and revision. */
const COLUMNS: Readonly<Record<CollectionName, readonly string[]>> = {
  provider_keys: ["provider", "adapter", "api_base", "api_key"],
  models: ["kind", "provider", "model_name", "provider_key"],
  api_keys: ["allowed_models", "team_id", "disabled", "expires_at"],
  rate_limit_policies: ["scope", "scope_ref", "window", "max_requests", "max_tokens", "limits"],
  budgets: ["scope", "scope_ref", "limit_usd", "period", "action"],
  cache_policies: ["applies_to", "backend", "scope", "ttl_seconds", "enabled"],
  passthrough_routes: ["path_prefix", "hosts", "provider_key", "enabled"],
  guardrails: ["kind", "hook_point", "enforcement_mode", "mandatory", "enabled"],
  guardrail_attachments: ["guardrail", "scope_type", "scope_id", "priority", "enabled"],
};
const MAX_CELL = 48;

interface Wish {
  readonly collection: CollectionName;
  readonly form: "json" | "yaml" | "table";
}

/** Runs `weir get ARGV…`; answers the exit code: 0, 1 with the reason on stderr, 2 for a bad command line. */
export function get(argv: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ argv, usage: USAGE, context, failure: 1 }, async () => {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { ...ADMIN_OPTIONS, json: { type: "boolean" }, yaml: { type: "boolean" } },
    });
    const [collection, name, ...more] = positionals;
    if (collection === undefined || more.length > 0)
      throw new MistypedError("which collection, and which entry of it?");
    if (!isCollection(collection)) throw new MistypedError(`there is no collection "${collection}"`);
    if (values.json === true && values.yaml === true) throw new MistypedError("give --json or --yaml, not both");
    const wish: Wish = { collection, form: values.json ? "json" : values.yaml ? "yaml" : "table" };
    const client = openAdmin(values, context);
    await (name === undefined ? printAll(client, wish, context) : printOne(client, { ...wish, name }, context));
    return 0;
  });
}

async function printAll(client: AdminClient, { collection, form }: Wish, { stdout, stderr }: CommandContext) {
  const found = await client.list(collection);
  for (const line of problemLines(collection, found.items)) stderr(`${line}\n`);
  if (form === "json") stdout(`${JSON.stringify(found, null, 2)}\n`);
  else if (form === "yaml") stdout(yamlOf({ [collection]: found.items.map(({ value }) => value) }));
  else {
    const columns = COLUMNS[collection].filter((column) => found.items.some(({ value }) => cell(value, column) !== ""));
    const heading = ["name", "revision", ...columns];
    const rows = found.items.map(({ name, revision, value }) => [
      printable(name),
      String(revision),
      ...columns.map((column) => printable(cell(value, column) || "-")),
    ]);
    stdout(tableOf([heading, ...rows]));
    stderr(`${found.items.length} entries, revision ${found.revision} (${printable(found.source)})\n`);
  }
}

/** Entries that somebody wrote past the gateway, and that it cannot read. */
export function problemLines(collection: CollectionName, items: readonly AdminEntry[]): string[] {
  const wrong = items.filter(({ problem }) => problem !== undefined);
  return wrong.map(({ name, problem }) => printable(`${collection}/${name} is not in force: ${problem}`));
}

async function printOne(
  client: AdminClient,
  wish: Wish & { readonly name: string },
  { stdout, stderr }: CommandContext,
) {
  const { collection, name, form } = wish;
  const found = await client.read(collection, name);
  if (found === null) throw new CommandError(`there is no ${collection}/${printable(name)}`);
  for (const line of problemLines(collection, [found])) stderr(`${line}\n`);
  stdout(form === "json" ? `${JSON.stringify(found, null, 2)}\n` : yamlOf(found.value));
}

/** YAML as resource files are written: no line is folded, and every anchor is spelled out. */
export function yamlOf(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

function cell(value: Raw, column: string): string {
  if (column === "kind" && value.kind === undefined) return modelKind(value);
  const text = cellText(value[column] ?? value[`${column}_id`]);
  return text.length > MAX_CELL ? `${text.slice(0, MAX_CELL - 1)}…` : text;
}

function cellText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(cellText).join(", ");
  return isMapping(value) ? JSON.stringify(value) : String(value);
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_heading, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  const line = (row: readonly string[]): string => row.map((text, index) => text.padEnd(widths[index] ?? 0)).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}
