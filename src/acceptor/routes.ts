/** The route table: method and path → operation and dialect. A new endpoint is a row here, not a handler. */
import type { DialectId, Operation } from "../dialects/dialect.js";
import { dialectOf } from "../dialects/registry.js";
import type { Route } from "../pipeline/exchange.js";

function row(method: Route["method"], path: string, operation: Operation, dialect: DialectId): Route {
  return Object.freeze({ method, path, operation, dialect: dialectOf(dialect) });
}

/** `{model}` leaves one path segment open, `{rest}` all that follows. */
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
  row("POST", "/tokenize", "tokenize", "tokenize"),
  row("GET", "/v1/models", "models", "openai-chat"),
  row("GET", "/v1/models/{rest}", "models", "openai-chat"),
  row("GET", "/openai/v1/models", "models", "openai-chat"),
  row("GET", "/openai/v1/models/{rest}", "models", "openai-chat"),
  row("GET", "/anthropic/v1/models", "models", "anthropic-messages"),
  row("GET", "/anthropic/v1/models/{rest}", "models", "anthropic-messages"),
];

export interface RouteMatch {
  readonly route: Route;
  /** What the open part of the path holds, unescaped; "" = nothing open. */
  readonly parameter: string;
}

interface OpenRoute {
  readonly route: Route;
  readonly before: string;
  readonly after: string;
}

const exact = new Map<string, RouteMatch>();
const open: OpenRoute[] = [];
for (const route of ROUTES) {
  const start = route.path.indexOf("{");
  if (start < 0) exact.set(route.path, { route, parameter: "" });
  else open.push({ route, before: route.path.slice(0, start), after: route.path.slice(route.path.indexOf("}") + 1) });
}

/** Finds the row for a path, whatever the method; undefined = there is none. */
export function findRoute(path: string): RouteMatch | undefined {
  return exact.get(path) ?? findOpen(path);
}

function findOpen(path: string): RouteMatch | undefined {
  for (const { route, before, after } of open) {
    if (path.length <= before.length + after.length || !path.startsWith(before) || !path.endsWith(after)) continue;
    const parameter = unescaped(path.slice(before.length, path.length - after.length));
    if (parameter !== undefined) return { route, parameter };
  }
  return undefined;
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The dialect in which an unknown path is refused: by the prefix under which it stands. */
export function dialectForUnknown(path: string): Route["dialect"] {
  const messages = path.startsWith("/anthropic/") || path.startsWith("/v1/messages");
  return dialectOf(messages ? "anthropic-messages" : "openai-chat");
}
