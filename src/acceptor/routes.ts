/** The rows of the route table: method and path → operation and dialect. A new endpoint is a row here, not a handler. */
import type { DialectId, Operation } from "../dialects/dialect.js";
import { dialectOf } from "../dialects/registry.js";
import type { Route } from "../pipeline/exchange.js";
import { type RouteMatch, RouteTable } from "./route-table.js";

function row(method: Route["method"], path: string, operation: Operation, dialect: DialectId): Route {
  return Object.freeze({ method, path, operation, dialect: dialectOf(dialect) });
}

/** What providers keep: files, jobs, responses. */
function keptAt(version: string): readonly Route[] {
  const at = (place: string, operation: Operation, dialect: DialectId) => (method: Route["method"], below: string) =>
    row(method, `${version}${place}${below}`, operation, dialect);
  const files = at("/files", "files", "openai-files");
  const batches = at("/batches", "batches", "openai-files");
  const jobs = at("/fine_tuning/jobs", "fine_tuning", "openai-files");
  const responses = at("/responses/{id}", "responses_items", "openai-responses");
  return [
    ...[files("GET", ""), files("POST", ""), files("GET", "/{id}"), files("DELETE", "/{id}")],
    files("GET", "/{id}/content"),
    ...[batches("GET", ""), batches("POST", ""), batches("GET", "/{id}"), batches("POST", "/{id}/cancel")],
    ...[jobs("GET", ""), jobs("POST", ""), jobs("GET", "/{id}"), jobs("POST", "/{id}/cancel")],
    ...[jobs("POST", "/{id}/pause"), jobs("POST", "/{id}/resume")],
    ...[jobs("GET", "/{id}/events"), jobs("GET", "/{id}/checkpoints")],
    ...[responses("GET", ""), responses("DELETE", ""), responses("POST", "/cancel"), responses("GET", "/input_items")],
  ];
}

/** `{id}` leaves one path segment open, `{model}` and `{rest}` as many as there are. */
export const ROUTES: readonly Route[] = [
  row("POST", "/v1/chat/completions", "chat", "openai-chat"),
  row("POST", "/openai/v1/chat/completions", "chat", "openai-chat"),
  row("POST", "/openai/deployments/{model}/chat/completions", "chat", "openai-chat"),
  row("POST", "/v1/messages", "messages", "anthropic-messages"),
  row("POST", "/anthropic/v1/messages", "messages", "anthropic-messages"),
  row("POST", "/v1/messages/count_tokens", "count_tokens", "anthropic-messages"),
  row("POST", "/anthropic/v1/messages/count_tokens", "count_tokens", "anthropic-messages"),
  row("POST", "/v1/responses", "responses", "openai-responses"),
  row("POST", "/openai/v1/responses", "responses", "openai-responses"),
  row("POST", "/v1/responses/input_tokens", "input_tokens", "openai-responses"),
  row("POST", "/openai/v1/responses/input_tokens", "input_tokens", "openai-responses"),
  row("POST", "/v1/completions", "completions", "openai-completions"),
  row("POST", "/openai/v1/completions", "completions", "openai-completions"),
  row("POST", "/v1/embeddings", "embeddings", "openai-embeddings"),
  row("POST", "/openai/v1/embeddings", "embeddings", "openai-embeddings"),
  row("POST", "/v1/rerank", "rerank", "rerank"),
  row("POST", "/v2/rerank", "rerank", "rerank"),
  row("POST", "/cohere/v2/rerank", "rerank", "rerank"),
  row("POST", "/openai/deployments/{model}/completions", "completions", "openai-completions"),
  row("POST", "/openai/deployments/{model}/embeddings", "embeddings", "openai-embeddings"),
  row("POST", "/v1/images/generations", "images", "openai-images"),
  row("POST", "/openai/v1/images/generations", "images", "openai-images"),
  row("POST", "/openai/deployments/{model}/images/generations", "images", "openai-images"),
  row("POST", "/v1/images/edits", "image_edits", "openai-images"),
  row("POST", "/openai/v1/images/edits", "image_edits", "openai-images"),
  row("POST", "/openai/deployments/{model}/images/edits", "image_edits", "openai-images"),
  row("POST", "/v1/images/variations", "image_variations", "openai-images"),
  row("POST", "/openai/v1/images/variations", "image_variations", "openai-images"),
  row("POST", "/v1/audio/transcriptions", "transcriptions", "openai-audio"),
  row("POST", "/openai/v1/audio/transcriptions", "transcriptions", "openai-audio"),
  row("POST", "/openai/deployments/{model}/audio/transcriptions", "transcriptions", "openai-audio"),
  row("POST", "/v1/audio/translations", "translations", "openai-audio"),
  row("POST", "/openai/v1/audio/translations", "translations", "openai-audio"),
  row("POST", "/openai/deployments/{model}/audio/translations", "translations", "openai-audio"),
  row("POST", "/v1/audio/speech", "speech", "openai-audio"),
  row("POST", "/openai/v1/audio/speech", "speech", "openai-audio"),
  row("POST", "/openai/deployments/{model}/audio/speech", "speech", "openai-audio"),
  row("POST", "/v1/moderations", "moderations", "openai-moderations"),
  row("POST", "/openai/v1/moderations", "moderations", "openai-moderations"),
  row("POST", "/tokenize", "tokenize", "tokenize"),
  ...keptAt("/v1"),
  ...keptAt("/openai/v1"),
  row("ANY", "/passthrough/{rest}", "passthrough", "raw"),
  row("GET", "/v1/models", "models", "openai-chat"),
  row("GET", "/v1/models/{rest}", "models", "openai-chat"),
  row("GET", "/openai/v1/models", "models", "openai-chat"),
  row("GET", "/openai/v1/models/{rest}", "models", "openai-chat"),
  row("GET", "/anthropic/v1/models", "models", "anthropic-messages"),
  row("GET", "/anthropic/v1/models/{rest}", "models", "anthropic-messages"),
];

export const ROUTE_TABLE = new RouteTable(ROUTES);

/** The one row of configured passthrough routes. */
const CONFIGURED = new RouteTable([row("ANY", "*", "passthrough", "raw")]);

/** What a request along a configured route is. */
export function rawMatch(method: string): RouteMatch | undefined {
  return CONFIGURED.find(method, "*");
}

/** The dialect in which an unknown path is refused: by the prefix under which it stands. */
export function dialectForUnknown(path: string): Route["dialect"] {
  const messages = path.startsWith("/anthropic/") || path.startsWith("/v1/messages");
  return dialectOf(messages ? "anthropic-messages" : "openai-chat");
}
