/** Watches one answer that is not streamed: every dialect's says its id and model the same way. */
import { type AnswerFacts, type FactTable, factTable, scannedFacts } from "./answer-facts.js";
import type { AnswerObserver } from "./dialect.js";
import { TopLevelCapture } from "./json-capture.js";
import { type KeyTable, keyTable, scanTopLevel } from "./json-splice.js";
import { scannedText, scannedValue, textOf } from "./json-values.js";
import type { UsageTally } from "./usage-tally.js";

/** The bytes of the dialect's own members, in the order of their names; null = absent, or too long to be kept. */
export type OwnMembers = readonly (Buffer | null)[];

/** What a dialect reads of a whole answer beside its id and model. */
export interface AnswerReading {
  /** The id, the model and the dialect's own members. */
  readonly keys: KeyTable;
  /** The same and what tells the facts of an answer. */
  readonly table: FactTable;
  read(tally: UsageTally, members: OwnMembers): void;
}

/** `names`: the top-level members that `read` gets. */
export function answerReading(names: readonly string[], read: AnswerReading["read"]): AnswerReading {
  const all = ["id", "model", ...names];
  return { keys: keyTable(all), table: factTable(all), read };
}

const [ID, MODEL] = [0, 1] as const;

export class CapturedAnswer implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly reading: AnswerReading;
  /** Where the answer came in pieces. */
  private capture: TopLevelCapture | null = null;

  constructor(tally: UsageTally, reading: AnswerReading) {
    this.tally = tally;
    this.reading = reading;
  }

  feed(chunk: Buffer): void {
    this.capture ??= new TopLevelCapture(this.reading.keys);
    this.capture.feed(chunk);
  }

  finish(): void {
    const value = (index: number) => this.capture?.value(index) ?? null;
    this.read(textOf(value(ID)), textOf(value(MODEL)), value);
  }

  finishWhole(body: Buffer): AnswerFacts {
    const { table } = this.reading;
    const scan = scanTopLevel(body, table.keys);
    const facts = scannedFacts(body, scan, table);
    if (facts.sound) {
      const [id, model] = [scannedText(body, scan, ID), scannedText(body, scan, MODEL)];
      this.read(id, model, (index) => scannedValue(body, scan, index));
    }
    return facts;
  }

  private read(id: string, model: string, value: (index: number) => Buffer | null): void {
    const { tally, reading } = this;
    tally.responseId = id || tally.responseId;
    tally.responseModel = model || tally.responseModel;
    const own: (Buffer | null)[] = [];
    for (let index = MODEL + 1; index < reading.keys.names.length; index += 1) own.push(value(index));
    reading.read(tally, own);
  }
}
