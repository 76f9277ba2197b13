/** A semantic model: the meaning of what the user said last decides which model answers. */
import type { SemanticModel } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import { conversationOf } from "../dialects/conversation.js";
import { parseObject } from "../dialects/hub.js";
import { failure, isFailure } from "../errors.js";
import { chooseRoute, type ExampleVectors, normalized } from "../routing/semantic-route.js";
import { admitChosen } from "./admit.js";
import { type Embedding, embed } from "./embed.js";
import { beginEnsemble } from "./ensemble-run.js";
import { examplesOf } from "./examples.js";
import { endFaulty } from "./end-faulty.js";
import { leaveEarly } from "./client-left.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { boundTime, mayNotUse, sendTo } from "./send-to.js";
import { settle } from "./settle.js";
import { voidAdmission } from "./settle-leases.js";
import { timeOver } from "./time-over.js";

/** Longer texts are known by their beginning. */
const MAX_TEXT = 8_192;
const HALF_A_PAIR = /[\uD800-\uDBFF]$/;

export function beginSemantic(exchange: Exchange, node: Node, entry: SemanticModel): StageOutcome {
  const body = parseObject(exchange.body);
  if (body === null) return failure("invalid_request_error", "The body is not a JSON object.");
  const text = conversationOf(exchange.route.dialect.id)?.lastUserText(body) ?? "";
  // Nothing was said in words: no meaning to go by.
  if (text.trim() === "") return sendOn(exchange, node, entry.semantic.defaultTarget);
  new SemanticRun(exchange, node, entry).begin(text.slice(0, MAX_TEXT).replace(HALF_A_PAIR, ""));
  return "under-way";
}

/** To the model that was chosen, which may itself be an ensemble. */
function sendOn(exchange: Exchange, node: Node, name: string): StageOutcome {
  const model = exchange.snapshot.findModel(name);
  if (model === undefined) return sendTo(exchange, node, name);
  return admitChosen(exchange, node, model, (refusal) => {
    if (refusal === null) return sendToChosen(exchange, node, model);
    // Not even a vector has been asked for: it has never been admitted.
    if (exchange.attempts === 0) voidAdmission(exchange, node);
    return refusal;
  });
}

function sendToChosen(exchange: Exchange, node: Node, model: ResolvedModel): StageOutcome {
  if (model.entry.kind !== "ensemble") return sendTo(exchange, node, model.name);
  if (mayNotUse(exchange, model)) return failure("ip_restricted");
  boundTime(exchange, model);
  return beginEnsemble(exchange, node, model.entry);
}

class SemanticRun implements WorkUnderWay {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #entry: SemanticModel;
  #deadline = Number.POSITIVE_INFINITY;
  #embedding: Embedding | null = null;
  readonly #endFaulty = (error: unknown): void => endFaulty(this.#exchange, this.#node, error);
  #left = false;
  #decided = false;

  constructor(exchange: Exchange, node: Node, entry: SemanticModel) {
    this.#exchange = exchange;
    this.#node = node;
    this.#entry = entry;
  }

  begin(text: string): void {
    const exchange = this.#exchange;
    exchange.work = this;
    const { embeddingModel, embeddingTimeoutMs } = this.#entry.semantic;
    const own = embeddingTimeoutMs > 0 ? performance.now() + embeddingTimeoutMs : Number.POSITIVE_INFINITY;
    this.#deadline = Math.min(exchange.deadline, own);
    this.#embedding = embed(exchange, this.#node, { model: embeddingModel, texts: [text], deadline: this.#deadline });
    const examples = examplesOf(exchange, this.#node, this.#entry);
    Promise.all([this.#embedding.vectors, examples])
      .then(([vectors, known]) => this.#goOn(vectors?.[0] ?? null, known))
      .catch(this.#endFaulty);
  }

  /** Settled when the embedding call is, whose tokens are the request's. */
  cancel(): void {
    if (this.#left) return;
    this.#left = true;
    leaveEarly(this.#exchange, this.#node);
    this.#embedding?.call.cancel();
    this.#embedding?.vectors.then(() => settle.run(this.#exchange, this.#node)).catch(this.#endFaulty);
  }

  tick(now: number): void {
    this.#embedding?.call.tick(now);
    // The examples are not this request's to cancel: it goes on without them.
    if (now >= this.#deadline) this.#embedding?.vectors.then(() => this.#goOn(null, null)).catch(this.#endFaulty);
  }

  #goOn(vector: Float32Array | null, examples: ExampleVectors | null): void {
    if (this.#left || this.#decided) return;
    this.#decided = true;
    const outcome = this.#outcomeOf(vector, examples);
    if (!isFailure(outcome)) return;
    refuse(this.#exchange, this.#node, outcome);
    settle.run(this.#exchange, this.#node);
  }

  #outcomeOf(vector: Float32Array | null, examples: ExampleVectors | null): StageOutcome {
    try {
      const text = vector === null ? null : normalized(vector);
      if (text === null || examples === null) return this.#withoutMeaning();
      const { target } = chooseRoute(this.#entry.semantic, examples, text);
      return sendOn(this.#exchange, this.#node, target);
    } catch (error) {
      this.#node.reportFault(error);
      return failure("internal_error");
    }
  }

  /** The embedding model did not answer, or with vectors that point nowhere. */
  #withoutMeaning(): StageOutcome {
    const { onEmbeddingFailure, defaultTarget } = this.#entry.semantic;
    if (performance.now() >= this.#exchange.deadline) return timeOver();
    if (onEmbeddingFailure.action === "fail") {
      return failure("transport_error", "The embedding model that chooses the answering model did not answer.");
    }
    const name = onEmbeddingFailure.action === "target" ? onEmbeddingFailure.target : defaultTarget;
    return sendOn(this.#exchange, this.#node, name);
  }
}
