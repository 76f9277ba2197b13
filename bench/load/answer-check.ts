import { messageProblem } from "./message-check.js";
import type { ExpectedAnswer, ExpectedMessage } from "./plan.js";

/** Judges one answer's body as it comes in; reused from answer to answer on one connection. */
export interface AnswerCheck {
  /** Events complete so far. */
  readonly events: number;
  reset(): void;
  body(bytes: Buffer, start: number, end: number): void;
  /** Null when the whole body was right, else what was wrong with it. */
  verdict(): string | null;
}

/** Makes the checks of one run's connections: what one of them learns, all know. */
export function answerChecks(expected: ExpectedAnswer): () => AnswerCheck {
  if (expected.kind === "exact") {
    const bytes = Buffer.from(expected.bytes);
    return () => new ExactCheck(bytes, expected.eventEnds);
  }
  const learned: Learned = { expected, bytes: null, eventEnds: [] };
  return () => new MessageCheck(learned);
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

/** The answer of a run whose meaning was read and found right; the others must be the same, byte for byte. */
interface Learned {
  readonly expected: ExpectedMessage;
  bytes: Buffer | null;
  eventEnds: readonly number[];
}

/**
 * Reads the meaning of a run's first answers until one is right, and compares all others with that one: reading
 * each would cost the rig more than the gateway has to spend on it. The upstream always says the same, so a
 * translation that differs from one answer to the next is wrong in one of them.
 */
class MessageCheck implements AnswerCheck {
  private readonly learned: Learned;
  private exact: ExactCheck | null = null;
  private pieces: Buffer[] = [];

  constructor(learned: Learned) {
    this.learned = learned;
  }

  /** Of an answer that is being compared; 0 while the first ones are read. */
  get events(): number {
    return this.exact?.events ?? 0;
  }

  reset(): void {
    this.pieces = [];
    const { bytes, eventEnds } = this.learned;
    if (this.exact === null && bytes !== null) this.exact = new ExactCheck(bytes, eventEnds);
    this.exact?.reset();
  }

  body(bytes: Buffer, start: number, end: number): void {
    if (this.exact !== null) this.exact.body(bytes, start, end);
    // The read buffer is used again for the next read.
    else this.pieces.push(Buffer.from(bytes.subarray(start, end)));
  }

  verdict(): string | null {
    if (this.exact !== null) return this.exact.verdict();
    const whole = Buffer.concat(this.pieces);
    const { learned } = this;
    const problem = messageProblem(whole.toString("utf8"), learned.expected);
    if (problem !== null) return problem;
    if (learned.bytes === null) {
      learned.bytes = whole;
      learned.eventEnds = learned.expected.streamed ? endsOf(whole) : [];
      return null;
    }
    return learned.bytes.equals(whole) ? null : "the answer differs from an earlier one of the same run";
  }
}

/** Where each event ends. */
function endsOf(body: Buffer): number[] {
  const ends: number[] = [];
  for (let at = body.indexOf("\n\n"); at >= 0; at = body.indexOf("\n\n", at + 2)) ends.push(at + 2);
  return ends;
}
