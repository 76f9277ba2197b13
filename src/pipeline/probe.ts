/** One small call that tells whether a model is well. It is a real one: it leaves a usage event of its own. */
import { CHAT_DIALECT } from "../dialects/registry.js";
import { newEventId } from "../usage/event-id.js";
import type { Route } from "./exchange.js";
import type { Node } from "./node.js";
import { SubCall } from "./sub-call.js";

const CHAT: Route = Object.freeze({
  method: "POST",
  path: "/v1/chat/completions",
  operation: "chat",
  dialect: CHAT_DIALECT,
});
const TICK_MS = 100;

export interface ProbeOrder {
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly timeoutMs: number;
}

/** Resolves with the upstream's status; 0 where it sent none in time. Never rejects. */
export async function probe(node: Node, { model, prompt, maxTokens, timeoutMs }: ProbeOrder): Promise<number> {
  const body = Buffer.from(
    JSON.stringify({ model, messages: [{ role: "user", content: prompt }], max_completion_tokens: maxTokens }),
  );
  const principal = { id: newEventId(), snapshot: node.snapshot };
  const call = new SubCall(principal, node, { route: CHAT, model, body, deadline: performance.now() + timeoutMs });
  const timer = setInterval(() => call.tick(performance.now()), TICK_MS);
  const { status, usage } = await call.answer;
  clearInterval(timer);
  return usage?.upstream_status ?? status;
}
