/** What answers about files and jobs tell of usage: a batch that has ended says what it used. */
import { answerReading, CapturedAnswer } from "../captured-answer.js";
import type { AnswerObserver, Operation } from "../dialect.js";
import { setOpenAiUsage, type UsageNames } from "../openai-usage.js";
import type { UsageTally } from "../usage-tally.js";

const USAGE_NAMES: UsageNames = {
  input: "input_tokens",
  output: "output_tokens",
  inputDetails: "input_tokens_details",
  outputDetails: "output_tokens_details",
};

/** Batches in these states use nothing more. */
const ENDED: ReadonlySet<string> = new Set(["completed", "failed", "expired", "cancelled"]);

const BATCH = answerReading(["object", "status", "usage"], (tally, members) => {
  if (members.text(0) !== "batch" || !ENDED.has(members.text(1))) return;
  const counts = members.object(2);
  if (counts === null) return;
  setOpenAiUsage(tally, counts, USAGE_NAMES);
  // Whoever asks again is told the same again.
  tally.countsOnceAs = tally.responseId;
});

const OTHER = answerReading([], () => {});

export function filesAnswerObserver(operation: Operation, tally: UsageTally): AnswerObserver {
  return new CapturedAnswer(tally, operation === "batches" ? BATCH : OTHER);
}
