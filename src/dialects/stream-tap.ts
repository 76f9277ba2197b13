/** The relay's view of one event stream: whole events out, hidden ones cut, the observer told what matters. */
import { FRAME, type LongEventObserver, type StreamObserver } from "./dialect.js";
import { CR, LF, LINE, lastEventEnd, nextEventEnd, sseDataBytes } from "./sse.js";

/** What becomes of an LF that arrives after an event has ended with the CR before it. */
const LATE_LF = { NONE: 0, FORWARD: 1, SWALLOW: 2 } as const;
const LINE_FEED = Buffer.of(LF);

/**
 * Takes a stream in batches cut anywhere and gives back the bytes to forward. The joined output, the
 * tally and the flags do not depend on where the batches were cut.
 */
export class StreamTap {
  private readonly observer: StreamObserver;
  private readonly interest: RegExp;
  private readonly maxEventBytes: number;
  private carried: Buffer[] = [];
  private carriedBytes = 0;
  /** What the last batch ended with. */
  private line: number = LINE.START;
  private lateLf: number = LATE_LF.NONE;
  /** The last block ended in the middle of a CRLF, as its line ends tell. */
  private splitCrLf = false;
  /** Inside an event that outgrew the bound. */
  private raw = false;
  /** Watches that event, where the dialect can. */
  private long: LongEventObserver | null = null;
  /** No event with data has been seen yet; that one is always observed (it names model and id). */
  private first = true;
  private flags = 0;
  private hasOversize = false;
  /** Events so far after which the answer is whole if nothing follows. */
  wholes = 0;

  /** `maxEventBytes`: the longest event that is held back and observed; a longer one passes, seen only in pieces. */
  constructor(observer: StreamObserver, maxEventBytes: number) {
    this.observer = observer;
    const { interest } = observer;
    this.interest = interest.global ? interest : new RegExp(interest.source, `${interest.flags}g`);
    this.maxEventBytes = maxEventBytes;
  }

  /** The dialect's terminator has been seen; true before the bytes that hold it are forwarded. */
  get terminal(): boolean {
    return (this.flags & FRAME.TERMINAL) !== 0;
  }

  /** An error event has been seen. */
  get failed(): boolean {
    return (this.flags & FRAME.ERROR) !== 0;
  }

  /** An event was too long to be held back. */
  get oversize(): boolean {
    return this.hasOversize;
  }

  /** Takes the next bytes; gives those to forward now (the batch itself where possible), or null. */
  push(batch: Buffer): Buffer | null {
    const length = batch.length;
    if (length === 0) return null;
    if (this.lateLf !== LATE_LF.NONE) {
      const fate = this.lateLf;
      this.lateLf = LATE_LF.NONE;
      if (batch[0] === LF) return this.pushAfterLateLf(batch, fate);
      this.line = LINE.START;
    }
    const before = this.line;
    const last = batch[length - 1];
    this.line = last === LF ? LINE.START : last === CR ? LINE.START | LINE.AFTER_CR : LINE.INSIDE;
    const end = lastEventEnd(batch, 0, length, before);
    if (end === 0) return this.carry(batch);
    if (this.raw) return this.endRaw(batch, before);
    let block = end === length ? batch : batch.subarray(0, end);
    if (this.carried.length > 0) block = this.takeCarried(block);
    const out = this.relay(block, end === length && last === CR);
    if (end === length) return out;
    const overflow = this.carry(batch.subarray(end));
    return overflow === null ? out : out === null ? overflow : Buffer.concat([out, overflow]);
  }

  /** The stream has ended: gives the rest, an event without its blank line, or null. */
  end(): Buffer | null {
    if (this.carried.length === 0) return null;
    return this.relay(this.takeCarried(null), false);
  }

  /**
   * The LF that a stream of CRLF lines still owes to the last event forwarded, or null. For a relay that ends
   * with that event and waits for nothing more; one that goes on gets it from `push`.
   */
  owedLineFeed(): Buffer | null {
    return this.splitCrLf && this.lateLf === LATE_LF.FORWARD ? LINE_FEED : null;
  }

  private pushAfterLateLf(batch: Buffer, fate: number): Buffer | null {
    this.line = LINE.START;
    const out = batch.length > 1 ? this.push(batch.subarray(1)) : null;
    if (fate === LATE_LF.SWALLOW) return out;
    return out === null ? batch.subarray(0, 1) : Buffer.concat([batch.subarray(0, 1), out]);
  }

  /** Ends the event that passes raw, then treats the rest of the batch as a batch of its own. */
  private endRaw(batch: Buffer, before: number): Buffer {
    this.raw = false;
    const end = nextEventEnd(batch, 0, before);
    this.long?.feed(batch.subarray(0, end));
    this.endLong(this.long);
    this.long = null;
    if (end === batch.length) {
      if (batch[end - 1] === CR) this.lateLf = LATE_LF.FORWARD;
      return batch;
    }
    this.line = LINE.START;
    const rest = this.push(batch.subarray(end));
    const head = batch.subarray(0, end);
    return rest === null ? head : Buffer.concat([head, rest]);
  }

  /** Holds back the beginning of an event, unless it outgrows the bound. */
  private carry(bytes: Buffer): Buffer | null {
    if (this.raw) {
      this.long?.feed(bytes);
      return bytes;
    }
    this.carried.push(bytes);
    this.carriedBytes += bytes.length;
    if (this.carriedBytes <= this.maxEventBytes) return null;
    this.hasOversize = true;
    this.first = false;
    this.raw = true;
    const begun = this.takeCarried(null);
    this.long = this.observer.observeLong?.() ?? null;
    this.long?.feed(begun);
    return begun;
  }

  private takeCarried(more: Buffer | null): Buffer {
    const pieces = this.carried;
    if (more !== null) pieces.push(more);
    this.carried = [];
    this.carriedBytes = 0;
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  /** Forwards whole events. Only those the observer may care about are looked at one by one. */
  private relay(block: Buffer, endsWithCr: boolean): Buffer | null {
    const text = block.toString("latin1");
    const oneByOne = block.length > this.maxEventBytes;
    let kept: Buffer[] | null = null;
    let keptFrom = 0;
    let at = 0;
    while (at < block.length) {
      let start = at;
      let end: number;
      const known = !this.first && !oneByOne;
      if (!known) {
        end = nextEventEnd(block, at, LINE.START);
      } else {
        this.interest.lastIndex = at;
        if (!this.interest.test(text)) break;
        const hit = this.interest.lastIndex - 1;
        start = lastEventEnd(block, at, hit, LINE.START);
        end = nextEventEnd(block, hit, LINE.INSIDE);
      }
      at = end;
      const frame = block.subarray(start, end);
      if (!known && !this.wants(frame, text, start)) continue;
      const action = this.observer.observe(frame);
      this.note(action);
      if ((action & FRAME.HIDE) === 0) continue;
      kept ??= [];
      if (start > keptFrom) kept.push(block.subarray(keptFrom, start));
      keptFrom = end;
    }
    if (endsWithCr) {
      this.lateLf = keptFrom === block.length ? LATE_LF.SWALLOW : LATE_LF.FORWARD;
      this.splitCrLf = block[block.length - 2] === LF && block[block.length - 3] === CR;
    }
    if (kept === null) return block;
    if (keptFrom < block.length) kept.push(block.subarray(keptFrom));
    return kept.length === 0 ? null : kept.length === 1 ? (kept[0] as Buffer) : Buffer.concat(kept);
  }

  private endLong(long: LongEventObserver | null): void {
    // What has left cannot be hidden.
    if (long !== null) this.note(long.finish() & ~FRAME.HIDE);
  }

  private note(action: number): void {
    this.flags |= action;
    if ((action & FRAME.WHOLE) !== 0) this.wholes++;
  }

  /** May the observer have an opinion on this event? Oversize ones are not asked about. */
  private wants(frame: Buffer, text: string, start: number): boolean {
    const length = frame.length;
    // The LF of a final CRLF does not count: it may arrive after the event has been judged.
    const size = frame[length - 1] === LF && frame[length - 2] === CR ? length - 1 : length;
    if (size > this.maxEventBytes) {
      this.hasOversize = true;
      this.first = false;
      const long = this.observer.observeLong?.() ?? null;
      long?.feed(frame);
      this.endLong(long);
      return false;
    }
    if (this.first && sseDataBytes(frame).length > 0) {
      this.first = false;
      return true;
    }
    this.interest.lastIndex = 0;
    return this.interest.test(text.slice(start, start + length));
  }
}
