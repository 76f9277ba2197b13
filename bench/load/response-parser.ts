/** What one HTTP/1.1 answer is made of, as it comes in. Byte ranges are valid only during the call. */
export interface ResponseSink {
  onHead(status: number, contentLength: number, closes: boolean): void;
  onBody(bytes: Buffer, start: number, end: number): void;
  onEnd(): void;
}

export class ProtocolError extends Error {}

const HEAD_END = Buffer.from("\r\n\r\n");
const CONTENT_LENGTH = Buffer.from("content-length:");
const TRANSFER_ENCODING = Buffer.from("transfer-encoding:");
const CONNECTION = Buffer.from("connection:");

const HEAD = 0;
const FIXED_BODY = 1;
const CHUNK_SIZE = 2;
const CHUNK_EXTENSION = 3;
const CHUNK_DATA = 4;
const CHUNK_DATA_CR = 5;
const CHUNK_DATA_LF = 6;
const TRAILER = 7;

const MAX_HEAD_BYTES = 65_536;
const CR = 13;
const LF = 10;

/**
 * Minimal response parser for one keep-alive connection without pipelining: content-length and chunked bodies only.
 * Fed in pieces of any size; works on bytes and makes no string, so that the loader can outrun what it measures.
 * Throws ProtocolError for anything it does not understand; the connection is useless from then on.
 */
export class ResponseParser {
  private state = HEAD;
  /** Bytes left of the body or of the current chunk. */
  private remaining = 0;
  private sizeDigits = 0;
  private trailerLineBytes = 0;
  /** Start of a head that was cut by the end of a read. */
  private partialHead: Buffer | null = null;
  private readonly sink: ResponseSink;

  constructor(sink: ResponseSink) {
    this.sink = sink;
  }

  /** True between answers: the connection may be closed or reused. */
  get idle(): boolean {
    return this.state === HEAD && this.partialHead === null;
  }

  /** Reads `bytes[0 … length)`; the buffer is not kept. Bytes after an answer's end are an error (no pipelining). */
  feed(bytes: Buffer, length: number): void {
    let input = bytes;
    let end = length;
    if (this.partialHead !== null) {
      input = Buffer.concat([this.partialHead, bytes.subarray(0, length)]);
      end = input.length;
      this.partialHead = null;
    }
    let at = 0;
    while (at < end) {
      if (this.state === HEAD) {
        if (at > 0) throw new ProtocolError("bytes after the end of the answer");
        at = this.readHead(input, end);
      } else if (this.state === FIXED_BODY) at = this.readFixedBody(input, at, end);
      else if (this.state === CHUNK_DATA) at = this.readChunkData(input, at, end);
      else at = this.readFraming(input, at, end);
    }
  }

  private readHead(input: Buffer, end: number): number {
    const stop = input.indexOf(HEAD_END, 0);
    if (stop < 0 || stop + 4 > end) {
      if (end > MAX_HEAD_BYTES) throw new ProtocolError("endless head");
      this.partialHead = Buffer.from(input.subarray(0, end));
      return end;
    }
    // "HTTP/1.1 200": the version's first letters and three digits are all that is looked at.
    if (input[0] !== 72 || input[4] !== 47 || input[8] !== 32) throw new ProtocolError("not an HTTP answer");
    const status = digit(input, 9) * 100 + digit(input, 10) * 10 + digit(input, 11);
    let contentLength = -1;
    let chunked = false;
    let closes = false;
    for (let line = input.indexOf(LF, 12) + 1; line > 0 && line < stop; line = input.indexOf(LF, line) + 1) {
      const letter = (input[line] as number) | 32;
      if (letter === 99 && startsWith(input, line, CONTENT_LENGTH)) {
        contentLength = decimal(input, line + CONTENT_LENGTH.length);
      } else if (letter === 116 && startsWith(input, line, TRANSFER_ENCODING)) {
        chunked = true;
      } else if (letter === 99 && startsWith(input, line, CONNECTION)) {
        closes = (((input[line + CONNECTION.length + 1] as number) | 32) & 127) === 99;
      }
    }
    if (contentLength < 0 && !chunked) throw new ProtocolError("answer without a length");
    this.sink.onHead(status, contentLength, closes);
    this.remaining = contentLength;
    this.state = chunked ? CHUNK_SIZE : FIXED_BODY;
    this.sizeDigits = 0;
    if (chunked) this.remaining = 0;
    else if (contentLength === 0) this.finish();
    return stop + 4;
  }

  private readFixedBody(input: Buffer, at: number, end: number): number {
    const stop = Math.min(at + this.remaining, end);
    this.remaining -= stop - at;
    this.sink.onBody(input, at, stop);
    if (this.remaining === 0) this.finish();
    return stop;
  }

  private readChunkData(input: Buffer, at: number, end: number): number {
    const stop = Math.min(at + this.remaining, end);
    this.remaining -= stop - at;
    this.sink.onBody(input, at, stop);
    if (this.remaining === 0) this.state = CHUNK_DATA_CR;
    return stop;
  }

  /** Chunk sizes, line ends and trailers, byte by byte: they are few. */
  private readFraming(input: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.state >= CHUNK_SIZE && this.state !== CHUNK_DATA) {
      const byte = input[at++] as number;
      if (this.state === CHUNK_SIZE) this.chunkSizeByte(byte);
      else if (this.state === CHUNK_EXTENSION) {
        if (byte === LF) this.endOfSizeLine();
      } else if (this.state === CHUNK_DATA_CR) {
        if (byte !== CR) throw new ProtocolError("chunk without its line end");
        this.state = CHUNK_DATA_LF;
      } else if (this.state === CHUNK_DATA_LF) {
        if (byte !== LF) throw new ProtocolError("chunk without its line end");
        this.state = CHUNK_SIZE;
        this.sizeDigits = 0;
      } else this.trailerByte(byte);
    }
    return at;
  }

  private chunkSizeByte(byte: number): void {
    const value = hexDigit(byte);
    if (value >= 0) {
      if (++this.sizeDigits > 8) throw new ProtocolError("chunk size too long");
      this.remaining = this.remaining * 16 + value;
    } else if (byte === CR || byte === 59 || byte === 32) this.state = CHUNK_EXTENSION;
    else throw new ProtocolError("malformed chunk size");
  }

  private endOfSizeLine(): void {
    if (this.sizeDigits === 0) throw new ProtocolError("chunk without a size");
    this.trailerLineBytes = 0;
    this.state = this.remaining === 0 ? TRAILER : CHUNK_DATA;
  }

  private trailerByte(byte: number): void {
    if (byte === LF) {
      if (this.trailerLineBytes === 0) this.finish();
      else this.trailerLineBytes = 0;
    } else if (byte !== CR) this.trailerLineBytes++;
  }

  private finish(): void {
    this.state = HEAD;
    this.sink.onEnd();
  }
}

function startsWith(input: Buffer, at: number, name: Buffer): boolean {
  for (let index = 0; index < name.length; index++) {
    const byte = input[at + index] as number;
    const lower = byte >= 65 && byte <= 90 ? byte + 32 : byte;
    if (lower !== name[index]) return false;
  }
  return true;
}

function digit(input: Buffer, at: number): number {
  const value = (input[at] as number) - 48;
  if (!(value >= 0 && value <= 9)) throw new ProtocolError("malformed status");
  return value;
}

function decimal(input: Buffer, from: number): number {
  let at = from;
  while (input[at] === 32) at++;
  let value = 0;
  const first = at;
  for (; at < input.length; at++) {
    const next = (input[at] as number) - 48;
    if (!(next >= 0 && next <= 9)) break;
    value = value * 10 + next;
  }
  if (at === first) throw new ProtocolError("malformed content-length");
  return value;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
