/** Answers of the operations that count a prompt's tokens (count_tokens, input_tokens): one shape in both dialects. */
import type { AnswerObserver } from "./dialect.js";
import { TopLevelCapture } from "./json-capture.js";
import { keyTable } from "./json-text.js";
import { asCount, parseJson } from "./json-values.js";
import type { UsageTally } from "./usage-tally.js";

const COUNT_KEYS = keyTable(["input_tokens"]);

/** Watches an answer that counts the tokens of a prompt: nothing is generated. */
export class TokenCountObserver implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly capture = new TopLevelCapture(COUNT_KEYS);

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  feed(chunk: Buffer): void {
    this.capture.feed(chunk);
  }

  finish(): void {
    const value = this.capture.value(0);
    const count = value === null ? -1 : asCount(parseJson(value));
    if (count < 0) return;
    this.tally.inputTokens = count;
    this.tally.outputTokens = 0;
  }
}
