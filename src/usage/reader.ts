/** Reads the journal back: all that is there, or all that comes. */
import { statSync } from "node:fs";
import { NO_UNITS, USAGE_EVENT_VERSION, type UsageEvent } from "./event.js";
import { LineReader } from "./line-reader.js";
import { type FieldType, USAGE_FIELDS } from "./meter.js";
import { listSegments, type Segment } from "./segments.js";

/** What was not an event. */
export interface ReadFaults {
  /** Lines that are not a usage event of a known version. */
  invalid: number;
  /** Files that end in the middle of a line. */
  torn: number;
  /** Files that could not be read. */
  unreadable: number;
}

export function noFaults(): ReadFaults {
  return { invalid: 0, torn: 0, unreadable: 0 };
}

/** The event of one line, or null when it is none. A newer schema version is not guessed at. */
export function parseEvent(line: string): UsageEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const fields = value as Record<string, unknown>;
  if (fields.v !== USAGE_EVENT_VERSION) return null;
  for (const name of FIELD_NAMES) {
    if (fields[name] === undefined && name in LATER_FIELDS) fields[name] = LATER_FIELDS[name];
    if (!hasType(fields[name], USAGE_FIELDS[name])) return null;
  }
  return value as UsageEvent;
}

/** What lines that were written before a field existed mean by its absence. */
const LATER_FIELDS: Readonly<Partial<Record<keyof UsageEvent, unknown>>> = Object.freeze({
  tags: Object.freeze({}),
  cache_write_1h_tokens: 0,
  ...NO_UNITS,
  cost_usd: 0,
  price_known: false,
  saved_input_tokens: 0,
  saved_output_tokens: 0,
  saved_cost_usd: 0,
  guardrails: Object.freeze([]),
});

const FIELD_NAMES = Object.keys(USAGE_FIELDS) as (keyof typeof USAGE_FIELDS)[];

function hasType(value: unknown, type: FieldType): boolean {
  if (type === "string or null") return value === null || typeof value === "string";
  if (type === "array of strings" || type === "array of objects") return Array.isArray(value);
  if (type === "object of strings") return typeof value === "object" && value !== null;
  return typeof value === type;
}

/** The events of one writer's files, in the order they were written. */
function* eventsOfWriter(segments: readonly Segment[], faults: ReadFaults): Generator<UsageEvent> {
  for (const segment of segments) {
    const reader = new LineReader(segment.path);
    try {
      for (let lines = reader.read(); lines !== null; lines = reader.read()) {
        for (const line of lines) {
          const event = parseEvent(line);
          if (event === null) faults.invalid += 1;
          else yield event;
        }
      }
    } catch {
      // Retention may have taken the file; the rest of the journal is still worth reading.
      faults.unreadable += 1;
    } finally {
      faults.invalid += reader.oversized;
      if (reader.begunBytes > 0) faults.torn += 1;
      reader.close();
    }
  }
}

function groupByWriter(segments: readonly Segment[]): Segment[][] {
  const groups = new Map<string, Segment[]>();
  for (const segment of segments) {
    const group = groups.get(segment.writer);
    if (group === undefined) groups.set(segment.writer, [segment]);
    else group.push(segment);
  }
  return [...groups.values()];
}

/** False when the file was last written before `since` (milliseconds since the epoch): it holds nothing newer. */
function mayHoldSince(segment: Segment, since: number): boolean {
  try {
    return statSync(segment.path).mtimeMs >= since;
  } catch {
    return false;
  }
}

export interface ReadOptions {
  /** Events before this time are left out; milliseconds since the epoch. */
  readonly since?: number;
  /** Filled while reading. */
  readonly faults?: ReadFaults;
}

/**
 * All events of a journal directory in order of time, merged over its writers; one piece of a file a writer
 * is in memory. Throws what listing the directory throws.
 */
export async function* readEvents(directory: string, options: ReadOptions = {}): AsyncGenerator<UsageEvent> {
  const since = options.since ?? Number.NEGATIVE_INFINITY;
  const sinceTime = Number.isFinite(since) ? new Date(since).toISOString() : "";
  const faults = options.faults ?? noFaults();
  const segments = listSegments(directory).filter((segment) => since === -Infinity || mayHoldSince(segment, since));
  const sources = groupByWriter(segments).map((group) => eventsOfWriter(group, faults));
  const heads: { source: Generator<UsageEvent>; event: UsageEvent }[] = [];
  const pull = (source: Generator<UsageEvent>): void => {
    const next = source.next();
    if (next.done !== true) heads.push({ source, event: next.value });
  };
  try {
    for (const source of sources) pull(source);
    while (heads.length > 0) {
      let first = 0;
      for (let index = 1; index < heads.length; index += 1) {
        if ((heads[index]?.event.time ?? "") < (heads[first]?.event.time ?? "")) first = index;
      }
      const [head] = heads.splice(first, 1);
      if (head === undefined) break;
      if (head.event.time >= sinceTime) yield head.event;
      pull(head.source);
    }
  } finally {
    for (const source of sources) source.return(undefined);
  }
}
