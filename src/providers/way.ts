/** Which of a provider's wires serves a caller best. */
import { type Bridge, bridgeFor } from "../dialects/bridge.js";
import type { DialectId, Operation, WireId } from "../dialects/dialect.js";
import type { ProviderRow, ServedOperation } from "./provider.js";

/** Operations that are one conversation in different words: any of them can stand for any other. */
const CONVERSATIONS: readonly Operation[] = ["chat", "messages", "responses"];

/** Operations that count a conversation's tokens: likewise. */
const COUNTS: readonly Operation[] = ["count_tokens", "input_tokens"];

/** Off the diagonal the wire that says most comes first; a vendor's own wire says more than its compatible one. */
const PREFERENCE: readonly WireId[] = [
  "mistral-completions",
  "gemini",
  "bedrock-converse",
  "cohere-chat",
  "anthropic-messages",
  "openai-chat",
  "openai-responses",
  "cohere-embed",
  "gemini-embeddings",
  "vertex-embeddings",
  "bedrock-embeddings",
  "voyage-embeddings",
  "voyage-rerank",
  "bedrock-rerank",
  "tei-rerank",
  "google-images",
  "bedrock-images",
];

/** A prompt is a conversation of one turn; a conversation is more than a prompt. */
const OF_PROMPTS: readonly Operation[] = ["completions", ...CONVERSATIONS];

/** Operations that are none of these stand for themselves. */
function likeOf(operation: Operation): readonly Operation[] {
  if (COUNTS.includes(operation)) return COUNTS;
  if (operation === "completions") return OF_PROMPTS;
  return CONVERSATIONS.includes(operation) ? CONVERSATIONS : [operation];
}

/** Whoever answers in a dialect that keeps answers is asked about them at the same place. */
function keptBy(row: ProviderRow, operation: Operation): readonly ServedOperation[] | undefined {
  return operation === "responses_items" ? row.serves.responses : undefined;
}

export interface Way {
  readonly served: ServedOperation;
  readonly bridge: Bridge;
}

/** The endpoint of the row that serves an operation best for a caller of this dialect, and how it is reached; null = none. */
export function wayTo(row: ProviderRow, operation: Operation, dialect: DialectId): Way | null {
  const own = (row.serves[operation] ?? keptBy(row, operation))?.find((candidate) => candidate.dialect === dialect);
  const straight = bridgeFor(operation, dialect, dialect);
  if (own !== undefined && straight !== null) return { served: own, bridge: straight };
  const alike = likeOf(operation);
  const others = alike.flatMap((other) => row.serves[other] ?? []);
  for (const wire of PREFERENCE) {
    const served = others.find((candidate) => candidate.dialect === wire);
    const bridge = bridgeFor(operation, dialect, wire);
    // Another operation's endpoint can only stand in where the request is written anew for it.
    if (served !== undefined && bridge?.kind === "hub") return { served, bridge };
  }
  return null;
}
