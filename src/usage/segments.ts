/** Names and order of the journal's files. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

const SEGMENT_NAME = /^usage-([A-Za-z0-9_.-]{1,128})-([0-9]{10})\.jsonl$/;

/** One file of the journal. */
export interface Segment {
  readonly name: string;
  readonly path: string;
  readonly writer: string;
  /** Grows by one with each file of the same writer. */
  readonly sequence: number;
}

/** Where the journal of a data directory stands. */
export function journalDirectory(dataDirectory: string): string {
  return join(dataDirectory, "journal");
}

export function segmentName(writer: string, sequence: number): string {
  return `usage-${writer}-${String(sequence).padStart(10, "0")}.jsonl`;
}

/** The journal's files, by writer and sequence; foreign files are passed over. Throws what readdir throws. */
export function listSegments(directory: string): Segment[] {
  const segments: Segment[] = [];
  for (const name of readdirSync(directory)) {
    const match = SEGMENT_NAME.exec(name);
    if (match === null) continue;
    segments.push({ name, path: join(directory, name), writer: match[1] as string, sequence: Number(match[2]) });
  }
  return segments.sort((a, b) => (a.writer === b.writer ? a.sequence - b.sequence : a.writer < b.writer ? -1 : 1));
}
