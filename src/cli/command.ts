/** What the commands that talk to a running gateway share: what they are handed, how they fail, whom they ask. */
import { loadConfig, renderError } from "../config/load.js";
import { printable } from "../usage/summary.js";
import { type AdminChange, AdminClient, AdminError, type AdminReason } from "./admin-client.js";

export interface CommandContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Writes text as it is, line end included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Something that the person at the command line can mend. */
export class CommandError extends Error {}

/** A mistake in the command line itself: the usage is told with it. */
export class MistypedError extends CommandError {}

const TIMEOUT_SECONDS = 30;
const MAX_TIMEOUT_SECONDS = 86_400;

/** The options of every command that asks a running gateway, for `parseArgs`. */
export const ADMIN_OPTIONS = {
  admin: { type: "string" },
  config: { type: "string" },
  timeout: { type: "string" },
} as const;

/** How the usage texts tell them. */
export const ADMIN_USAGE = `  --admin URL        the ops listener of a gateway; else the one that the configuration names
  --config FILE      weir.yaml, to find that listener; else WEIR_CONFIG
  --timeout SECONDS  how long one answer may take (${TIMEOUT_SECONDS})
The admin key is read from WEIR_ADMIN_KEY.
`;

export interface AdminValues {
  readonly admin?: string | undefined;
  readonly config?: string | undefined;
  readonly timeout?: string | undefined;
}

/** Who answers. Throws `CommandError` where the address or the key is not known. */
export function openAdmin({ admin, config, timeout }: AdminValues, context: CommandContext): AdminClient {
  const timeoutMs = readSeconds(timeout) * 1000;
  const key = context.environment.WEIR_ADMIN_KEY ?? "";
  if (key === "") throw new CommandError("WEIR_ADMIN_KEY is not set: the gateway wants to know who asks.");
  if (!/^[!-~]+$/.test(key)) throw new CommandError("WEIR_ADMIN_KEY holds characters that no header can carry.");
  const url = admin === undefined ? opsAddress(config ?? null, context.environment) : readAddress(admin);
  return new AdminClient({ url, key, timeoutMs });
}

/** Where the ops listener of a configuration is reached. Throws `CommandError`. */
export function opsAddress(configFile: string | null, environment: CommandContext["environment"]): string {
  const loaded = loadConfig(configFile ?? (environment.WEIR_CONFIG || null), environment);
  if (!loaded.ok) throw new CommandError(loaded.errors.map(renderError).join("\n"));
  const { host, port } = loaded.value.ops.listen;
  if (port === 0) throw new CommandError("ops.listen takes any free port: say which one it is with --admin URL");
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

function readAddress(written: string): string {
  const url = URL.canParse(written) ? new URL(written) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new MistypedError("--admin must be an http or https address without credentials");
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function readSeconds(written: string | undefined): number {
  if (written === undefined) return TIMEOUT_SECONDS;
  const seconds = /^\d{1,5}(?:\.\d{1,3})?$/.test(written) ? Number(written) : 0;
  if (seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS) return seconds;
  throw new MistypedError(`--timeout must be a number of seconds, ${MAX_TIMEOUT_SECONDS} at most`);
}

export interface CommandForm {
  readonly argv: readonly string[];
  readonly usage: string;
  readonly context: CommandContext;
  /** Exit code where something went wrong. */
  readonly failure: number;
  /** Exit code for a bad command line; 2 unless told. */
  readonly mistyped?: number;
}

/** Runs `action`, or shows the usage to who asks for it; tells what it throws on stderr and makes an exit code of it. */
export async function runCommand(form: CommandForm, action: () => Promise<number>): Promise<number> {
  const { argv, usage, context, failure } = form;
  if (argv.includes("--help") || argv.includes("-h")) {
    context.stdout(usage);
    return 0;
  }
  try {
    return await action();
  } catch (error) {
    const mistyped = error instanceof MistypedError || isArgumentsError(error);
    if (!mistyped && !(error instanceof CommandError) && !(error instanceof AdminError)) throw error;
    const lines = error instanceof AdminError ? failureLines(error) : [(error as Error).message.trimEnd()];
    for (const line of lines) context.stderr(`${line}\n`);
    if (mistyped) context.stderr(usage);
    return mistyped ? (form.mistyped ?? 2) : failure;
  }
}

function isArgumentsError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS") === true;
}

/** What a gateway that has refused has said: a line, and one for each of its reasons. */
export function failureLines({ message, reasons }: AdminError): string[] {
  return [printable(message), ...reasonLines(reasons)];
}

/** Tells of a change that is stored but not in force; answers the exit code that goes with it. */
export function tellOfForce({ notInForce }: AdminChange, { stderr }: CommandContext): number {
  if (notInForce.length === 0) return 0;
  const lines = ["stored, but nothing new is in force until all entries are right:", ...reasonLines(notInForce)];
  for (const line of lines) stderr(`${line}\n`);
  return 1;
}

function reasonLines(reasons: readonly AdminReason[]): string[] {
  return reasons.map(({ path, message }) => printable(`  ${path === "" ? "" : `${path}: `}${message}`));
}
