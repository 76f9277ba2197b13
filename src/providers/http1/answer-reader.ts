/**
 * Reads HTTP/1.1 answers as their bytes come, cut anywhere. What one read of the socket brings of a body is handed on
 * as one piece, however many chunks the upstream has cut it into. Strict where two readers could disagree about where
 * an answer ends. Grammar: RFC 9112.
 */
import { AnswerError, type ParsedHead, parseHead } from "./answer-head.js";

/** Longer heads are an attack or a defect. */
const MAX_HEAD_BYTES = 65_536;
/** Of one chunk's size and extensions, and of all trailers. */
const MAX_LINE_BYTES = 4_096;
const MAX_TRAILER_BYTES = 65_536;
/** Hexadecimal digits of a chunk's size: what a double holds exactly. */
const MAX_SIZE_DIGITS = 13;
/** Answers that only announce another one. */
const MAX_INTERIM = 16;

const HEAD_END = Buffer.from("\r\n\r\n");
const HEAD_START = Buffer.from("HTTP/1.");
/** Room for a head that comes in several reads, to begin with. */
const GATHERED_BYTES = 2_048;
const LF = 0x0a;
const CR = 0x0d;

const STATE = {
  HEAD: 0,
  LENGTH: 1,
  CLOSE: 2,
  SIZE: 3,
  EXTENSION: 4,
  SIZE_LF: 5,
  DATA: 6,
  DATA_CR: 7,
  DATA_LF: 8,
  TRAILER: 9,
  TRAILER_LINE: 10,
  TRAILER_LF: 11,
  LAST_LF: 12,
  SIZE_BLANK: 13,
} as const;

export class AnswerReader {
  /** The head, from the read on that has completed it; null = it has not come. */
  head: ParsedHead | null = null;
  /** What the last read has brought of the body; null = nothing. */
  body: Buffer | null = null;
  /** The answer is whole. */
  done = false;
  /** Bytes have come after the answer's end. */
  excess = false;
  #bodiless = false;
  #state: number = STATE.HEAD;
  /** Begins with the bytes of a head that has come in part. */
  #begun: Buffer | null = null;
  #begunBytes = 0;
  #interim = 0;
  /** Bytes to come of the body, or of the chunk. */
  #left = 0;
  #digits = 0;
  #lineBytes = 0;
  #trailerBytes = 0;
  /** The first run of body bytes in this read. */
  #runStart = -1;
  #runEnd = -1;
  #out: Buffer | null = null;
  #outLength = 0;

  /** Another request has been sent. `bodiless`: its answer has no body, whatever its head says (HEAD). */
  begin(bodiless: boolean): void {
    this.head = null;
    this.body = null;
    this.done = false;
    this.#bodiless = bodiless;
    this.#state = STATE.HEAD;
    this.#begun = null;
    this.#begunBytes = 0;
    this.#interim = 0;
  }

  /**
   * Reads `bytes` up to `end`. `lent`: they will be overwritten, so that what is kept of them must be copied. Throws
   * AnswerError where they are no HTTP.
   */
  read(bytes: Buffer, end: number, lent: boolean): void {
    this.body = null;
    this.#runStart = -1;
    this.#out = null;
    let at = 0;
    while (at < end && !this.done) {
      if (this.#state === STATE.HEAD) at = this.#readHead(bytes, at, end);
      else if (this.#state === STATE.LENGTH || this.#state === STATE.DATA) at = this.#readCounted(bytes, at, end);
      else if (this.#state === STATE.CLOSE) at = this.#take(bytes, at, end, end);
      else at = this.#readFrame(bytes[at] as number, at);
    }
    if (at < end) this.excess = true;
    if (this.#runStart >= 0) this.body = this.#taken(bytes, lent);
  }

  /** The upstream has ended the connection. True: that is how this answer ends. */
  close(): boolean {
    if (this.#state !== STATE.CLOSE || this.done) return false;
    this.done = true;
    return true;
  }

  #readHead(bytes: Buffer, at: number, end: number): number {
    if (this.#begun === null) {
      const found = bytes.indexOf(HEAD_END, at);
      if (found >= 0 && found + 4 <= end) {
        if (found - at > MAX_HEAD_BYTES) throw new AnswerError("head too long");
        this.#enter(bytes.toString("latin1", at, found));
        return found + 4;
      }
    }
    return this.#gatherHead(bytes.subarray(at, end)) + at;
  }

  /** Puts a head together that comes in several reads. Returns how many of these bytes belong to it. */
  #gatherHead(next: Buffer): number {
    const before = this.#begunBytes;
    const room = this.#roomFor(before + next.length);
    next.copy(room, before);
    const whole = room.subarray(0, before + next.length);
    const found = whole.indexOf(HEAD_END, Math.max(0, before - 3));
    const atLeast = found < 0 ? whole.length - 3 : found;
    if (atLeast > MAX_HEAD_BYTES) throw new AnswerError("head too long");
    if (found < 0) {
      refuseEarly(whole, before);
      this.#begunBytes = whole.length;
      return next.length;
    }
    this.#begun = null;
    this.#begunBytes = 0;
    this.#enter(whole.toString("latin1", 0, found));
    return found + 4 - before;
  }

  /** Grows by doubling: a head may come byte by byte. */
  #roomFor(bytes: number): Buffer {
    const begun = this.#begun;
    if (begun !== null && begun.length >= bytes) return begun;
    const room = Buffer.allocUnsafe(Math.max(GATHERED_BYTES, bytes * 2));
    begun?.copy(room, 0, 0, this.#begunBytes);
    this.#begun = room;
    return room;
  }

  #enter(text: string): void {
    const head = parseHead(text, this.#bodiless);
    if (head.status < 200) {
      // Nobody has asked for another protocol.
      if (head.status === 101 || ++this.#interim > MAX_INTERIM) throw new AnswerError("interim answers");
      return;
    }
    this.head = head;
    this.#left = head.framing === "length" ? head.length : 0;
    this.done = head.framing === "none" || (head.framing === "length" && head.length === 0);
    if (head.framing === "length") this.#state = STATE.LENGTH;
    else if (head.framing === "close") this.#state = STATE.CLOSE;
    else this.#beginChunk();
  }

  #beginChunk(): void {
    this.#state = STATE.SIZE;
    this.#left = 0;
    this.#digits = 0;
    this.#lineBytes = 0;
    this.#trailerBytes = 0;
  }

  #readCounted(bytes: Buffer, at: number, end: number): number {
    const stop = Math.min(end, at + this.#left);
    this.#left -= stop - at;
    if (this.#left === 0) {
      if (this.#state === STATE.LENGTH) this.done = true;
      else this.#state = STATE.DATA_CR;
    }
    return this.#take(bytes, at, stop, end);
  }

  /** Everything of a chunked body that is not its data, byte by byte. */
  #readFrame(byte: number, at: number): number {
    switch (this.#state) {
      case STATE.SIZE:
        this.#readSize(byte);
        break;
      case STATE.SIZE_BLANK:
        this.#endSize(byte);
        break;
      case STATE.EXTENSION:
        if (byte === CR) this.#state = STATE.SIZE_LF;
        else if (byte === LF || ++this.#lineBytes > MAX_LINE_BYTES) throw new AnswerError("chunk");
        break;
      case STATE.SIZE_LF:
        expect(byte, LF);
        this.#state = this.#left === 0 ? STATE.TRAILER : STATE.DATA;
        break;
      case STATE.DATA_CR:
        expect(byte, CR);
        this.#state = STATE.DATA_LF;
        break;
      case STATE.DATA_LF:
        expect(byte, LF);
        this.#beginChunk();
        break;
      default:
        this.#readTrailer(byte);
    }
    return at + 1;
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > MAX_SIZE_DIGITS) throw new AnswerError("chunk");
      this.#left = this.#left * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw new AnswerError("chunk");
    this.#endSize(byte);
  }

  /** Some upstreams fill their sizes up with blanks. */
  #endSize(byte: number): void {
    if (byte === CR) this.#state = STATE.SIZE_LF;
    else if (byte === 0x3b) this.#state = STATE.EXTENSION;
    else if ((byte === 0x20 || byte === 0x09) && ++this.#lineBytes <= MAX_LINE_BYTES) this.#state = STATE.SIZE_BLANK;
    else throw new AnswerError("chunk");
  }

  /** Trailers are nobody's concern, but where they end is. */
  #readTrailer(byte: number): void {
    if (++this.#trailerBytes > MAX_TRAILER_BYTES) throw new AnswerError("trailers too long");
    switch (this.#state) {
      case STATE.TRAILER:
        this.#state = byte === CR ? STATE.LAST_LF : STATE.TRAILER_LINE;
        if (byte === LF) throw new AnswerError("trailer");
        break;
      case STATE.TRAILER_LINE:
        if (byte === CR) this.#state = STATE.TRAILER_LF;
        else if (byte === LF) throw new AnswerError("trailer");
        break;
      case STATE.TRAILER_LF:
        expect(byte, LF);
        this.#state = STATE.TRAILER;
        break;
      default:
        expect(byte, LF);
        this.done = true;
    }
  }

  /** The bytes [at, stop) are body; a second run in one read begins to gather them, `end` being the most there is. */
  #take(bytes: Buffer, at: number, stop: number, end: number): number {
    if (stop === at) return stop;
    if (this.#runStart < 0) {
      this.#runStart = at;
      this.#runEnd = stop;
      return stop;
    }
    if (this.#out === null) {
      this.#out = Buffer.allocUnsafe(this.#runEnd - this.#runStart + end - at);
      this.#outLength = bytes.copy(this.#out, 0, this.#runStart, this.#runEnd);
    }
    this.#outLength += bytes.copy(this.#out, this.#outLength, at, stop);
    return stop;
  }

  #taken(bytes: Buffer, lent: boolean): Buffer {
    if (this.#out !== null) return this.#out.subarray(0, this.#outLength);
    if (!lent) return bytes.subarray(this.#runStart, this.#runEnd);
    const copy = Buffer.allocUnsafe(this.#runEnd - this.#runStart);
    bytes.copy(copy, 0, this.#runStart, this.#runEnd);
    return copy;
  }
}

/** What cannot become a head need not be waited for: `whole` has no end yet, and was looked at up to `before`. */
function refuseEarly(whole: Buffer, before: number): void {
  const start = Math.min(whole.length, HEAD_START.length);
  if (whole.compare(HEAD_START, 0, start, 0, start) !== 0) throw new AnswerError("status line");
  for (let at = whole.indexOf(LF, before); at >= 0; at = whole.indexOf(LF, at + 1)) {
    if (whole[at - 1] !== CR) throw new AnswerError("header");
  }
}

function expect(byte: number, wanted: number): void {
  if (byte !== wanted) throw new AnswerError("chunk");
}

/** -1 = none. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
