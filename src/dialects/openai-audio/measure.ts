/** The use of audio operations, as far as their requests tell it. */
import { audioLength } from "../audio-length.js";
import type { Operation, RequestView } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import { decodeString } from "../json-text.js";
import { fileOf } from "../multipart.js";
import type { UsageTally } from "../usage-tally.js";
import { SPEECH_KEYS } from "./wire.js";

/** Of sound whose length nothing tells: 64 kbit/s, between what speech and music are recorded at. */
const GUESSED_BYTES_PER_SECOND = 8_000;

/** Characters to be spoken, or seconds that were listened to where the answer has not said them. */
export function measureAudio(operation: Operation, body: Buffer, view: RequestView, tally: UsageTally): void {
  if (operation === "speech") {
    tally.characters = charactersOf(body);
    return;
  }
  if (tally.audioSeconds >= 0 || view.form === undefined) return;
  const file = fileOf(view.form, "file");
  if (file === null) return;
  const length = audioLength(body.subarray(file.start, file.end));
  if (length !== null) {
    tally.audioSeconds = length.seconds;
    tally.unitsGuessed ||= !length.exact;
  } else if (!tally.complete(true)) {
    tally.audioSeconds = Math.round((file.end - file.start) / GUESSED_BYTES_PER_SECOND);
    tally.unitsGuessed = true;
  }
}

function charactersOf(body: Buffer): number {
  const scan = scanTopLevel(body, SPEECH_KEYS);
  const start = scan.starts[0] ?? -1;
  const text = start < 0 ? null : decodeString(body, start, scan.ends[0] ?? start);
  if (text === null) return 0;
  let count = text.length;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) === 0xdc00) count--;
  return count;
}
