/**
 * What is done to an upstream's bytes before anybody reads them: event streams of another framing become
 * server-sent events, errors of another wire the dialect's own, and what a provider key says of answers is done.
 */
import type { ResponseOverrides } from "../config/resources.js";
import { DecodeError, type WireEvent } from "../dialects/codec.js";
import { clientCodecOf, targetCodecOf } from "../dialects/codecs.js";
import type { DialectId, WireId } from "../dialects/dialect.js";
import { isObject, parseObject } from "../dialects/json.js";
import { AnswerRewriter } from "./answer-overrides.js";
import { EventStreamDecoder } from "./framing/event-stream.js";
import { sseOfInvokeModel } from "./framing/invoke-model.js";

/** Both throw DecodeError for bytes that cannot be read. */
export interface AnswerFilter {
  /** Content type of what comes out. */
  readonly contentType: string;
  /** What these bytes give; null = nothing yet. */
  push(chunk: Buffer): Buffer | null;
  /** The upstream has ended: what is left. */
  end(): Buffer | null;
}

/** The part of an answer's head that a filter is chosen by. */
export interface FilteredHead {
  readonly status: number;
  readonly contentType: string;
  readonly requestId: string;
}

/** What a target says of its answers. */
export interface AnswerRules {
  readonly dialect: WireId;
  readonly errors: WireId | null;
  readonly overrides: ResponseOverrides | null;
}

const SSE = "text/event-stream; charset=utf-8";
const EVENT_STREAM = "application/vnd.amazon.eventstream";
/** Longer answers are not rewritten; nothing near it comes from a model. */
const MAX_HELD_BYTES = 32 * 1024 * 1024;

/** The filter for an answer; null = it is read as it comes. */
export function answerFilter(rules: AnswerRules, head: FilteredHead): AnswerFilter | null {
  if (head.status >= 400) return rules.errors === null ? null : new ErrorFilter(rules.dialect, rules.errors, head);
  if (head.status >= 300) return null;
  const type = head.contentType.toLowerCase();
  if (type.startsWith(EVENT_STREAM)) return new EventStreamFilter(rules.dialect);
  if (rules.overrides === null || rules.dialect !== "openai-chat") return null;
  const rewriter = new AnswerRewriter(rules.overrides);
  return type.startsWith("text/event-stream") ? new StreamFilter(rewriter) : new WholeFilter(rewriter, head);
}

/** Frames → server-sent events of the target's wire. */
class EventStreamFilter implements AnswerFilter {
  readonly contentType = SSE;
  readonly #decoder = new EventStreamDecoder();
  readonly #render: (event: WireEvent) => string;

  constructor(dialect: WireId) {
    this.#render = dialect === "bedrock-converse" ? sseOf : sseOfInvokeModel;
  }

  push(chunk: Buffer): Buffer | null {
    let text = "";
    for (const event of this.#decoder.push(chunk)) text += this.#render(event);
    return text === "" ? null : Buffer.from(text);
  }

  end(): null {
    this.#decoder.finish();
    return null;
  }
}

const EVENT_NAME = /^[A-Za-z0-9_.]{1,64}$/;

function sseOf({ event, data }: WireEvent): string {
  if (!EVENT_NAME.test(event)) throw new DecodeError("A stream event has no proper name.");
  // A line break would end the data; JSON has none that matter.
  return `event: ${event}\ndata: ${data.replace(/[\r\n]+/g, " ")}\n\n`;
}

/** Holds an answer until it is whole. */
class Held {
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_HELD_BYTES) throw new DecodeError("The answer is too large to be rewritten.");
    this.#pieces.push(chunk);
  }

  whole(): Buffer {
    return this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
  }
}

/** An error of another wire → the envelope of the target's dialect; one that has that envelope already stays. */
class ErrorFilter implements AnswerFilter {
  readonly contentType = "application/json";
  readonly #held = new Held();
  readonly #dialect: WireId;
  readonly #errors: WireId;
  readonly #head: FilteredHead;

  constructor(dialect: WireId, errors: WireId, head: FilteredHead) {
    this.#dialect = dialect;
    this.#errors = errors;
    this.#head = head;
  }

  push(chunk: Buffer): null {
    this.#held.add(chunk);
    return null;
  }

  end(): Buffer {
    const bytes = this.#held.whole();
    const text = bytes.toString("utf8");
    const body = parseObject(text);
    if (body !== null && isObject(body.error) && typeof body.error.type === "string") return bytes;
    const error = targetCodecOf(this.#errors).decodeError(this.#head.status, body, text);
    const envelope = clientCodecOf(this.#dialect as DialectId).encodeError(error, this.#head.requestId);
    return Buffer.from(JSON.stringify(envelope));
  }
}

/** A whole answer, changed. */
class WholeFilter implements AnswerFilter {
  readonly contentType: string;
  readonly #held = new Held();
  readonly #rewriter: AnswerRewriter;

  constructor(rewriter: AnswerRewriter, head: FilteredHead) {
    this.contentType = head.contentType;
    this.#rewriter = rewriter;
  }

  push(chunk: Buffer): null {
    this.#held.add(chunk);
    return null;
  }

  end(): Buffer {
    const bytes = this.#held.whole();
    const text = bytes.toString("utf8");
    const changed = this.#rewriter.whole(text);
    return changed === text ? bytes : Buffer.from(changed);
  }
}

/** A stream of server-sent events, changed event by event. */
class StreamFilter implements AnswerFilter {
  readonly contentType = SSE;
  readonly #rewriter: AnswerRewriter;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(rewriter: AnswerRewriter) {
    this.#rewriter = rewriter;
  }

  push(chunk: Buffer): Buffer | null {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_HELD_BYTES) throw new DecodeError("An event of the stream is too long.");
    // Only a line's end can end an event: joining the pieces at every chunk would be quadratic.
    if (!chunk.includes(0x0a) && !chunk.includes(0x0d)) return null;
    const bytes = this.#taken();
    const end = this.#rewriter.eventsEnd(bytes);
    if (end < bytes.length) {
      this.#pieces = [bytes.subarray(end)];
      this.#bytes = bytes.length - end;
    }
    const text = end === 0 ? "" : this.#rewriter.events(bytes.subarray(0, end));
    return text === "" ? null : Buffer.from(text);
  }

  end(): Buffer | null {
    const text = this.#rewriter.events(this.#taken()) + this.#rewriter.close();
    return text === "" ? null : Buffer.from(text);
  }

  #taken(): Buffer {
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    return bytes;
  }
}
