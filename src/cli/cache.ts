/** `weir cache`: makes a running gateway forget answers, by its admin API. */
import { parseArgs } from "node:util";
import { ADMIN_OPTIONS, ADMIN_USAGE, type CommandContext, MistypedError, openAdmin, runCommand } from "./command.js";

const USAGE = `usage: weir cache purge [--policy NAME] [--model NAME] [--key NAME] [OPTIONS]
  --policy, --model, --key  forget only answers of all these; without a name everything is forgotten
  --url URL                 another spelling of --admin
${ADMIN_USAGE}`;

/** Runs `weir cache ARGV…`; answers the exit code: 0, or 1 with the reason on stderr. */
export function cache(argv: readonly string[], context: CommandContext): Promise<number> {
  return runCommand({ argv, usage: USAGE, context, failure: 1, mistyped: 1 }, async () => {
    const text = { type: "string" } as const;
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { ...ADMIN_OPTIONS, policy: text, model: text, key: text, url: text },
    });
    if (positionals.length !== 1 || positionals[0] !== "purge") throw new MistypedError("what is to be done: purge?");
    const { policy, model, key, url, admin } = values;
    const names = Object.entries({ policy, model, api_key: key }).filter(([, name]) => name !== undefined);
    const client = openAdmin({ ...values, admin: admin ?? url }, context);
    context.stdout(`${await client.purgeCache(Object.fromEntries(names))} answers forgotten\n`);
    return 0;
  });
}
