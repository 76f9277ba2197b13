/**
 * A stream that goes on at another target when its own breaks: what the caller has been told so far, and how the
 * next target's events join it. Only for answers that are plain text up to the break; anything else ends with the
 * error, as every stream does.
 */
import type { StreamEncoder } from "../dialects/codec.js";
import { conversationOf } from "../dialects/conversation.js";
import { parseObject } from "../dialects/hub.js";
import type { AnswerEvent } from "../dialects/semantic.js";
import type { Exchange } from "./exchange.js";
import { takeNewBody } from "./new-body.js";

/** A longer answer is not sent along again. */
const MAX_TEXT = 262_144;

type Kind = AnswerEvent["kind"];

/** What cannot be told again to another model. */
const NOT_PLAIN: ReadonlySet<Kind> = new Set<Kind>(["choice", "tool_start", "refusal_start", "media", "foreign"]);
/** Nothing of these may stand inside a block. */
const OUTSIDE_BLOCKS: ReadonlySet<Kind> = new Set<Kind>([
  "text_start",
  "thinking_start",
  "tool_start",
  "refusal_start",
  "media",
  "foreign",
  "stop",
  "end",
]);
const OF_THINKING: ReadonlySet<Kind> = new Set<Kind>(["thinking", "signature", "encrypted"]);

export class Continuation {
  readonly #exchange: Exchange;
  readonly #body: Buffer;
  #encoder: StreamEncoder | null = null;
  #text = "";
  #plain = true;
  /** The caller has been told that an answer begins. */
  #begun = false;
  #stopped = false;
  #open: "text" | "other" | null = null;
  /** The caller has the answer's beginning from an earlier attempt. */
  #resumed = false;
  /** Inside a block that the caller must not see, because its text block is still open. */
  #hiding = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#body = exchange.body;
  }

  /** Is what the caller has got a part of an answer that another model can go on with? */
  get possible(): boolean {
    return this.#plain && !this.#stopped && this.#text.length <= MAX_TEXT;
  }

  /** The model has said why it stops: what is missing is but the end. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** One encoder writes the whole stream, whoever answers. */
  encoder(make: () => StreamEncoder): StreamEncoder {
    this.#encoder ??= make();
    return this.#encoder;
  }

  /** Nothing has reached the caller yet: the next attempt begins the answer. */
  restart(): void {
    this.#encoder = null;
    this.#text = "";
    this.#plain = true;
    this.#begun = false;
    this.#stopped = false;
    this.#open = null;
    this.#resumed = false;
    this.#hiding = false;
  }

  /** Makes the request one for the rest of the answer, which is all of it where nothing was said. False: it cannot be. */
  prepare(): boolean {
    this.#resumed = true;
    this.#hiding = false;
    return this.#text.trim() === "" || this.#askForRest();
  }

  #askForRest(): boolean {
    const { route } = this.#exchange;
    const body = parseObject(this.#body);
    const continued = body === null ? null : (conversationOf(route.dialect.id)?.continued(body, this.#text) ?? null);
    return continued !== null && takeNewBody(this.#exchange, continued) === null;
  }

  /** What the caller is told of an event: itself, something else, or nothing. */
  adapt(event: AnswerEvent): readonly AnswerEvent[] {
    const told = this.#resumed ? this.#joined(event) : [event];
    for (const one of told) this.#note(one);
    return told;
  }

  /** An open text block goes on; thinking about how to go on is not part of the answer. */
  #joined(event: AnswerEvent): readonly AnswerEvent[] {
    const { kind } = event;
    if (kind === "start") return this.#begun ? [] : [event];
    if (this.#hiding) {
      if (kind === "block_stop") this.#hiding = false;
      if (kind === "block_stop" || OF_THINKING.has(kind)) return [];
    }
    if (this.#open === "text") {
      if (kind === "thinking_start") this.#hiding = true;
      if (kind === "thinking_start" || kind === "text_start") return [];
    }
    return this.#open !== null && OUTSIDE_BLOCKS.has(kind) ? [{ kind: "block_stop" }, event] : [event];
  }

  #note(event: AnswerEvent): void {
    const { kind } = event;
    if (NOT_PLAIN.has(kind)) this.#plain = false;
    if (kind === "text") this.#text += event.text;
    else if (kind === "start") this.#begun = true;
    else if (kind === "stop") this.#stopped = true;
    else if (kind === "text_start") this.#open = "text";
    else if (kind === "block_stop") this.#open = null;
    else if (kind.endsWith("_start")) this.#open = "other";
  }
}
