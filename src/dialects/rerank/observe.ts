/**
 * Usage of rerank answers: search units or tokens, whichever the vendor bills by. Cohere says them in
 * `meta.billed_units`, its look-alikes in `usage`.
 */
import type { AnswerObserver } from "../dialect.js";
import { TopLevelCapture } from "../json-capture.js";
import { keyTable } from "../json-text.js";
import { asCount, asObject, parseObject, textOf } from "../json-values.js";
import type { UsageTally } from "../usage-tally.js";

const ANSWER_KEYS = keyTable(["id", "model", "meta", "usage"]);
const [ID, MODEL, META, USAGE] = [0, 1, 2, 3] as const;

/** Watches one rerank answer; nothing is generated, so its output is 0. */
export class RerankObserver implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly capture = new TopLevelCapture(ANSWER_KEYS);

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  feed(chunk: Buffer): void {
    this.capture.feed(chunk);
  }

  finish(): void {
    const { tally, capture } = this;
    tally.responseId = textOf(capture.value(ID)) || tally.responseId;
    tally.responseModel = textOf(capture.value(MODEL)) || tally.responseModel;
    const meta = parseObject(capture.value(META));
    const billed = asObject(meta?.billed_units);
    const usage = parseObject(capture.value(USAGE));
    tally.searchUnits = first(asCount(billed?.search_units), asCount(usage?.search_units), tally.searchUnits);
    tally.inputTokens = first(
      asCount(asObject(meta?.tokens)?.input_tokens),
      asCount(billed?.input_tokens),
      asCount(usage?.prompt_tokens),
      asCount(usage?.total_tokens),
      tally.inputTokens,
    );
    // Where searches are what is billed, tokens that nobody has said need no estimate.
    if (tally.inputTokens < 0 && tally.searchUnits >= 0) tally.inputTokens = 0;
    if (tally.inputTokens >= 0) tally.outputTokens = 0;
  }
}

/** The first count that is said; -1 = none. */
function first(...counts: readonly number[]): number {
  return counts.find((count) => count >= 0) ?? -1;
}
