/** Reads the journal on from where it was left, and remembers how far each file has been read. */
import { statSync } from "node:fs";
import { LineReader } from "./line-reader.js";
import { listSegments, type Segment } from "./segments.js";

/** Name of a file of the journal → bytes of whole lines read of it. */
export type Positions = ReadonlyMap<string, number>;

export class JournalCursor {
  readonly #directory: string;
  readonly #positions: Map<string, number>;
  /** Files of which nothing more will come. */
  readonly #done = new Set<string>();

  /** Goes on at `positions`; files that are not named there are read from their beginning. */
  constructor(directory: string, positions: Positions = new Map()) {
    this.#directory = directory;
    this.#positions = new Map(positions);
  }

  get positions(): Positions {
    return this.#positions;
  }

  /** Files read to their end for good. */
  get done(): ReadonlySet<string> {
    return this.#done;
  }

  /**
   * Everything that is there and has not been read, piece by piece, as whole lines; a piece counts as read when it
   * is handed out. A file that cannot be read is left for the next time. `live`: writers that still write.
   * `since`: files last written before it hold nothing of interest (milliseconds since the epoch).
   */
  *take(live: ReadonlySet<string>, since = Number.NEGATIVE_INFINITY): Generator<readonly string[]> {
    const segments = this.#list();
    const newest = new Map<string, string>();
    for (const segment of segments) if (live.has(segment.writer)) newest.set(segment.writer, segment.name);
    for (const segment of segments) {
      if (this.#done.has(segment.name)) continue;
      const mayGrow = newest.get(segment.writer) === segment.name;
      const read = yield* this.#read(segment, since);
      if (read && !mayGrow) this.#done.add(segment.name);
    }
  }

  *#read({ name, path }: Segment, since: number): Generator<readonly string[], boolean> {
    const position = this.#positions.get(name) ?? 0;
    const reader = new LineReader(path, position);
    try {
      const { size, mtimeMs } = statSync(path);
      if (size <= position) return true;
      if (mtimeMs < since) {
        this.#positions.set(name, size);
        return true;
      }
      for (let lines = reader.read(); lines !== null; lines = reader.read()) {
        this.#positions.set(name, reader.passed);
        if (lines.length > 0) yield lines;
      }
      return true;
    } catch {
      return false;
    } finally {
      reader.close();
    }
  }

  /** Forgets files that are gone. */
  #list(): Segment[] {
    let segments: Segment[];
    try {
      segments = listSegments(this.#directory);
    } catch {
      return [];
    }
    const present = new Set(segments.map(({ name }) => name));
    for (const name of this.#positions.keys()) if (!present.has(name)) this.#positions.delete(name);
    for (const name of this.#done) if (!present.has(name)) this.#done.delete(name);
    return segments;
  }
}

/** What was read before: every file's lines from its beginning to its position. */
export function* linesBefore(directory: string, positions: Positions, since: number): Generator<readonly string[]> {
  let segments: Segment[];
  try {
    segments = listSegments(directory);
  } catch {
    return;
  }
  for (const { name, path } of segments) {
    const end = positions.get(name) ?? 0;
    const reader = new LineReader(path, 0, end);
    try {
      if (end === 0 || statSync(path).mtimeMs < since) continue;
      for (let lines = reader.read(); lines !== null; lines = reader.read()) if (lines.length > 0) yield lines;
    } catch {
      // Retention may have taken the file meanwhile.
    } finally {
      reader.close();
    }
  }
}
