/** What is to be known of any whole answer, in whatever dialect: is it one, has it gone wrong, is it finished? */
import { scanTopLevel, type TopLevelScan } from "./json-scan.js";
import { type KeyTable, keyTable } from "./json-text.js";
import { scannedText } from "./json-values.js";

export interface AnswerFacts {
  /** The bytes are one JSON object, to the last of them. */
  readonly sound: boolean;
  /** It holds an error object, whatever its status says. */
  readonly failed: boolean;
  /** It may be given to somebody else who asks the same: finished, without any error, nothing said twice. */
  readonly keepable: boolean;
}

/** What every dialect calls an error, and the state of an answer that may not be finished. */
const FACT_NAMES = ["error", "status"];
/** What an answer says of itself that has come to nothing, or is not finished. */
const UNFINISHED: ReadonlySet<string> = new Set(["failed", "cancelled", "in_progress", "queued"]);
const OPEN_BRACE = 0x7b;
const QUOTE = 0x22;

/** Members to look for, those that the facts are read from among them, and where these two stand in the table. */
export interface FactTable {
  readonly keys: KeyTable;
  readonly error: number;
  readonly status: number;
}

/** `names` keep their places in the table. */
export function factTable(names: readonly string[]): FactTable {
  const all = [...new Set([...names, ...FACT_NAMES])];
  return { keys: keyTable(all), error: all.indexOf("error"), status: all.indexOf("status") };
}

/** Reads the facts of a body that has been scanned for `table.keys`. */
export function scannedFacts(body: Buffer, scan: TopLevelScan, table: FactTable): AnswerFacts {
  const first = body[scan.starts[table.error] ?? -1];
  const sound = scan.brokenAt < 0;
  const faultless = sound && scan.duplicate < 0 && first !== OPEN_BRACE && first !== QUOTE;
  const keepable = faultless && !UNFINISHED.has(scannedText(scan, table.status));
  return { sound, failed: first === OPEN_BRACE, keepable };
}

const ONLY_FACTS = factTable([]);

/** The facts of an answer of which nothing else is wanted. */
export function answerFacts(body: Buffer): AnswerFacts {
  return scannedFacts(body, scanTopLevel(body, ONLY_FACTS.keys), ONLY_FACTS);
}
