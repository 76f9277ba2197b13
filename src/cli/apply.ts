/** `weir apply`: makes a running gateway have the entries of a resource file. */
import { setTimeout as rest } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type ResourcesContext, renderError } from "../config/load.js";
import { type AdminChange, type AdminClient, AdminError } from "./admin-client.js";
import {
  type Change,
  type Deletion,
  type Plan,
  planChanges,
  planWrite,
  readPresent,
  storedOf,
  type Write,
} from "./change-plan.js";
import { changeLine, doneSummary, labelOf, leftLine, planSummary } from "./change-report.js";
import {
  ADMIN_OPTIONS,
  ADMIN_USAGE,
  type CommandContext,
  CommandError,
  failureLines,
  MistypedError,
  openAdmin,
  runCommand,
  tellOfForce,
} from "./command.js";
import { type EntriesByCollection, readEntryFile } from "./entry-file.js";

export type FileCommandContext = CommandContext & Omit<ResourcesContext, "ignoreUnsupported">;

const USAGE = `usage: weir apply -f FILE [--prune] [--dry-run] [--ignore-unsupported] [OPTIONS]
  -f, --file FILE       the resource file
  --prune               delete what the file does not have, in the collections that it names
  --dry-run             only say what would be done
  --ignore-unsupported  pass over what this version does not support yet
${ADMIN_USAGE}`;

/** The options of the commands that hold a file against a running gateway, for `parseArgs`. */
export const FILE_OPTIONS = {
  ...ADMIN_OPTIONS,
  file: { type: "string", short: "f" },
  prune: { type: "boolean", default: false },
  "ignore-unsupported": { type: "boolean", default: false },
} as const;

/** How long a node may take to hear of what another has written; the bar for the fleet is a tenth of a second. */
const PROPAGATION_MS = 300;
/** What such a gateway says in its retry-after. */
const AWAY_MS = 1_000;

/** Runs `weir apply ARGV…`; answers the exit code: 0, 1 with the reasons on stderr, 2 for a bad command line. */
export function apply(argv: readonly string[], context: FileCommandContext): Promise<number> {
  return runCommand({ argv, usage: USAGE, context, failure: 1 }, async () => {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        ...FILE_OPTIONS,
        "dry-run": { type: "boolean", default: false },
      },
    });
    const { prune } = values;
    const entries = readFileOption(values.file, { ...context, ignoreUnsupported: values["ignore-unsupported"] });
    const client = openAdmin(values, context);
    const { stored, builtIn } = storedOf((await readPresent(client)).present);
    const plan = planChanges(entries, stored, prune);
    if (plan.problems.length > 0) throw new CommandError(plan.problems.join("\n"));
    if (builtIn) context.stderr("the gateway serves its embedded default; what is applied takes its place\n");
    const left = leftLine(plan, prune);
    if (left !== "") context.stderr(`${left}\n`);
    if (values["dry-run"]) {
      for (const change of [...plan.writes, ...plan.deletions]) context.stdout(`${changeLine(change, "would")}\n`);
      context.stdout(`${planSummary(plan)}\n`);
      return 0;
    }
    return new Application(client, context).run(plan);
  });
}

/** The entries of the file of `--file`. Throws `CommandError` with everything that is wrong with it. */
export function readFileOption(
  file: string | undefined,
  context: FileCommandContext & ResourcesContext,
): EntriesByCollection {
  if (file === undefined) throw new MistypedError("which file? Name it with -f FILE");
  const read = readEntryFile(file, context);
  if (!read.ok) throw new CommandError(read.errors.map(renderError).join("\n"));
  for (const skipped of read.ignored) context.stderr(`ignored: ${renderError(skipped)}\n`);
  return read.value;
}

interface Failure {
  readonly change: Change;
  readonly error: AdminError;
}

/** One run over a plan: what has been done so far, and what could not be. */
class Application {
  readonly #client: AdminClient;
  readonly #context: CommandContext;
  readonly #done: Change[] = [];
  /** What the gateway said of the last change. */
  #last: AdminChange = { revision: 0, notInForce: [] };
  #revision = 0;
  #equal = 0;
  /** Changes that are over and done with, those included that turned out to be none. */
  #settled = 0;
  /** How often it may still wait for a gateway that cannot write. */
  #waits = 3;

  constructor(client: AdminClient, context: CommandContext) {
    this.#client = client;
    this.#context = context;
  }

  async run({ writes, deletions, equal }: Plan): Promise<number> {
    const { stdout, stderr } = this.#context;
    this.#equal = equal;
    const all = writes.length + deletions.length;
    try {
      let failures = await this.#rounds(writes);
      // What is left over is deleted only from a set that is otherwise as the file has it.
      if (failures.length === 0) failures = await this.#rounds(deletions);
      for (const { change, error } of failures) {
        const [first, ...more] = failureLines(error);
        for (const line of [`${labelOf(change)}: ${first}`, ...more]) stderr(`${line}\n`);
      }
      if (failures.length > 0) stderr(this.#shortfall(failures.length, all));
      else stdout(`${doneSummary(this.#done)}; ${this.#equal} equal${this.#revisionText()}\n`);
      return Math.max(failures.length > 0 ? 1 : 0, tellOfForce(this.#last, this.#context));
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
      for (const line of failureLines(error)) stderr(`${line}\n`);
      stderr(this.#shortfall(0, all));
      return 1;
    }
  }

  /**
   * Tries all of them, and those that were refused again for as long as others succeed: one may have needed
   * another, in a way that the order does not know. Rejects where no further call would fare better.
   */
  async #rounds(changes: readonly Change[]): Promise<Failure[]> {
    let waiting = changes;
    let patient = true;
    const lasting: Failure[] = [];
    for (;;) {
      const refused: Failure[] = [];
      for (const change of waiting) {
        const error = await this.#try(change);
        if (error === null) continue;
        (error.status === 412 ? lasting : refused).push({ change, error });
      }
      if (refused.length === 0) return lasting;
      if (refused.length === waiting.length) {
        if (!patient || this.#done.length === 0) return [...lasting, ...refused];
        // Behind a balancer the next node is asked, which may not yet know what the last one wrote.
        patient = false;
        await rest(PROPAGATION_MS);
      }
      waiting = refused.map(({ change }) => change);
    }
  }

  /** null: it is done. An error that concerns this entry alone is answered, any other thrown. */
  async #try(change: Change): Promise<AdminError | null> {
    try {
      await this.#whenWritable(() => (change.kind === "delete" ? this.#delete(change) : this.#write(change)));
      this.#settled += 1;
      return null;
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
      const concernsIt = change.kind === "delete" ? [400, 409, 412] : [400, 412, 413];
      if (concernsIt.includes(error.status)) return error;
      throw new AdminError(`${labelOf(change)}: ${error.message}`, error.status, error.reasons);
    }
  }

  /** A fleet that cannot be written to just now often can be in a moment: its NATS has a new leader, or has started. */
  async #whenWritable(action: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await action();
        return;
      } catch (error) {
        if (!(error instanceof AdminError) || error.status !== 503 || this.#waits === 0) throw error;
        this.#waits -= 1;
        await rest(AWAY_MS);
      }
    }
  }

  async #write(write: Write): Promise<void> {
    const { collection, entry } = write;
    try {
      const { present } = write;
      this.#note(write, await this.#client.write(collection, entry, present?.revision ?? "absent"), present?.revision);
    } catch (error) {
      if (!(error instanceof AdminError) || error.status !== 412) throw error;
      // Somebody else has changed it meanwhile: the file still says what it shall be.
      const present = await this.#client.read(collection, entry.name);
      const again = planWrite(collection, entry, present);
      if (again === null) {
        this.#equal += 1;
        return;
      }
      this.#note(again, await this.#client.write(collection, entry, present?.revision ?? "absent"), present?.revision);
    }
  }

  async #delete(deletion: Deletion): Promise<void> {
    const { collection, name } = deletion;
    try {
      this.#note(deletion, await this.#client.remove(collection, name, deletion.present.revision));
    } catch (error) {
      if (!(error instanceof AdminError) || (error.status !== 412 && error.status !== 404)) throw error;
      const present = error.status === 404 ? null : await this.#client.read(collection, name);
      if (present !== null) this.#note(deletion, await this.#client.remove(collection, name, present.revision));
    }
  }

  /** `before`: the revision that the entry had; where it still has it, its secrets were the same as well. */
  #note(change: Change, told: AdminChange, before?: number): void {
    this.#last = told;
    if (told.revision === before) {
      this.#equal += 1;
      return;
    }
    this.#done.push(change);
    this.#revision = told.revision;
    this.#context.stdout(`${changeLine(change, "done")}\n`);
  }

  #shortfall(failed: number, all: number): string {
    const untried = all - this.#settled - failed;
    const parts = [failed === 0 ? "" : `${failed} failed`, untried <= 0 ? "" : `${untried} not done`];
    const short = parts.filter((part) => part !== "").join(", ");
    return `not finished: ${doneSummary(this.#done)}${this.#revisionText()}; ${short}\n`;
  }

  #revisionText(): string {
    return this.#revision === 0 ? "" : ` (revision ${this.#revision})`;
  }
}
