/** Watches one answer that is not streamed: every dialect's says its id and model the same way. */
import type { AnswerObserver } from "./dialect.js";
import { TopLevelCapture } from "./json-capture.js";
import { type KeyTable, keyTable } from "./json-splice.js";
import { textOf } from "./json-values.js";
import type { UsageTally } from "./usage-tally.js";

/** The bytes of the dialect's own members, in the order of their names; null = absent, or too long to be kept. */
export type OwnMembers = readonly (Buffer | null)[];

/** What a dialect reads of a whole answer beside its id and model. */
export interface AnswerReading {
  readonly keys: KeyTable;
  read(tally: UsageTally, members: OwnMembers): void;
}

/** `names`: the top-level members that `read` gets. */
export function answerReading(names: readonly string[], read: AnswerReading["read"]): AnswerReading {
  return { keys: keyTable(["id", "model", ...names]), read };
}

export class CapturedAnswer implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly reading: AnswerReading;
  private readonly capture: TopLevelCapture;

  constructor(tally: UsageTally, reading: AnswerReading) {
    this.tally = tally;
    this.reading = reading;
    this.capture = new TopLevelCapture(reading.keys);
  }

  feed(chunk: Buffer): void {
    this.capture.feed(chunk);
  }

  finish(): void {
    const { tally, reading } = this;
    const [id = null, model = null, ...own] = reading.keys.names.map((_, index) => this.capture.value(index));
    tally.responseId = textOf(id) || tally.responseId;
    tally.responseModel = textOf(model) || tally.responseModel;
    reading.read(tally, own);
  }
}
