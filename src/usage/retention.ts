/** Keeps the journal within its bound. */
import { statSync, unlinkSync } from "node:fs";
import { listSegments, type Segment } from "./segments.js";

interface Measured {
  readonly segment: Segment;
  readonly bytes: number;
  readonly changed: number;
}

function measure(segments: readonly Segment[]): Measured[] {
  const measured: Measured[] = [];
  for (const segment of segments) {
    try {
      const found = statSync(segment.path);
      measured.push({ segment, bytes: found.size, changed: found.mtimeMs });
    } catch {
      // Gone between listing and looking: it takes no room any more.
    }
  }
  return measured;
}

/** The newest file of each live writer: it may be open. */
function openSegments(segments: readonly Segment[], live: ReadonlySet<string> | null): Set<string> {
  const newest = new Map<string, string>();
  for (const segment of segments) {
    if (live === null || live.has(segment.writer)) newest.set(segment.writer, segment.name);
  }
  return new Set(newest.values());
}

/** What somebody still has to read is kept up to this many times the bound. */
const PATIENCE = 2;

export interface RetentionOptions {
  /** Writers that may still write; null = all are. */
  readonly live?: ReadonlySet<string> | null;
  /** Has somebody still to read this file? */
  readonly wanted?: (name: string) => boolean;
  /** Called before a file goes that is wanted all the same. */
  readonly giveUp?: (segment: Segment) => void;
}

/**
 * Removes the oldest closed files until the directory holds at most `maxBytes`; returns their names. The
 * newest file of a live writer stays whatever the bound says, a wanted file as long as twice the bound holds.
 * A missing directory is an empty one; a file that cannot be removed is left for the next round.
 */
export function enforceBound(directory: string, maxBytes: number, options: RetentionOptions = {}): string[] {
  const { live = null, wanted = () => false, giveUp } = options;
  let segments: Segment[];
  try {
    segments = listSegments(directory);
  } catch {
    return [];
  }
  const open = openSegments(segments, live);
  const measured = measure(segments).sort((a, b) => a.changed - b.changed || a.segment.sequence - b.segment.sequence);
  let total = measured.reduce((sum, file) => sum + file.bytes, 0);
  const removed: string[] = [];
  for (const { segment, bytes } of measured) {
    if (total <= maxBytes) break;
    if (open.has(segment.name)) continue;
    const isWanted = wanted(segment.name);
    if (isWanted && total <= maxBytes * PATIENCE) continue;
    if (isWanted) giveUp?.(segment);
    try {
      unlinkSync(segment.path);
    } catch {
      continue;
    }
    total -= bytes;
    removed.push(segment.name);
  }
  return removed;
}
