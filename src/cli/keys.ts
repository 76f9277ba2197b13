/** `weir keys`: makes and deletes the API keys of callers at a running gateway. */
import { parseArgs } from "node:util";
import { parseYaml } from "../config/yaml.js";
import { printable } from "../usage/summary.js";
import { AdminError } from "./admin-client.js";
import {
  ADMIN_OPTIONS,
  ADMIN_USAGE,
  type CommandContext,
  CommandError,
  MistypedError,
  openAdmin,
  runCommand,
  tellOfForce,
} from "./command.js";

const USAGE = `usage: weir keys create NAME [--models GLOB,…] [--set FIELD=VALUE]… [OPTIONS]
       weir keys delete NAME [OPTIONS]
  --models GLOB,…    the models that the key may use; without it, none
  --set FIELD=VALUE  another field of api_keys, such as rate_limit.rpm=600; the value is YAML
${ADMIN_USAGE}The new key is printed once, alone on stdout; the gateway keeps only its hash.
`;

/** Runs `weir keys ARGV…`; answers the exit code: 0, 1 with the reason on stderr, 2 for a bad command line. */
export function keys(argv: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ argv, usage: USAGE, context, failure: 1 }, async () => {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { ...ADMIN_OPTIONS, models: { type: "string" }, set: { type: "string", multiple: true } },
    });
    const [action, name, ...more] = positionals;
    if (action !== "create" && action !== "delete") throw new MistypedError("create or delete?");
    if (name === undefined || name === "" || more.length > 0) throw new MistypedError("what is the one key's name?");
    const asked = action === "create" ? null : [values.models, values.set].find((value) => value !== undefined);
    if (asked !== undefined && asked !== null) throw new MistypedError("--models and --set go with create");
    return action === "create" ? create(name, values, context) : remove(name, values, context);
  });
}

type Values = Parameters<typeof openAdmin>[0] & {
  readonly models?: string | undefined;
  readonly set?: readonly string[] | undefined;
};

async function create(name: string, values: Values, context: CommandContext): Promise<number> {
  const body = bodyOf(name, values);
  const created = await openAdmin(values, context).createKey(body);
  const { entry, key } = created;
  context.stdout(`${key}\n`);
  context.stderr(`created api_keys/${printable(entry.name)} (revision ${entry.revision}); the key is not told again\n`);
  const models = entry.value.allowed_models;
  if (!Array.isArray(models) || models.length === 0) context.stderr("it may use no model yet: see --models\n");
  return tellOfForce(created, context);
}

async function remove(name: string, values: Values, context: CommandContext): Promise<number> {
  try {
    const deleted = await openAdmin(values, context).remove("api_keys", name, null);
    context.stdout(`deleted api_keys/${printable(name)} (revision ${deleted.revision})\n`);
    return tellOfForce(deleted, context);
  } catch (error) {
    if (!(error instanceof AdminError) || error.status !== 404) throw error;
    throw new CommandError(`there is no api_keys/${printable(name)}`);
  }
}

function bodyOf(name: string, { models, set = [] }: Values): Record<string, unknown> {
  const body: Record<string, unknown> = { display_name: name };
  if (models !== undefined) {
    body.allowed_models = models
      .split(",")
      .map((glob) => glob.trim())
      .filter((glob) => glob !== "");
  }
  for (const setting of set) {
    const [, path, written] = /^([a-z_][A-Za-z0-9_.-]*)=(.*)$/s.exec(setting) ?? [];
    if (path === undefined || written === undefined) throw new MistypedError(`--set ${setting}: write FIELD=VALUE`);
    if (path === "key_hash" || path === "key_env") {
      throw new MistypedError(`--set ${path}: the gateway makes the key; one of your own goes in with \`weir apply\``);
    }
    setField(body, path.split("."), readValue(written));
  }
  return body;
}

function readValue(written: string): unknown {
  const yaml = parseYaml(written, "--set");
  // What is no YAML is meant as it stands.
  return yaml.ok ? yaml.value.value : written;
}

function setField(body: Record<string, unknown>, path: readonly string[], value: unknown): void {
  if (path.some((name) => name === "" || name === "__proto__")) throw new MistypedError("--set: a field has no name");
  let node = body;
  for (const name of path.slice(0, -1)) {
    const inner = Object.hasOwn(node, name) ? node[name] : undefined;
    const next = typeof inner === "object" && inner !== null ? inner : {};
    node[name] = next;
    node = next as Record<string, unknown>;
  }
  node[path.at(-1) ?? ""] = value;
}
