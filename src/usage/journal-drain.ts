/**
 * Takes the journal's events out in order, for somewhere else: those of one writer as they were written, those of
 * several merged by their ids, which sort by time. What has been taken counts as gone once it is confirmed; until
 * then `rewind` gives it out again.
 */
import { statSync } from "node:fs";
import type { UsageEvent } from "./event.js";
import type { Positions } from "./journal-cursor.js";
import { LineReader } from "./line-reader.js";
import { listSegments, type Segment } from "./segments.js";

/** One line of the journal on its way out. */
export interface DrainedLine {
  /** File of the journal. */
  readonly file: string;
  /** Bytes of the file up to the line's end. */
  readonly end: number;
  readonly line: string;
  /** null: the line is not an event. */
  readonly event: UsageEvent | null;
}

/** One writer's files, the oldest first, and what has been read of them but not taken. */
class Source {
  segments: Segment[] = [];
  queue: DrainedLine[] = [];
  next = 0;
  reader: LineReader | null = null;
  /** How far the first file has been read; null = not yet. */
  read: number | null = null;

  get head(): DrainedLine | undefined {
    return this.queue[this.next];
  }

  close(): void {
    this.reader?.close();
    this.reader = null;
  }

  /** The first file is read to its end for good, or gone. */
  leaveFile(): void {
    this.close();
    this.read = null;
    this.segments.shift();
  }
}

export class JournalDrain {
  readonly #directory: string;
  readonly #confirmed: Map<string, number>;
  readonly #sources = new Map<string, Source>();
  /** Files of which nothing more will come → their last whole line's end. */
  readonly #finished = new Map<string, number>();
  /** The newest file of each live writer, when the directory was last looked at. */
  #growing: ReadonlySet<string> = new Set();

  /** Goes on at `positions`; files that are not named there are taken from their beginning. */
  constructor(directory: string, positions: Positions = new Map()) {
    this.#directory = directory;
    this.#confirmed = new Map(positions);
  }

  /** How much of each file has been confirmed. */
  get positions(): Positions {
    return this.#confirmed;
  }

  /** Looks for files that came or went. `live`: writers that still write. */
  refresh(live: ReadonlySet<string>): void {
    let segments: Segment[];
    try {
      segments = listSegments(this.#directory);
    } catch {
      return;
    }
    const growing = new Map<string, string>();
    const present = new Set<string>();
    const open = new Map<string, Segment[]>();
    for (const segment of segments) {
      present.add(segment.name);
      if (live.has(segment.writer)) growing.set(segment.writer, segment.name);
      if (this.#finished.has(segment.name)) continue;
      const group = open.get(segment.writer);
      if (group === undefined) open.set(segment.writer, [segment]);
      else group.push(segment);
    }
    this.#growing = new Set(growing.values());
    for (const name of this.#confirmed.keys()) if (!present.has(name)) this.#confirmed.delete(name);
    for (const name of this.#finished.keys()) if (!present.has(name)) this.#finished.delete(name);
    for (const writer of open.keys()) if (!this.#sources.has(writer)) this.#sources.set(writer, new Source());
    for (const [writer, source] of this.#sources) this.#adopt(source, writer, open.get(writer) ?? []);
  }

  /** The next lines, at most so many; they are to be confirmed in this order. */
  take(limit: number): DrainedLine[] {
    const taken: DrainedLine[] = [];
    while (taken.length < limit) {
      const source = this.#earliest();
      if (source === null) break;
      taken.push(source.head as DrainedLine);
      source.next += 1;
    }
    return taken;
  }

  /** The line that `take` would give next. */
  peek(): DrainedLine | null {
    return this.#earliest()?.head ?? null;
  }

  /** The line is where it should go. */
  confirm({ file, end }: DrainedLine): void {
    this.#confirmed.set(file, end);
  }

  /** Gives out again what has not been confirmed, or everything behind these positions. */
  rewind(positions: Positions | null = null): void {
    if (positions !== null) {
      this.#confirmed.clear();
      for (const [name, position] of positions) this.#confirmed.set(name, position);
    }
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
    this.#finished.clear();
  }

  /** Is anything in this file that has not been confirmed, or may something come? */
  wants(name: string): boolean {
    const end = this.#finished.get(name);
    return end === undefined || (this.#confirmed.get(name) ?? 0) < end;
  }

  /** The file goes: lets go of it, and answers how many of its lines were not confirmed. */
  forget({ name, path, writer }: Segment): number {
    const source = this.#sources.get(writer);
    if (source !== undefined) {
      if (source.segments[0]?.name === name) source.leaveFile();
      source.segments = source.segments.filter((segment) => segment.name !== name);
      source.queue = source.queue.slice(source.next).filter(({ file }) => file !== name);
      source.next = 0;
    }
    const reader = new LineReader(path, this.#confirmed.get(name) ?? 0);
    let count = 0;
    try {
      for (let lines = reader.read(); lines !== null; lines = reader.read()) count += lines.length;
    } catch {
      // It is gone already, or cannot be read: what was in it cannot be told.
    } finally {
      reader.close();
    }
    this.#finished.set(name, this.#confirmed.get(name) ?? 0);
    return count;
  }

  /** Bytes in the journal that have not been confirmed. */
  backlog(): number {
    let bytes = 0;
    try {
      for (const { name, path } of listSegments(this.#directory)) {
        const end = this.#finished.get(name) ?? statSync(path).size;
        bytes += Math.max(0, end - (this.#confirmed.get(name) ?? 0));
      }
    } catch {
      // A file went while it was looked at: the next look tells.
    }
    return bytes;
  }

  close(): void {
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
  }

  /** The file that is being read stays first, also when it is gone from the directory: its rest can still be read. */
  #adopt(source: Source, writer: string, segments: Segment[]): void {
    const current = source.read === null ? undefined : source.segments[0];
    const rest = segments.filter(({ name }) => name !== current?.name);
    source.segments = current === undefined ? rest : [current, ...rest];
    if (source.segments.length === 0 && source.head === undefined) this.#sources.delete(writer);
  }

  #earliest(): Source | null {
    let earliest: Source | null = null;
    for (const source of this.#sources.values()) {
      if (source.head === undefined) this.#fill(source);
      const { head } = source;
      if (head === undefined) continue;
      if (earliest === null || idOf(head) < idOf(earliest.head as DrainedLine)) earliest = source;
    }
    return earliest;
  }

  /** Reads the next piece of the writer's files, if there is one. */
  #fill(source: Source): void {
    source.queue = [];
    source.next = 0;
    for (let segment = source.segments[0]; segment !== undefined; segment = source.segments[0]) {
      const { name, path } = segment;
      try {
        source.read ??= this.#confirmed.get(name) ?? 0;
        source.reader ??= new LineReader(path, source.read);
        for (let lines = source.reader.read(); lines !== null; lines = source.reader.read()) {
          if (lines.length === 0) continue;
          const { ends, passed } = source.reader;
          source.read = passed;
          source.queue = lines.map((line, index) => ({
            file: name,
            end: ends[index] as number,
            line,
            event: eventOf(line),
          }));
          return;
        }
        // A writer goes on in its newest file; one that had a successor when we looked was closed before we read.
        if (this.#growing.has(name)) return;
        this.#finished.set(name, source.reader.passed);
      } catch (error) {
        source.close();
        // Retention or somebody else took it before it was read.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") return;
      }
      source.leaveFile();
    }
  }
}

function idOf({ event }: DrainedLine): string {
  return event === null ? "" : event.id;
}

/** The event of a line of any known age; less strict than the readers, because others may know more than we do. */
function eventOf(line: string): UsageEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { id, time, api_key, model } = value as Record<string, unknown>;
  const whole = [id, time, api_key, model].every((field) => typeof field === "string") && id !== "";
  return whole ? (value as UsageEvent) : null;
}
