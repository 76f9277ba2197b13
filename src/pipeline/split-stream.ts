/**
 * The same as a stream: the parts' events are told as they come, each under the index that it has in the whole. One
 * stream, one id, one terminator.
 */
import { type Cut, summedUsage } from "../dialects/batch.js";
import { asArray, asCount, asObject, type JsonObject, parseJson } from "../dialects/json-values.js";
import { sseDataBytes } from "../dialects/sse.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { UsageEvent } from "../usage/event.js";
import { leaveEarly } from "./client-left.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import type { Node } from "./node.js";
import { Parts, type PartsOwner } from "./parts.js";
import { refuse } from "./refuse.js";
import { settle } from "./settle.js";
import { settleLeases } from "./settle-leases.js";
import type { Sink } from "./sink.js";
import { PartSink, type PartSinkOwner } from "./part-sink.js";
import { joinedHeaders, totalUsage } from "./split-answer.js";
import { tellFailure } from "./split-failure.js";
import type { SubCallAnswer } from "./sub-call.js";

const EVENT_STREAM = "text/event-stream; charset=utf-8";
const DONE = Buffer.from("[DONE]");

export class SplitStream implements WorkUnderWay, PartsOwner, PartSinkOwner {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #cut: Cut;
  readonly #parts: Parts;
  readonly #usages: UsageEvent[] = [];
  /** Usage as the parts' streams tell it, where the caller wants to read it. */
  readonly #told: (JsonObject | null)[] = [];
  /** What all chunks have in common: that of the first. */
  #head: JsonObject | null = null;
  #writable: (() => void)[] = [];
  #failed: SubCallAnswer | Failure | null = null;
  #failedPart = -1;
  /** An error event has been told. */
  #broken = false;
  #left = false;

  constructor(exchange: Exchange, node: Node, cut: Cut) {
    this.#exchange = exchange;
    this.#node = node;
    this.#cut = cut;
    this.#parts = new Parts(exchange, node, cut, this);
  }

  begin(): void {
    this.#exchange.work = this;
    this.#parts.begin();
  }

  cancel(): void {
    if (this.#left) return;
    this.#left = true;
    leaveEarly(this.#exchange, this.#node);
    this.#parts.stop();
  }

  tick(now: number): void {
    this.#parts.tick(now);
  }

  sinkFor(index: number): Sink {
    return new PartSink(this, index);
  }

  ended(index: number, answer: SubCallAnswer): void {
    if (answer.usage !== null) this.#usages.push(answer.usage);
    const failed = this.#failed;
    if (failed !== null && !isFailure(failed) && index === this.#failedPart) {
      this.#failed = { ...failed, error: answer.error };
    }
    if (answer.error === "" || this.#left || this.#failed !== null || this.#broken) return;
    this.#fail(failure("transport_error"));
  }

  over(): void {
    const exchange = this.#exchange;
    exchange.usage = totalUsage(this.#usages);
    settleLeases(exchange, this.#node);
    if (!this.#left) this.#end();
    settle.run(exchange, this.#node);
  }

  // ---- what the parts' sinks tell -------------------------------------------------------------------

  get closed(): boolean {
    return this.#exchange.sink.closed || this.#failed !== null || this.#broken;
  }

  /** A part was answered with an error before it began to stream. */
  refused(index: number, status: number, headers: readonly string[], body: Buffer): void {
    if (this.closed) return;
    this.#failedPart = index;
    this.#fail({ status, headers, body, error: "upstream_error", usage: null });
  }

  /** Whole events of a part. False: the client is slow. */
  events(index: number, events: readonly Buffer[]): boolean {
    if (this.closed) return true;
    let text = "";
    for (const event of events) text += this.#rewritten(index, event);
    return text === "" || this.#write(text);
  }

  keepWaiting(): void {
    this.#exchange.sink.keepWaiting();
  }

  onWritable(callback: () => void): void {
    this.#writable.push(callback);
    if (this.#writable.length > 1) return;
    this.#exchange.sink.onWritable(() => {
      const callbacks = this.#writable;
      this.#writable = [];
      for (const call of callbacks) call();
    });
  }

  /** The client takes nothing any more, or a part has broken off where no event can say so. */
  aborted(): void {
    if (this.closed || this.#left) return;
    this.#exchange.sink.abort();
    this.cancel();
  }

  // ---- the whole ------------------------------------------------------------------------------------

  #rewritten(index: number, event: Buffer): string {
    const data = sseDataBytes(event);
    if (data.length === 0) return event.toString("utf8");
    if (DONE.equals(data.subarray(0, DONE.length))) return "";
    const chunk = asObject(parseJson(data));
    if (chunk === null) return "";
    if (chunk.error !== undefined && chunk.error !== null) {
      this.#broken = true;
      this.#parts.stop();
      return event.toString("utf8");
    }
    const choices = asArray(chunk.choices);
    const usage = asObject(chunk.usage);
    if (usage !== null) this.#told[index] = usage;
    if (choices.length === 0) return "";
    const { choices: _choices, usage: _usage, ...head } = chunk;
    this.#head ??= head;
    const offset = this.#cut.offset(index);
    const moved = choices.map((choice) => ({ ...asObject(choice), index: asCount(asObject(choice)?.index) + offset }));
    const shown = chunk.usage === undefined ? {} : { usage: null };
    return `data: ${JSON.stringify({ ...this.#head, choices: moved, ...shown })}\n\n`;
  }

  #write(text: string): boolean {
    const exchange = this.#exchange;
    const { sink } = exchange;
    const bytes = Buffer.from(text);
    if (!sink.started) {
      exchange.status = 200;
      exchange.firstByteAt = performance.now();
      sink.start(200, joinedHeaders(exchange, this.#node, EVENT_STREAM));
    }
    exchange.responseBytes += bytes.length;
    return sink.write(bytes);
  }

  #fail(failed: SubCallAnswer | Failure): void {
    this.#failed = failed;
    this.#parts.stop();
  }

  #end(): void {
    const exchange = this.#exchange;
    const { sink } = exchange;
    if (sink.closed) return;
    if (this.#broken) {
      exchange.error = "upstream_error";
      sink.end(null);
      return;
    }
    if (this.#failed !== null) {
      if (!sink.started) tellFailure(exchange, this.#node, this.#failed);
      else refuse(exchange, this.#node, failure("transport_error", "A part of the request could not be answered."));
      return;
    }
    let last = "data: [DONE]\n\n";
    const usage = exchange.view?.usageAsked === true ? this.#totalTold() : null;
    if (usage !== null) last = `data: ${JSON.stringify({ ...this.#head, choices: [], usage })}\n\n${last}`;
    if (!sink.started) sink.start(200, joinedHeaders(exchange, this.#node, EVENT_STREAM));
    exchange.status = 200;
    const bytes = Buffer.from(last);
    exchange.responseBytes += bytes.length;
    sink.end(bytes);
  }

  #totalTold(): JsonObject | null {
    const all = Array.from({ length: this.#cut.parts }, (_, index) => this.#told[index] ?? null);
    return summedUsage(all);
  }
}
