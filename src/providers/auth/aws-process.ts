/** Keys from a command that a profile names (`credential_process`): it is run without a shell and prints JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { type AuthContext, AuthError } from "./auth.js";
import { grantOf } from "./aws-keys.js";
import { jsonObject } from "./endpoint.js";
import type { AwsKeys } from "./sigv4.js";
import type { Grant } from "./token-cache.js";

const NAME = "the credential_process";
const MAX_OUTPUT_BYTES = 65_536;

/**
 * Runs the command and reads the keys it prints; it is killed, with what it has started, when the signal ends, and
 * so is one that prints more than 64 KiB. Throws AuthError that repeats nothing of the command or its output.
 */
export async function processKeys(context: AuthContext, line: string, signal: AbortSignal): Promise<Grant<AwsKeys>> {
  const [command = "", ...parameters] = wordsOf(line);
  if (command === "") throw new AuthError("configuration", "an AWS profile has an empty credential_process");
  const answer = jsonObject(await outputOf(context, command, parameters, signal));
  if (answer === null) throw new AuthError("refused", `${NAME} printed something that is not JSON`);
  if (answer.Version !== 1) throw new AuthError("refused", `${NAME} printed a version other than 1`);
  const { AccessKeyId: id, SecretAccessKey: secret, SessionToken: session, Expiration: expiration } = answer;
  return grantOf({ id, secret, session, expiration }, NAME);
}

/**
 * A command line's words as a POSIX shell parts them: white space between them, quotes of both kinds around it,
 * backslashes before single characters. Nothing is expanded. Throws AuthError for a quote that does not end.
 */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const one = line[at] as string;
    if (one === "\\" && isEscape(quote, line[at + 1])) {
      at += 1;
      word = (word ?? "") + (line[at] as string);
    } else if (quote !== "") {
      if (one === quote) quote = "";
      else word += one;
    } else if (one === '"' || one === "'") {
      quote = one;
      word ??= "";
    } else if (/\s/.test(one)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + one;
    }
  }
  if (quote !== "") throw new AuthError("configuration", "a credential_process has a quote that does not end");
  if (word !== null) words.push(word);
  return words;
}

/** In single quotes a backslash is itself, in double ones it is so before most characters. */
function isEscape(quote: string, next: string | undefined): boolean {
  if (next === undefined || quote === "'") return false;
  return quote === "" || next === '"' || next === "\\";
}

function outputOf(
  context: AuthContext,
  command: string,
  parameters: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new AuthError("timeout", `${NAME} had no time left`));
      return;
    }
    // A group of its own, so that what the command starts can be ended with it; what it complains of is not read,
    // since it may hold secrets.
    const child = spawn(command, parameters, {
      env: context.environment,
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    const parts: Buffer[] = [];
    let held = 0;
    const give = (error: AuthError): void => {
      signal.removeEventListener("abort", late);
      endGroup(child);
      reject(error);
    };
    const late = (): void => give(new AuthError("timeout", `${NAME} did not end in time`));
    signal.addEventListener("abort", late, { once: true });
    child.stdout.on("error", () => {});
    child.stdout.on("data", (part: Buffer) => {
      held += part.length;
      if (held > MAX_OUTPUT_BYTES)
        give(new AuthError("refused", `${NAME} printed more than ${MAX_OUTPUT_BYTES} bytes`));
      else parts.push(part);
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      give(new AuthError("configuration", `${NAME} cannot be started (${error.code ?? "unknown"})`));
    });
    child.once("close", (code, ending) => {
      signal.removeEventListener("abort", late);
      if (code === 0) resolve(Buffer.concat(parts).toString("utf8"));
      else reject(new AuthError("refused", `${NAME} ended with ${code === null ? ending : `code ${code}`}`));
    });
  });
}

function endGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group has ended by itself.
  }
}
