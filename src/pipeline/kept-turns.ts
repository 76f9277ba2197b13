/**
 * Conversations kept on the node, for providers that keep none: a follow-up gets what came before, an answer that is
 * kept here is put away before its last bytes leave, and is read and deleted by its id.
 */
import {
  deletedAnswer,
  inputItems,
  inputItemsPage,
  keepableAnswer,
  readKeeping,
  withHistory,
} from "../dialects/kept-turn.js";
import { isKeptId } from "../dialects/kept-id.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { answerHere } from "./answer-here.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import type { Sink } from "./sink.js";

/** What a request that may be kept goes on from. */
export interface KeepingTurn {
  /** "" = nothing that is kept here. */
  readonly previous: string;
  /** The caller says that the answer shall be kept. */
  readonly demanded: boolean;
  /** The request as it was answered, before the gateway's own additions; null = not sent yet. */
  body: Buffer | null;
}

/** Puts the kept conversation before the request's own input. */
export function continueTurn(exchange: Exchange, node: Node): Failure | null {
  const { route } = exchange;
  if (node.turns === null || route.dialect.keepsTurns !== true) return null;
  const { previous, declined, demanded } = readKeeping(exchange.body);
  if (previous !== "") {
    const found = node.turns.get(exchange.keyResource?.name ?? "", previous, Date.now());
    if (found === null) return notKept("previous_response_id");
    const body = withHistory(exchange.body, found);
    if (isFailure(body)) return body;
    const more = body.length - exchange.body.length;
    if (body.length > node.config.limits.body_bytes) return failure("request_too_large");
    if (more > 0 && !node.takeBodyMemory(exchange, more)) return failure("overloaded");
    exchange.body = body;
  }
  if (route.operation !== "responses") return null;
  if (!declined) {
    exchange.turn = { previous, demanded, body: null };
    exchange.sink = new KeepingSink(exchange, node);
  }
  return null;
}

/** Puts an answer away, if it bears an id of the gateway's. `last`: its last bytes, the whole of one that is no stream. */
export function keepTurn(exchange: Exchange, node: Node, last: Buffer): void {
  if (exchange.turn === null || node.turns === null) return;
  const answer = keepableAnswer(last, exchange.view?.stream === true);
  if (answer === null) return;
  const input = inputItems(exchange.turn.body ?? exchange.body);
  if (input === null) return;
  node.turns.put(exchange.keyResource?.name ?? "", answer.id, { input, answer: answer.body }, Date.now());
}

function notKept(param: string): Failure {
  const message = "The response is not kept any more, or never was for this API key. Send the whole conversation.";
  return failure("invalid_request_error", message, param);
}

/** The caller's side of an exchange whose answer may be kept. */
class KeepingSink implements Sink {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #sink: Sink;

  constructor(exchange: Exchange, node: Node) {
    this.#exchange = exchange;
    this.#node = node;
    this.#sink = exchange.sink;
  }

  get closed(): boolean {
    return this.#sink.closed;
  }

  get started(): boolean {
    return this.#sink.started;
  }

  answer(status: number, headers: readonly string[], body: string | Buffer): void {
    if (status === 200) keepTurn(this.#exchange, this.#node, typeof body === "string" ? Buffer.from(body) : body);
    this.#sink.answer(status, headers, body);
  }

  start(status: number, headers: readonly string[]): void {
    this.#sink.start(status, headers);
  }

  write(chunk: Buffer | string): boolean {
    return this.#sink.write(chunk);
  }

  keepWaiting(): void {
    this.#sink.keepWaiting();
  }

  onWritable(callback: () => void): void {
    this.#sink.onWritable(callback);
  }

  end(chunk: Buffer | null): void {
    if (chunk !== null && this.#exchange.view?.stream === true) keepTurn(this.#exchange, this.#node, chunk);
    this.#sink.end(chunk);
  }

  abort(): void {
    this.#sink.abort();
  }
}

// ---- by id -------------------------------------------------------------------------------------------

/** Is the request about an answer that the gateway keeps itself? */
export function concernsTurn({ route, pathParameter }: Exchange): boolean {
  return route.operation === "responses_items" && isKeptId(pathParameter);
}

export function answerTurn(exchange: Exchange, node: Node): StageOutcome {
  const body = turnAnswer(exchange, node);
  if (isFailure(body)) return body;
  return answerHere(exchange, node, body);
}

function turnAnswer(exchange: Exchange, { turns }: Node): string | Buffer | Failure {
  const { route, pathParameter: id, method, query } = exchange;
  const apiKey = exchange.keyResource?.name ?? "";
  const now = Date.now();
  const kept = turns?.get(apiKey, id, now) ?? null;
  if (turns === null || kept === null) return notKept("id");
  if (method === "delete") {
    turns.delete(apiKey, id, now);
    return deletedAnswer(id);
  }
  if (route.path.endsWith("/cancel")) {
    return failure("invalid_request_error", "Only responses that are made in the background can be cancelled.", "id");
  }
  return route.path.endsWith("/input_items") ? inputItemsPage(id, kept.input, query) : kept.answer;
}
