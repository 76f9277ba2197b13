/** docs/dialects.md: which client dialect reaches which wire, and what each translation can lose. */
import { type BridgeKind, BRIDGES, bridgeFor } from "../../src/dialects/bridge.js";
import type { TargetTraits } from "../../src/dialects/codec.js";
import { type DialectId, DIALECTS, OPERATIONS, TARGET_WIRES, type WireId } from "../../src/dialects/dialect.js";
import { translateRequest } from "../../src/dialects/hub.js";
import { isFailure } from "../../src/errors.js";
import { ANSWER_FEATURES, answerLosses } from "./answer-features.js";
import { FEATURES, type Feature } from "./features.js";
import { OPERATION_FEATURES } from "./operation-features.js";
import { code, GENERATED, table } from "./table.js";

/** What stands behind each wire in the tables of losses: its vendor's own service and a model of today. */
const BEHIND: Readonly<Partial<Record<WireId, readonly [provider: string, model: string]>>> = {
  "openai-chat": ["openai", "gpt-5"],
  "openai-responses": ["openai", "gpt-5"],
  "anthropic-messages": ["anthropic", "claude-sonnet-4-5"],
  gemini: ["gemini", "gemini-2.5-pro"],
  "bedrock-converse": ["bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"],
  "cohere-chat": ["cohere", "command-a-03-2025"],
  "mistral-completions": ["mistral", "codestral-latest"],
  "cohere-embed": ["cohere", "embed-v4.0"],
  "gemini-embeddings": ["gemini", "gemini-embedding-001"],
  "vertex-embeddings": ["vertex", "text-embedding-005"],
  "bedrock-embeddings": ["bedrock", "amazon.titan-embed-text-v2:0"],
  "voyage-embeddings": ["voyage", "voyage-4"],
  "voyage-rerank": ["voyage", "rerank-2.5"],
  "bedrock-rerank": ["bedrock", "cohere.rerank-v3-5:0"],
  "tei-rerank": ["tei", "bge-reranker"],
  "google-images": ["gemini", "gemini-2.5-flash-image"],
  "bedrock-images": ["bedrock", "amazon.nova-canvas-v1:0"],
};
const WIRES: readonly WireId[] = [...DIALECTS, ...TARGET_WIRES];

function traitsOf(wire: WireId): TargetTraits | null {
  const behind = BEHIND[wire];
  if (behind === undefined) return null;
  const [provider, model] = behind;
  const maxTokensField = provider === "openai" ? "max_completion_tokens" : "max_tokens";
  return { provider, model, defaultMaxTokens: 4096, maxTokensField, structuredOutput: "native" };
}

function fateOf(client: DialectId, wire: WireId, feature: Feature): string {
  const traits = traitsOf(wire);
  if (traits === null) return "–";
  const body = Buffer.from(JSON.stringify({ model: "m", ...feature.body }));
  const translation = translateRequest({ client, wire, body, traits, stream: false });
  if (isFailure(translation)) return `refused: ${code(translation.code)}`;
  return translation.losses.length === 0 ? "kept" : [...translation.losses].sort().map(code).join(", ");
}

function matrix(): string {
  const rows: string[][] = [];
  for (const operation of OPERATIONS) {
    for (const client of Object.keys(BRIDGES[operation]) as DialectId[]) {
      const reached = (kind: BridgeKind) => {
        const wires = WIRES.filter((wire) => bridgeFor(operation, client, wire)?.kind === kind);
        return wires.map(code).join(", ") || "–";
      };
      rows.push([code(operation), code(client), reached("passthrough"), reached("hub")]);
    }
  }
  return table(["operation", "client", "passes through to", "is translated to"], rows);
}

/** One table a client: its features by the wires that it reaches through the hub. */
function losses(client: DialectId, features: readonly Feature[]): string {
  const operations = OPERATIONS.filter((operation) => BRIDGES[operation][client] !== undefined);
  const wires = WIRES.filter((wire) => operations.some((name) => bridgeFor(name, client, wire)?.kind === "hub"));
  const rows = features.map((feature) => [feature.name, ...wires.map((wire) => fateOf(client, wire, feature))]);
  return `### ${client}\n\n${table(["a request with", ...wires.map(code)], rows)}`;
}

/** What answers can hold by the dialects of callers. */
function answers(): string {
  const clients = Object.keys(FEATURES) as DialectId[];
  const rows = Object.entries(ANSWER_FEATURES).map(([name, said]) => {
    const fates = clients.map((client) => answerLosses(client, said).whole.map(code).join(", ") || "kept");
    return [name, ...fates];
  });
  return table(["an answer with", ...clients.map(code)], rows);
}

export function dialectsPage(): string {
  const tables = Object.entries({ ...FEATURES, ...OPERATION_FEATURES }).map(([client, features]) =>
    losses(client as DialectId, features),
  );
  const behind = Object.entries(BEHIND).map(([wire, [, model]]) => `${code(wire)}: ${model}`);
  const written = "What is no conversation (vectors, rankings, images) has a codec for each pair of dialect and wire.";
  return `# Dialects

${GENERATED}

A caller speaks a client dialect, an upstream a wire. Where both are one, the request **passes through**: its bytes are
changed only where the gateway must (the model's name, asking for usage), and every field survives. Everywhere else it
goes through the **hub**: it is read for what it means and written anew in the target's words, and so is the answer.
${written}

${matrix()}

## What translation can lose

What a target cannot express is never dropped silently: its name stands in the \`x-weir-losses\` header, in the metric
\`weir_losses_total\` and in the usage event. In strict mode (\`strict\` of a key or model, or the header \`x-weir-strict\`)
such a request is refused instead, with \`unsupported_operation\` and the list.

The tables say for each feature what becomes of it: kept, or the names of the losses. What a model takes depends on the
model; behind the tables stand ${behind.join(", ")}.

${tables.join("\n\n")}

## What answers can lose

The same holds for answers, whatever wire they come from. What an answer loses joins what its request lost: in the
usage event and the metric always, in the \`x-weir-losses\` header where the answer is not streamed, since a stream's head
leaves before its answer has come. An answer's loss never becomes an error: strict mode is about requests.

What another vendor's own blocks say stays in chat answers under \`extra_content\`, by wire, and goes back to that vendor
with the history. Words alone are not enough: a refusal's words without their mark, a link for an image, are losses.

${answers()}

A wire can also say what the gateway has no place for (\`trace\`, \`container\`, \`stop_details\`, \`phase\`, members that a
look-alike added): each is named the same way. No losses are ids, fingerprints, timings, echoed settings, counts beyond
the usage, and notes of a filter that found nothing.
`;
}
