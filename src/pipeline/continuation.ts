/**
 * A stream that goes on at another target when its own breaks: what the caller has been told so far, and how the
 * next target's events join it. Only for answers that are plain text up to the break; anything else ends with the
 * error, as every stream does.
 */
import type { StreamEncoder } from "../dialects/codec.js";
import { conversationOf, parseBody } from "../dialects/conversation.js";
import type { AnswerEvent } from "../dialects/semantic.js";
import { isFailure } from "../errors.js";
import type { Exchange } from "./exchange.js";

/** A longer answer is not sent along again. */
const MAX_TEXT = 262_144;
/** What cannot be told again to another model, or not in the middle of an answer. */
const NOT_PLAIN: ReadonlySet<AnswerEvent["kind"]> = new Set<AnswerEvent["kind"]>([
  "choice",
  "tool_start",
  "refusal_start",
  "media",
  "foreign",
  "stop",
]);

export class Continuation {
  readonly #exchange: Exchange;
  readonly #body: Buffer;
  #encoder: StreamEncoder | null = null;
  #text = "";
  #plain = true;
  #textOpen = false;
  /** The caller has the answer's beginning from an earlier attempt. */
  #resumed = false;
  /** Inside a block that the caller must not see, because its text block is still open. */
  #hiding = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#body = exchange.body;
  }

  /** Has the caller got a part of an answer that another model can go on with? */
  get possible(): boolean {
    return this.#plain && this.#text !== "" && this.#text.length <= MAX_TEXT;
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
    this.#textOpen = false;
    this.#resumed = false;
    this.#hiding = false;
  }

  /** Makes the request one for the rest of the answer. False: it cannot be. */
  prepare(): boolean {
    const { route, view } = this.#exchange;
    const body = parseBody(this.#body);
    const continued = body === null ? null : (conversationOf(route.dialect.id)?.continued(body, this.#text) ?? null);
    if (continued === null) return false;
    const bytes = Buffer.from(JSON.stringify(continued));
    const next = route.dialect.readRequest(bytes, route.operation, view?.model ?? null);
    if (isFailure(next)) return false;
    this.#exchange.body = bytes;
    this.#exchange.view = next;
    this.#resumed = true;
    return true;
  }

  /** What the caller is told of an event: itself, something else, or nothing. */
  adapt(event: AnswerEvent): readonly AnswerEvent[] {
    const told = this.#resumed ? this.#joined(event) : [event];
    for (const one of told) this.#note(one);
    return told;
  }

  /** The open text block goes on; thinking about how to go on is not part of the answer. */
  #joined(event: AnswerEvent): readonly AnswerEvent[] {
    const { kind } = event;
    if (this.#hiding) {
      if (kind === "block_stop") this.#hiding = false;
      return [];
    }
    if (kind === "start") return [];
    if (!this.#textOpen) return [event];
    if (kind === "thinking_start") {
      this.#hiding = true;
      return [];
    }
    if (kind === "text_start") return [];
    return kind === "tool_start" || kind === "refusal_start" ? [{ kind: "block_stop" }, event] : [event];
  }

  #note(event: AnswerEvent): void {
    if (NOT_PLAIN.has(event.kind)) this.#plain = false;
    else if (event.kind === "text") this.#text += event.text;
    if (event.kind === "text_start") this.#textOpen = true;
    else if (event.kind === "block_stop") this.#textOpen = false;
  }
}
