/** docs/providers.md: every provider of the catalog, and what it serves in which way. */
import { ROUTES } from "../../src/acceptor/routes.js";
import { COUNTING as COUNTED, type DialectId, KEYED, type Operation, type WireId } from "../../src/dialects/dialect.js";
import { CATALOG } from "../../src/providers/catalog.js";
import type { ProviderRow } from "../../src/providers/provider.js";
import { wayTo } from "../../src/providers/way.js";
import { code, GENERATED, table } from "./table.js";

/** Operations that reach an upstream, and the dialect in which callers ask for them. */
const ASKED: ReadonlyMap<Operation, DialectId> = new Map(
  ROUTES.filter(({ operation }) => operation !== "models").map(({ operation, dialect }) => [operation, dialect.id]),
);
const SPOKEN: ReadonlySet<Operation> = new Set<Operation>(["chat", "messages", "responses", "completions"]);

/** By what they are about, so that no table is too wide. */
const TABLES: readonly (readonly Operation[])[] = [
  operationsThat((operation) => SPOKEN.has(operation) || COUNTED.has(operation)),
  operationsThat((operation) => !SPOKEN.has(operation) && !COUNTED.has(operation) && !passesByKey(operation)),
  operationsThat(passesByKey),
];

function operationsThat(fits: (operation: Operation) => boolean): readonly Operation[] {
  return [...ASKED.keys()].filter(fits);
}

/** Does the request go to a provider key, whatever the model? */
function passesByKey(operation: Operation): boolean {
  return KEYED.has(operation) || operation === "passthrough";
}

const AUTH: Readonly<Record<ProviderRow["auth"], string>> = {
  bearer: "Bearer",
  "x-api-key": "x-api-key",
  "api-key": "api-key",
  "x-goog-api-key": "x-goog-api-key",
  credentials: "credentials",
  none: "none",
};
const SEVERAL_PARTS: Readonly<Partial<Record<ProviderRow["family"], string>>> = {
  bedrock: "SigV4 or Bearer",
  vertex: "OAuth token",
  "azure-openai": "api-key or Entra ID token",
};

function served(row: ProviderRow, operation: Operation): string {
  if (passesByKey(operation) && row.family === "simulator") return "none";
  if (operation === "passthrough") return "native";
  const way = wayTo(row, operation, ASKED.get(operation) as DialectId);
  if (way !== null) return way.bridge.kind === "passthrough" ? "native" : `translated (${way.served.dialect})`;
  if (operation === "responses_items" && isKept(row)) return "kept";
  return COUNTED.has(operation) ? "estimate" : "none";
}

/** The gateway keeps what it translates: such a provider keeps no responses. */
function isKept(row: ProviderRow): boolean {
  return wayTo(row, "responses", ASKED.get("responses") as DialectId)?.bridge.kind === "hub";
}

function addressOf(row: ProviderRow): string {
  if (row.family === "simulator") return "built in";
  const url = row.baseUrl ?? row.regionUrl?.("{region}") ?? null;
  return url === null ? "as configured" : code(url);
}

function authOf(row: ProviderRow): string {
  const ways = new Set([SEVERAL_PARTS[row.family] ?? AUTH[row.auth]]);
  for (const entry of Object.values(row.serves).flat()) if (entry.auth !== undefined) ways.add(AUTH[entry.auth]);
  const text = [...ways].join(", ");
  return row.keyOptional === true && row.auth !== "credentials" && row.auth !== "none" ? `${text} or none` : text;
}

/** Every wire of the row, the operations' own first. */
function wiresOf(row: ProviderRow): string {
  const wires = new Set<WireId>(Object.values(row.serves).flatMap((list) => list.map(({ dialect }) => dialect)));
  return [...wires].map(code).join(", ");
}

function environmentOf(row: ProviderRow): string {
  if (row.environment === null) return "–";
  return `${code(row.environment.key)}, ${code(row.environment.baseUrl)}`;
}

const COUNTING = `## Counting tokens

\`count_tokens\` (messages callers), \`input_tokens\` (responses callers) and \`tokenize\` work for every model and use no tokens.

- **Whose count it is.** Where the table says native or translated, the provider's own counter is asked, under every
  control and with a usage event; a translated way sends it the request that the model would get. Elsewhere, and where
  the provider turns out not to count for the model, the gateway counts with a vocabulary of its own and says so with the
  header \`x-weir-estimated: true\`.
- **What "turns out" means.** On a way whose request had to be made for the counter: 403, 404, 405, 501, and 400 where it
  says that the model cannot be counted for or that the prompt is too long for the counter. The event then has that
  \`upstream_status\` beside the \`status\` 200. Every other error reaches the caller, in the envelope of its dialect; so
  does every error of a native counter that answers in the caller's own words. After 404, 405 or 501 that counter is not
  asked again for the model for ten minutes, unless the configuration is reloaded.
- **State.** The gateway cannot count what it does not see: a \`previous_response_id\` that a provider keeps, \`conversation\`, \`prompt\` and
  references to items get 400 and the name of the field, unless the provider counts in the caller's own words.
- \`bedrock\` and \`bedrock-anthropic\` count for models, not for inference profiles across regions: the prefix (\`us.\`,
  \`eu.\`, \`global.\`, …) is left out of the counter's path. Profiles named by an ARN get an estimate.
- \`POST /tokenize\` takes \`prompt\` (a text) or \`messages\` and answers \`count\`, \`max_model_len\`, \`tokens\` and, with
  \`return_token_strs\`, \`token_strs\`. In an estimate the tokens are those of the gateway's vocabulary: no special tokens are
  added whatever \`add_special_tokens\` says, messages are read without the model's chat template, \`max_model_len\` is null,
  and of a text of more than 1,048,576 characters, or one that takes too long, \`tokens\` is null and \`count\` is extrapolated.
`;

const LISTS = `## Lists

A list of inputs that is longer than one call of the provider takes is cut, answered in parts, at most four at once, and
put together again: embeddings by the bound that the vendor names (\`inputsPerCall\` of the catalog), and several
\`prompt\`s of a completions request one by one where the provider has chat only, streamed or not. The outputs keep their
order, the usage is summed, each call leaves a usage event, and limits count the request once. Where one call fails the
caller gets that failure and nothing else. A request that would take more than 2,048 calls is refused.

- Token numbers among the inputs of an embeddings request are read as \`cl100k_base\`, the vocabulary of the dialect's
  embedding models, where the wire takes text only. As prompts of a completions request they are refused there: nobody
  knows whose they are.
- Vectors come as the caller asks, as numbers or in base64, whatever the wire has. Where an upstream does not say how many
  tokens it read, the answer has no \`usage\` and the event an estimate.
- Rerank takes documents as texts or as objects with a \`text\` (or the \`rank_fields\` that are named), and puts them into
  the results with \`return_documents\`, also where the vendor has no such thing any more.
- Images of models that speak no dialect of callers come by value, whole: \`response_format: url\`, \`stream\`, and more
  images than a call makes are refused. A size is told as the nearest shape where a model takes no pixels, a loss.
`;

export function providersPage(): string {
  const matrices = TABLES.map((operations) => {
    const rows = CATALOG.map((row) => [code(row.id), ...operations.map((operation) => served(row, operation))]);
    return table(["provider", ...operations], rows);
  });
  const facts = CATALOG.map((row) => [
    code(row.id),
    code(row.family),
    addressOf(row),
    authOf(row),
    wiresOf(row),
    environmentOf(row),
  ]);
  return `# Providers

${GENERATED}

## What each serves

**native**: in the caller's own dialect; the bytes pass. **translated**: by way of what the request means, on the wire in
brackets; [docs/dialects.md](dialects.md) says what each translation can lose. **estimate**: counted by the gateway
itself and flagged as such. **kept**: the provider keeps nothing, the gateway does, and answers itself. **none**: a request for it is refused with 400 \`unsupported_operation\`, which names what the
model, or the provider key, does serve.

${matrices.join("\n\n")}

${COUNTING}
${LISTS}
## Where each is and how it is let in

\`api_base\` of a provider key replaces the address, in any of its usual spellings. The variables make a provider reachable
in the embedded default, when the gateway is started without resources.

${table(["provider", "family", "address", "secret", "wires", "environment"], facts)}

- \`azure-openai\` has two forms: \`/openai/v1\`, and, with an \`api_version\` that is a date,
  \`/openai/deployments/{model}/…\` with responses beside them. The model's name is the deployment's.
- \`bedrock\` reaches every model by Converse; \`bedrock-anthropic\` reaches Claude by InvokeModel, in its own words. Both
  frame their streams otherwise; callers get server-sent events.
- \`vertex\` and \`vertex-anthropic\` need a project and a region; \`global\`, \`us\` and \`eu\` have hosts of their own.
- \`mistral\` has completions for its models of code, which fill in what stands between \`prompt\` and \`suffix\`; its others
  are asked in chat, and a \`suffix\` is a loss.
- A provider that is not in the catalog is reached with the \`adapter\` of its family and an \`api_base\`.
- Errors of \`bedrock-anthropic\` and \`vertex-anthropic\` are the clouds' own; they are put into the envelope of the
  messages dialect, status and message kept.

Credentials of several parts and changes to requests and answers: [docs/resources.md](resources.md).
`;
}
