import type { ExpectedAnswer } from "./plan.js";

/** Judges one answer's body as it comes in; reused from answer to answer on one connection. */
export interface AnswerCheck {
  /** Events complete so far. */
  readonly events: number;
  reset(): void;
  body(bytes: Buffer, start: number, end: number): void;
  /** Null when the whole body was right, else what was wrong with it. */
  verdict(): string | null;
}

export function answerCheck(expected: ExpectedAnswer): AnswerCheck {
  if (expected.kind === "exact") return new ExactCheck(Buffer.from(expected.bytes), expected.eventEnds);
  if (expected.kind === "events") return new EventCheck(expected.events, expected.terminators);
  return new AnyCheck();
}

/** One native comparison a piece: the strictest check is also the cheapest. A lost, doubled or cut event differs. */
class ExactCheck implements AnswerCheck {
  events = 0;
  private offset = 0;
  private wrong: string | null = null;
  private readonly expected: Buffer;
  private readonly ends: readonly number[];

  constructor(expected: Buffer, ends: readonly number[]) {
    this.expected = expected;
    this.ends = ends;
  }

  reset(): void {
    this.offset = 0;
    this.events = 0;
    this.wrong = null;
  }

  body(bytes: Buffer, start: number, end: number): void {
    const to = this.offset + end - start;
    if (
      this.wrong === null &&
      (to > this.expected.length || this.expected.compare(bytes, start, end, this.offset, to) !== 0)
    ) {
      const got = bytes.toString("latin1", start, Math.min(end, start + 160));
      this.wrong = `body differs after byte ${this.offset} (event ${this.events}): ${JSON.stringify(got)}`;
    }
    this.offset = to;
    if (this.wrong !== null) return;
    while (this.events < this.ends.length && (this.ends[this.events] as number) <= to) this.events++;
  }

  verdict(): string | null {
    if (this.wrong !== null) return this.wrong;
    if (this.offset !== this.expected.length) return `short body: ${this.offset} of ${this.expected.length} bytes`;
    return null;
  }
}

class AnyCheck implements AnswerCheck {
  readonly events = 0;
  private bytes = 0;

  reset(): void {
    this.bytes = 0;
  }

  body(_bytes: Buffer, start: number, end: number): void {
    this.bytes += end - start;
  }

  verdict(): string | null {
    return this.bytes === 0 ? "empty body" : null;
  }
}

const TERMINATOR = Buffer.from("data: [DONE]\n");
const DATA = Buffer.from("data:");
const EVENT = Buffer.from("event:");
const LF = 10;

/**
 * Counts server-sent events (LF line ends) in pieces cut anywhere: data events, terminators, comments apart.
 * For streams whose exact bytes are not known beforehand, such as translated ones.
 */
class EventCheck implements AnswerCheck {
  events = 0;
  private terminators = 0;
  private malformed = 0;
  /** First bytes of the event under way. */
  private readonly head = Buffer.alloc(TERMINATOR.length);
  private headLength = 0;
  private lastWasLineEnd = false;
  private inEvent = false;
  private readonly wantedEvents: number;
  private readonly wantedTerminators: number;

  constructor(events: number, terminators: number) {
    this.wantedEvents = events;
    this.wantedTerminators = terminators;
  }

  reset(): void {
    this.events = 0;
    this.terminators = 0;
    this.malformed = 0;
    this.headLength = 0;
    this.lastWasLineEnd = false;
    this.inEvent = false;
  }

  body(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte === LF && (this.lastWasLineEnd || !this.inEvent)) {
        if (this.inEvent) this.classify();
        this.inEvent = false;
        this.lastWasLineEnd = false;
        this.headLength = 0;
        continue;
      }
      this.inEvent = true;
      this.lastWasLineEnd = byte === LF;
      if (this.headLength < this.head.length) this.head[this.headLength++] = byte;
    }
  }

  private classify(): void {
    const head = this.head.subarray(0, this.headLength);
    if (head[0] === 58) return;
    if (head.equals(TERMINATOR)) this.terminators++;
    else if (head.subarray(0, 5).equals(DATA) || head.subarray(0, 6).equals(EVENT)) this.events++;
    else this.malformed++;
  }

  verdict(): string | null {
    if (this.inEvent) return "stream ends inside an event";
    if (this.malformed > 0) return `${this.malformed} malformed events`;
    if (this.events !== this.wantedEvents) return `${this.events} of ${this.wantedEvents} events`;
    if (this.terminators !== this.wantedTerminators)
      return `${this.terminators} of ${this.wantedTerminators} terminators`;
    return null;
  }
}
