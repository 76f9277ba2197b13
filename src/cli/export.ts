/** `weir export`: everything that a running gateway serves, as one resource file. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { mapSecrets, REDACTED } from "../config/entry-secrets.js";
import { renderPath } from "../config/result.js";
import type { CollectionName } from "../config/schema.js";
import { printable } from "../usage/summary.js";
import type { AdminEntry } from "./admin-client.js";
import { type Present, readPresent } from "./change-plan.js";
import { ADMIN_OPTIONS, ADMIN_USAGE, type CommandContext, CommandError, openAdmin, runCommand } from "./command.js";
import { COLLECTION_NAMES } from "./entry-file.js";
import { problemLines, yamlOf } from "./get.js";

const USAGE = `usage: weir export [-o FILE] [OPTIONS]
  -o, --output FILE  write it there instead of on stdout
${ADMIN_USAGE}`;

/** Runs `weir export ARGV…`; answers the exit code: 0, 1 with the reason on stderr, 2 for a bad command line. */
export function exportResources(argv: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ argv, usage: USAGE, context, failure: 1 }, async () => {
    const { values } = parseArgs({
      args: [...argv],
      options: { ...ADMIN_OPTIONS, output: { type: "string", short: "o" } },
    });
    const { present, steady } = await readPresent(openAdmin(values, context));
    const text = resourceFileOf(present);
    if (values.output === undefined) context.stdout(text);
    else writeOut(values.output, text);
    if (!steady) context.stderr("the resources changed while they were read: they may not all be of one revision\n");
    for (const line of warnings(present)) context.stderr(`${line}\n`);
    return 0;
  });
}

/** All collections are named, also empty ones: what is not in the file shall not be there. */
function resourceFileOf(present: Present): string {
  const collections = COLLECTION_NAMES.map((name) => [name, readable(present, name).map(({ value }) => value)]);
  return yamlOf({ _format_version: "1", ...Object.fromEntries(collections) });
}

function readable(present: Present, collection: CollectionName): AdminEntry[] {
  return (present.get(collection)?.items ?? []).filter(({ problem }) => problem === undefined);
}

function writeOut(path: string, text: string): void {
  try {
    // Only for its owner: once the secrets are filled in, that is what it must be.
    writeFileSync(path, text, { mode: 0o600 });
  } catch (error) {
    throw new CommandError(`${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? "unknown reason"})`);
  }
}

/** What whoever wants to use the file must know. */
function warnings(present: Present): string[] {
  const lines: string[] = [];
  for (const collection of COLLECTION_NAMES) {
    lines.push(...problemLines(collection, present.get(collection)?.items ?? []));
    for (const { name, value } of readable(present, collection)) {
      mapSecrets(collection, value, (secret, path) => {
        if (secret === REDACTED)
          lines.push(`${collection}/${printable(name)}: ${renderPath(path)} is ${REDACTED}: fill it in`);
        return secret;
      });
    }
  }
  return lines;
}
