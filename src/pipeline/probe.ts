/** One small call that tells whether a model is well. It is a real one: it leaves a usage event of its own. */
import { CHAT_DIALECT } from "../dialects/registry.js";
import type { Route } from "./exchange.js";
import type { Node } from "./node.js";
import { callForNobody, type SubCall } from "./sub-call.js";

const CHAT: Route = Object.freeze({
  method: "POST",
  path: "/v1/chat/completions",
  operation: "chat",
  dialect: CHAT_DIALECT,
});

/** No call was made, or its answer did not matter any more. */
export const NOT_PROBED = -1;

export interface ProbeOrder {
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly timeoutMs: number;
}

/** One thread's checks. */
export class Probes {
  readonly #node: Node;
  readonly #calls = new Set<SubCall>();
  #stopped = false;

  constructor(node: Node) {
    this.#node = node;
  }

  /** Resolves with the upstream's status; 0 where it sent none in time; `NOT_PROBED`. Never rejects. */
  async probe({ model, prompt, maxTokens, timeoutMs }: ProbeOrder): Promise<number> {
    const node = this.#node;
    if (this.#stopped) return NOT_PROBED;
    const body = Buffer.from(
      JSON.stringify({ model, messages: [{ role: "user", content: prompt }], max_completion_tokens: maxTokens }),
    );
    const deadline = performance.now() + timeoutMs;
    const call = callForNobody(node.snapshot, node, { route: CHAT, model, body, writtenHere: true, deadline });
    this.#calls.add(call);
    const { usage } = await call.answer;
    this.#calls.delete(call);
    // Not even asked: the model is over a limit of its own, or gone since.
    return usage === null || this.#stopped ? NOT_PROBED : usage.upstream_status;
  }

  /** Calls that have not been settled. */
  get underWay(): number {
    return this.#calls.size;
  }

  /** Cancels what is under way; from now on nothing is asked. */
  stop(): void {
    this.#stopped = true;
    for (const call of this.#calls) call.cancel();
  }
}
