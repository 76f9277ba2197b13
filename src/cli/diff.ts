/** `weir diff`: what `weir apply` would do. */
import { parseArgs } from "node:util";
import { FILE_OPTIONS, type FileCommandContext, readFileOption } from "./apply.js";
import { planChanges, readPresent, storedOf } from "./change-plan.js";
import { differenceLines, leftLine, planSummary } from "./change-report.js";
import { ADMIN_USAGE, openAdmin, runCommand } from "./command.js";

const USAGE = `usage: weir diff -f FILE [--prune] [--ignore-unsupported] [OPTIONS]
  -f, --file FILE       the resource file
  --prune               with what \`apply --prune\` would delete
  --ignore-unsupported  pass over what this version does not support yet
${ADMIN_USAGE}Exit codes: 0 = nothing to do, 1 = something to do, 2 = an error.
`;

/** Runs `weir diff ARGV…`; answers the exit code: 0 = nothing to do, 1 = something to do, 2 = an error. */
export function diff(argv: readonly string[], context: FileCommandContext): Promise<number> {
  return runCommand({ argv, usage: USAGE, context, failure: 2 }, async () => {
    const { values } = parseArgs({ args: [...argv], options: FILE_OPTIONS });
    const entries = readFileOption(values.file, { ...context, ignoreUnsupported: values["ignore-unsupported"] });
    const { stored, builtIn } = storedOf((await readPresent(openAdmin(values, context))).present);
    const plan = planChanges(entries, stored, values.prune);
    const changes = [...plan.writes, ...plan.deletions];
    for (const line of changes.flatMap(differenceLines)) context.stdout(`${line}\n`);
    if (builtIn) context.stderr("the gateway serves its embedded default; what is applied takes its place\n");
    const left = leftLine(plan, values.prune);
    if (left !== "") context.stderr(`${left}\n`);
    for (const problem of plan.problems) context.stderr(`${problem}\n`);
    context.stderr(`${planSummary(plan)}\n`);
    if (plan.problems.length > 0) return 2;
    return changes.length === 0 ? 0 : 1;
  });
}
