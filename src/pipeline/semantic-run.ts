/** A semantic model: the meaning of what the user said last decides which model answers. */
import type { SemanticModel } from "../config/resources.js";
import { conversationOf, parseBody } from "../dialects/conversation.js";
import { failure, isFailure } from "../errors.js";
import { chooseRoute, type ExampleVectors, normalized } from "../routing/semantic-route.js";
import { type Embedding, embed } from "./embed.js";
import { beginEnsemble } from "./ensemble-run.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { sendTo } from "./send-to.js";
import { settle } from "./settle.js";

/** Longer texts are known by their beginning. */
const MAX_TEXT = 8_192;

/** Vectors of a model's examples; gone with the snapshot that holds the model. */
const examplesOf = new WeakMap<SemanticModel, ExampleVectors>();

export function beginSemantic(exchange: Exchange, node: Node, entry: SemanticModel): StageOutcome {
  const body = parseBody(exchange.body);
  if (body === null) return failure("invalid_request_error", "The body is not a JSON object.");
  const text = conversationOf(exchange.route.dialect.id)?.lastUserText(body) ?? "";
  // Nothing was said in words: no meaning to go by.
  if (text.trim() === "") return sendOn(exchange, node, entry.semantic.defaultTarget);
  new SemanticRun(exchange, node, entry).begin(text.slice(0, MAX_TEXT));
  return "under-way";
}

/** To the model that was chosen, which may itself be an ensemble. */
function sendOn(exchange: Exchange, node: Node, name: string): StageOutcome {
  const entry = exchange.snapshot.findModel(name)?.entry;
  return entry?.kind === "ensemble" ? beginEnsemble(exchange, node, entry) : sendTo(exchange, node, name);
}

class SemanticRun implements WorkUnderWay {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #entry: SemanticModel;
  #embedding: Embedding | null = null;
  #left = false;

  constructor(exchange: Exchange, node: Node, entry: SemanticModel) {
    this.#exchange = exchange;
    this.#node = node;
    this.#entry = entry;
  }

  begin(text: string): void {
    const exchange = this.#exchange;
    exchange.work = this;
    const { semantic } = this.#entry;
    const known = examplesOf.get(this.#entry);
    const examples = known === undefined ? semantic.routes.flatMap((route) => route.examples) : [];
    const own = performance.now() + semantic.embeddingTimeoutMs;
    this.#embedding = embed(exchange, this.#node, {
      model: semantic.embeddingModel,
      texts: [text, ...examples],
      deadline: Math.min(exchange.deadline, own),
    });
    void this.#embedding.vectors.then((vectors) => this.#goOn(vectors, known));
  }

  cancel(): void {
    this.#left = true;
    this.#embedding?.call.cancel();
    this.#exchange.status = 499;
    this.#exchange.error = "client_closed_request";
    settle.run(this.#exchange, this.#node);
  }

  tick(now: number): void {
    this.#embedding?.call.tick(now);
  }

  #goOn(vectors: readonly Float32Array[] | null, known: ExampleVectors | undefined): void {
    if (this.#left) return;
    const outcome = this.#outcomeOf(vectors, known);
    if (!isFailure(outcome)) return;
    refuse(this.#exchange, this.#node, outcome);
    settle.run(this.#exchange, this.#node);
  }

  #outcomeOf(vectors: readonly Float32Array[] | null, known: ExampleVectors | undefined): StageOutcome {
    try {
      const text = vectors === null ? null : normalized(vectors[0] as Float32Array);
      const examples = vectors === null ? null : (known ?? this.#examplesFrom(vectors.slice(1)));
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
    if (onEmbeddingFailure.action === "fail") {
      return failure("transport_error", "The embedding model that chooses the answering model did not answer.");
    }
    const name = onEmbeddingFailure.action === "target" ? onEmbeddingFailure.target : defaultTarget;
    return sendOn(this.#exchange, this.#node, name);
  }

  #examplesFrom(vectors: readonly Float32Array[]): ExampleVectors | null {
    const all = vectors.map(normalized);
    if (all.includes(null)) return null;
    let from = 0;
    const examples = this.#entry.semantic.routes.map((route) => {
      const own = all.slice(from, from + route.examples.length) as Float32Array[];
      from += route.examples.length;
      return own;
    });
    examplesOf.set(this.#entry, examples);
    return examples;
  }
}
