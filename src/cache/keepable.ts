/** Is an answer that came with a good status really one? */
import { keyTable, scanTopLevel } from "../dialects/json-splice.js";
import { scannedText, scannedValue } from "../dialects/json-values.js";
import type { AnswerMode } from "./entry.js";

const KEYS = keyTable(["error", "status"]);
const [ERROR, STATUS] = [0, 1] as const;
/** What an answer says of itself that has come to nothing, or is not finished. */
const UNFINISHED: ReadonlySet<string> = new Set(["failed", "cancelled", "in_progress", "queued"]);
const OPEN_BRACE = 0x7b;
const QUOTE = 0x22;

/** Errors inside a stream have been noticed by its relay; a whole answer is looked at here. */
export function isKeepable(body: Buffer, mode: AnswerMode): boolean {
  if (mode === "stream") return true;
  const scan = scanTopLevel(body, KEYS);
  if (scan.brokenAt >= 0 || scan.duplicate >= 0) return false;
  const error = scannedValue(body, scan, ERROR);
  if (error !== null && (error[0] === OPEN_BRACE || error[0] === QUOTE)) return false;
  return !UNFINISHED.has(scannedText(body, scan, STATUS));
}
