/** Asks every remote guardrail of a plan at once, each within its own time. */
import type { Guardrail } from "../config/traffic.js";
import type { OwnedRemote } from "./plan.js";
import { type Question, RemoteError, type RemoteVerdict } from "../providers/safety/verdict.js";

/** What one guardrail says; `failed`: why it could not be asked, in which case the verdict follows its `failOpen`. */
export interface RemoteAnswer {
  readonly owner: number;
  readonly guardrail: Guardrail;
  readonly verdict: RemoteVerdict;
  /** "" = it was asked. */
  readonly failed: string;
}

/** What a guardrail that could not be asked says it has found. */
export const NOT_ASKED = "unavailable";

/** With more text than this, each rule begins in a turn of its own: writing a megabyte as JSON takes milliseconds. */
const TURN_CHARACTERS = 32_768;

/** Never rejects. Answers are in the order of the plan, by priority; `signal` ends all calls. */
export function askAll(
  remote: readonly OwnedRemote[],
  question: Question,
  signal: AbortSignal,
): Promise<readonly RemoteAnswer[]> {
  const { texts } = question;
  let characters = 0;
  for (const text of texts) characters += text.length;
  if (characters <= TURN_CHARACTERS) return Promise.all(remote.map((one) => askOne(one, question, signal)));
  return Promise.all(remote.map((one, index) => turns(index).then(() => askOne(one, question, signal))));
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((done) => setImmediate(done));
}

async function askOne(one: OwnedRemote, question: Question, signal: AbortSignal): Promise<RemoteAnswer> {
  const { owner, guardrail, rule } = one;
  const own = new AbortController();
  const leave = (): void => own.abort();
  signal.addEventListener("abort", leave);
  const { promise: late, done } = timeOf(guardrail.timeoutMs);
  try {
    const verdict = await Promise.race([rule.check(question, own.signal), late]);
    return { owner, guardrail, verdict, failed: "" };
  } catch (error) {
    const failed = error instanceof RemoteError ? error.message : "the call failed";
    const open = question.direction === "input" ? guardrail.failOpen : guardrail.outputFailOpen;
    return { owner, guardrail, verdict: open ? { action: "pass" } : { action: "block", category: NOT_ASKED }, failed };
  } finally {
    done();
    // Whatever is still under way is for nobody.
    own.abort();
    signal.removeEventListener("abort", leave);
  }
}

function timeOf(ms: number): { promise: Promise<never>; done: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new RemoteError("no answer in time")), ms);
  });
  return { promise, done: () => clearTimeout(timer) };
}
