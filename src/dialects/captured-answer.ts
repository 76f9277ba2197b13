/** Watches one answer that is not streamed: every dialect's says its id and model the same way. */
import { type AnswerFacts, type FactTable, factTable, scannedFacts } from "./answer-facts.js";
import type { AnswerObserver } from "./dialect.js";
import { TopLevelCapture } from "./json-capture.js";
import { scanTopLevel, type TopLevelScan } from "./json-scan.js";
import { type KeyTable, keyTable } from "./json-text.js";
import { type JsonObject, lastMemberText, parseObject, scannedObject, scannedText, textOf } from "./json-values.js";
import type { UsageTally } from "./usage-tally.js";

/** The dialect's own members, by the place of their names; one that is absent or too long to be kept says nothing. */
export interface OwnMembers {
  /** The string that it is; "" = it is none. */
  text(index: number): string;
  /** The object that it is; null = it is none. */
  object(index: number): JsonObject | null;
  /** The last string member of this (quoted) name at any depth of it; "" = there is none. */
  lastText(index: number, quotedName: string): string;
}

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
    this.read(new CapturedMembers(this.capture ?? new TopLevelCapture(this.reading.keys)));
  }

  finishWhole(body: Buffer): AnswerFacts {
    const { table } = this.reading;
    const scan = scanTopLevel(body, table.keys);
    const facts = scannedFacts(body, scan, table);
    if (facts.sound) this.read(new ScannedMembers(scan));
    return facts;
  }

  private read(members: CapturedMembers | ScannedMembers): void {
    const { tally } = this;
    tally.responseId = members.text(ID) || tally.responseId;
    tally.responseModel = members.text(MODEL) || tally.responseModel;
    this.reading.read(tally, members);
  }
}

/** The dialect's own stand behind these in the table. */
const ID = -2;
const MODEL = -1;
const OWN = 2;

class CapturedMembers implements OwnMembers {
  readonly #capture: TopLevelCapture;

  constructor(capture: TopLevelCapture) {
    this.#capture = capture;
  }

  text(index: number): string {
    return textOf(this.#capture.value(OWN + index));
  }

  object(index: number): JsonObject | null {
    return parseObject(this.#capture.value(OWN + index));
  }

  lastText(index: number, quotedName: string): string {
    return lastMemberText(this.#capture.value(OWN + index)?.toString("latin1") ?? "", quotedName);
  }
}

class ScannedMembers implements OwnMembers {
  readonly #scan: TopLevelScan;

  constructor(scan: TopLevelScan) {
    this.#scan = scan;
  }

  text(index: number): string {
    return scannedText(this.#scan, OWN + index);
  }

  object(index: number): JsonObject | null {
    return scannedObject(this.#scan, OWN + index);
  }

  lastText(index: number, quotedName: string): string {
    const { json, starts, ends } = this.#scan;
    const start = starts[OWN + index] ?? -1;
    return start < 0 ? "" : lastMemberText(json.slice(start, ends[OWN + index] ?? start), quotedName);
  }
}
