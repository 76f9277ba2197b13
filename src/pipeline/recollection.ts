/**
 * A miss that has to wait: for an equal one that is ahead, for what other nodes have, or for the vector of what it
 * asks. Ends in an answer from the cache, or goes on to the upstream.
 */
import type { Waiting } from "../cache/collapse.js";
import { cacheKey, readKeyedBody } from "../cache/key.js";
import type { RecordingEnd } from "../cache/recording.js";
import { normalized } from "../cache/semantic.js";
import type { EntryMeaning, FoundEntry } from "../cache/entries.js";
import type { SemanticCache } from "../config/traffic.js";
import { type SplitRequest, splitLastTurn } from "../dialects/last-turn.js";
import { type Failure, isFailure } from "../errors.js";
import { answerFromCache } from "./cache-hit.js";
import { type Embedding, embed } from "./embed.js";
import { endFaulty } from "./end-faulty.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import { type LookUp, recordMiss, sharesAnswers } from "./look-up.js";
import type { Node } from "./node.js";
import { waitFor } from "./pending.js";
import type { StageOutcome } from "./pipeline.js";
import { releasePlaces } from "./settle-leases.js";
import { isStrict } from "./translate.js";
import { timeOver } from "./time-over.js";

/** A longer text is no question that comes again in other words; models would cut it, and take it for another's. */
const MAX_TEXT = 32_768;
/** How many may fail ahead of one that waits, before it tries for itself. */
const MAX_LEADERS = 3;
/** A mark of a request without a deadline counts for so long. */
const MARK_MS = 600_000;
const MARK_MARGIN_MS = 1_000;

/** What becomes of the exchange: an answer that was kept, the upstream's, or none. */
type Result = FoundEntry | "miss" | Failure;

export class Recollection implements WorkUnderWay {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #lookUp: LookUp;
  #waiting: Waiting | null = null;
  #embedding: Embedding | null = null;
  #pending: WorkUnderWay | null = null;
  /** Others wait for this one. */
  #leads = false;
  #leaders = 0;
  /** What the answer is counted as. */
  #kind: "hits" | "clusterHits" | "semanticHits" = "hits";
  #meaning: EntryMeaning | null = null;
  #over = false;
  #decide: (result: Result) => void = () => {};

  constructor(exchange: Exchange, node: Node, lookUp: LookUp) {
    this.#exchange = exchange;
    this.#node = node;
    this.#lookUp = lookUp;
  }

  begin(): StageOutcome {
    const result = new Promise<Result>((decide) => {
      this.#decide = decide;
    });
    const outcome = waitFor(this.#exchange, this.#node, result, (decided) => this.#goOn(decided));
    this.#pending = this.#exchange.work;
    this.#exchange.work = this;
    const { reads, stores, chosen } = this.#lookUp;
    if (chosen.policy.collapse && reads && stores) this.#join();
    else this.#askFleet();
    return outcome;
  }

  cancel(): void {
    this.#stop();
    this.#release("failed");
    releasePlaces(this.#exchange, this.#node);
    this.#afterEmbedding(() => this.#pending?.cancel());
  }

  tick(now: number): void {
    if (now >= this.#exchange.deadline) this.#end(timeOver());
    else this.#embedding?.call.tick(now);
  }

  #end(result: Result): void {
    if (this.#over) return;
    this.#stop();
    this.#afterEmbedding(() => this.#decide(result));
  }

  /** What a call that was cut off has used is the request's, too. */
  #afterEmbedding(goOn: () => void): void {
    if (this.#embedding === null) goOn();
    else this.#embedding.vectors.then(goOn).catch((error: unknown) => endFaulty(this.#exchange, this.#node, error));
  }

  /** Nothing that is under way matters any more. */
  #stop(): void {
    this.#over = true;
    this.#waiting?.cancel();
    this.#embedding?.call.cancel();
  }

  #goOn(result: Result): StageOutcome {
    const { counters } = this.#node;
    if (isFailure(result)) {
      this.#release("failed");
      return result;
    }
    if (result !== "miss" && answerFromCache(this.#exchange, this.#node, result)) {
      counters.cache[this.#kind].add(1);
      this.#release("unstorable");
      return "under-way";
    }
    recordMiss(this.#exchange, this.#node, this.#lookUp, {
      meaning: this.#meaning,
      onEnd: (end) => this.#release(end),
    });
    return "next";
  }

  // ---- equal misses ----------------------------------------------------------------------------------

  #join(): void {
    const { deadline } = this.#exchange;
    const left = Math.min(deadline - performance.now(), MARK_MS) + MARK_MARGIN_MS;
    const role = this.#node.cache.collapse.join(this.#lookUp.key, Date.now() + left);
    if (role === "follows") {
      this.#waiting = this.#node.cache.collapse.wait(this.#lookUp.key, (end) =>
        this.#toldSafely(() => this.#told(end)),
      );
      return;
    }
    this.#leads = role === "leads";
    this.#askFleet();
  }

  /** Called by whoever ended, who is no part of this request. */
  #toldSafely(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#node.reportFault(error);
      this.#end("miss");
    }
  }

  /** The one ahead has ended. Where it failed, the next one goes ahead; where nothing may be kept, each goes alone. */
  #told(end: RecordingEnd): void {
    this.#waiting = null;
    if (this.#over) return;
    const found = this.#node.cache.store.get(this.#lookUp.key, Date.now());
    this.#leaders += 1;
    if (found !== null) this.#end(found);
    else if (end === "unstorable" || this.#leaders >= MAX_LEADERS) this.#askFleet();
    else this.#join();
  }

  #release(end: RecordingEnd): void {
    if (!this.#leads) return;
    this.#leads = false;
    this.#node.cache.collapse.end(this.#lookUp.key, end);
  }

  // ---- other nodes -----------------------------------------------------------------------------------

  #askFleet(): void {
    const { key, chosen, reads } = this.#lookUp;
    const { fleet } = this.#node.cache;
    if (fleet === null || !reads || !sharesAnswers(this.#node, this.#lookUp)) {
      this.#search();
      return;
    }
    const question = { key, names: chosen.names, ttlMs: chosen.policy.ttlSeconds * 1_000 };
    this.#waiting = fleet.ask(question, (isThere) => this.#toldSafely(() => this.#fleetTold(isThere)));
    if (this.#waiting === null) this.#search();
  }

  /** Whatever other nodes have is in the memory now. */
  #fleetTold(isThere: boolean): void {
    this.#waiting = null;
    if (this.#over) return;
    const found = isThere ? this.#node.cache.store.get(this.#lookUp.key, Date.now()) : null;
    if (found === null) {
      this.#search();
      return;
    }
    this.#kind = "clusterHits";
    this.#end(found);
  }

  // ---- equal meaning ---------------------------------------------------------------------------------

  #search(): void {
    const { semantic } = this.#lookUp.chosen.policy;
    const split = semantic === null ? null : this.#split();
    if (semantic === null || split === null) {
      this.#end("miss");
      return;
    }
    const own = performance.now() + semantic.embeddingTimeoutMs;
    this.#embedding = embed(this.#exchange, this.#node, {
      model: semantic.embeddingModel,
      texts: [split.text],
      deadline: Math.min(this.#exchange.deadline, own),
    });
    this.#embedding.vectors
      .then((vectors) => this.#compare(semantic, split, vectors?.[0] ?? null))
      .then(
        (found) => {
          if (found !== null) this.#kind = "semanticHits";
          this.#end(found ?? this.#miss());
        },
        (error: unknown) => {
          this.#node.reportFault(error);
          this.#end(this.#miss());
        },
      )
      .catch((error: unknown) => endFaulty(this.#exchange, this.#node, error));
  }

  /** Nobody is asked for an answer when the time for it is over. */
  #miss(): Result {
    return performance.now() < this.#exchange.deadline ? "miss" : timeOver();
  }

  /** Vectors are answers themselves: those of another text are wrong ones. */
  #split(): SplitRequest | null {
    const { route, body } = this.#exchange;
    if (route.operation === "embeddings" || body.length > this.#node.config.pool.inline_bytes) return null;
    const split = splitLastTurn(route.dialect.id, body);
    return split !== null && split.text.length <= MAX_TEXT ? split : null;
  }

  /** A failure of the embedding model is a miss. */
  async #compare(
    semantic: SemanticCache,
    split: SplitRequest,
    embedded: Float32Array | null,
  ): Promise<FoundEntry | null> {
    const vector = embedded === null || this.#over ? null : normalized(embedded);
    const rest = vector === null ? null : readKeyedBody(split.rest);
    if (vector === null || rest === null) return null;
    const { chosen, reads } = this.#lookUp;
    const parts = {
      // Vectors of different models have nothing to do with each other.
      scope: `${chosen.scope}\n${semantic.embeddingModel}`,
      operation: this.#exchange.route.operation,
      strict: isStrict(this.#exchange),
      headers: this.#lookUp.headers,
    };
    const partition = cacheKey(parts, rest);
    this.#meaning = { partition, vector };
    if (!reads) return null;
    const { threshold, maxEntries } = semantic;
    const question = { partition, vector, threshold, policy: chosen.tags.policy, maxEntries };
    return this.#node.cache.semantic.find(question, Date.now());
  }
}
