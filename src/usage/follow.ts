/** Follows the journal as it grows. */
import { type FSWatcher, statSync, watch } from "node:fs";
import type { UsageEvent } from "./event.js";
import { LineReader } from "./line-reader.js";
import { noFaults, parseEvent, type ReadFaults } from "./reader.js";
import { listSegments, type Segment } from "./segments.js";

const POLL_MS = 250;

export interface FollowOptions {
  /** True: everything on file first; false: only what comes from now on. */
  readonly fromStart: boolean;
  /** Ends the iteration. */
  readonly signal: AbortSignal;
  readonly faults?: ReadFaults;
}

/** Wakes a sleeper when the directory changes; polling covers what the file system does not tell. */
class Alarm {
  readonly #directory: string;
  readonly #signal: AbortSignal;
  #watcher: FSWatcher | null = null;
  #rung = false;
  #wake: (() => void) | null = null;

  constructor(directory: string, signal: AbortSignal) {
    this.#directory = directory;
    this.#signal = signal;
    signal.addEventListener("abort", this.#ring);
  }

  readonly #ring = (): void => {
    this.#rung = true;
    this.#wake?.();
  };

  async sleep(): Promise<void> {
    this.#watch();
    if (!this.#rung && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = null;
    this.#rung = false;
  }

  stop(): void {
    this.#signal.removeEventListener("abort", this.#ring);
    this.#watcher?.close();
    this.#watcher = null;
  }

  #watch(): void {
    if (this.#watcher !== null) return;
    try {
      this.#watcher = watch(this.#directory, this.#ring);
      this.#watcher.on("error", () => {
        this.#watcher?.close();
        this.#watcher = null;
      });
    } catch {
      // The directory may not be there yet; polling finds it, and the next sleep watches it.
    }
  }
}

/** One file being followed. */
interface Followed {
  readonly segment: Segment;
  readonly reader: LineReader;
}

class Follower {
  readonly #directory: string;
  readonly #faults: ReadFaults;
  readonly #followed = new Map<string, Followed>();
  /** The highest sequence read to its end, a writer. */
  readonly #finished = new Map<string, number>();

  constructor(directory: string, faults: ReadFaults) {
    this.#directory = directory;
    this.#faults = faults;
  }

  /** Begins behind what is on file now. */
  skipExisting(): void {
    for (const segment of this.#list()) {
      try {
        this.#followed.set(segment.name, {
          segment,
          reader: new LineReader(segment.path, statSync(segment.path).size),
        });
      } catch {
        // Gone already.
      }
    }
  }

  /** The events that came since the last call, file by file. */
  *take(): Generator<UsageEvent> {
    const segments = this.#list();
    const newest = new Map<string, number>();
    for (const segment of segments) newest.set(segment.writer, segment.sequence);
    const present = new Set<string>();
    for (const segment of segments) {
      if (segment.sequence <= (this.#finished.get(segment.writer) ?? 0)) continue;
      present.add(segment.name);
      yield* this.#takeFrom(segment);
      // The listing showed a newer file, so the writer had closed this one before we read to its end.
      if (segment.sequence < (newest.get(segment.writer) ?? 0)) this.#finish(segment);
    }
    for (const [name, { reader }] of this.#followed) {
      if (present.has(name)) continue;
      reader.close();
      this.#followed.delete(name);
    }
  }

  close(): void {
    for (const { reader } of this.#followed.values()) reader.close();
    this.#followed.clear();
  }

  *#takeFrom(segment: Segment): Generator<UsageEvent> {
    let followed = this.#followed.get(segment.name);
    if (followed === undefined) {
      followed = { segment, reader: new LineReader(segment.path) };
      this.#followed.set(segment.name, followed);
    }
    const { reader } = followed;
    try {
      for (let lines = reader.read(); lines !== null; lines = reader.read()) {
        for (const line of lines) {
          const event = parseEvent(line);
          if (event === null) this.#faults.invalid += 1;
          else yield event;
        }
      }
    } catch {
      this.#faults.unreadable += 1;
    }
  }

  #finish(segment: Segment): void {
    const reader = this.#followed.get(segment.name)?.reader;
    if (reader !== undefined) {
      if (reader.begunBytes > 0) this.#faults.torn += 1;
      this.#faults.invalid += reader.oversized;
      reader.close();
    }
    this.#followed.delete(segment.name);
    this.#finished.set(segment.writer, segment.sequence);
  }

  #list(): Segment[] {
    try {
      return listSegments(this.#directory);
    } catch {
      return [];
    }
  }
}

/**
 * Yields events as they are written, until the signal aborts. A directory that is not there yet is waited
 * for. Order is that of the files; events of different writers may come up to a poll's length out of time.
 */
export async function* followEvents(directory: string, options: FollowOptions): AsyncGenerator<UsageEvent> {
  const follower = new Follower(directory, options.faults ?? noFaults());
  const alarm = new Alarm(directory, options.signal);
  try {
    if (!options.fromStart) follower.skipExisting();
    while (!options.signal.aborted) {
      for (const event of follower.take()) {
        yield event;
        if (options.signal.aborted) return;
      }
      await alarm.sleep();
    }
  } finally {
    alarm.stop();
    follower.close();
  }
}
