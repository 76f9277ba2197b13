/** Usage of embeddings: prompt tokens only. */
import type { AnswerObserver } from "../dialect.js";
import { WholeAnswerObserver } from "../openai-usage.js";
import type { UsageTally } from "../usage-tally.js";

/** Watches one embeddings answer; nothing is generated, so where input is known output is 0. */
export class EmbeddingsObserver implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly answer: WholeAnswerObserver;

  constructor(tally: UsageTally) {
    this.tally = tally;
    this.answer = new WholeAnswerObserver(tally);
  }

  feed(chunk: Buffer): void {
    this.answer.feed(chunk);
  }

  finish(): void {
    this.answer.finish();
    if (this.tally.inputTokens >= 0 && this.tally.outputTokens < 0) this.tally.outputTokens = 0;
  }
}
