/** What all requests to provider keys have in common: an id in the path, others in the query, a body or none. */
import { type Failure, failure } from "../errors.js";
import { readCarriedId } from "./carried-id.js";
import type { KeyedPlace, KeyedRequest, RequestView } from "./dialect.js";
import type { Edit } from "./json-splice.js";

/** Where ids came from, so that all of them lead to one provider key. */
export class Origins {
  #first: KeyedPlace["carried"] = null;
  #conflict = false;

  /** The id as its upstream knows it. */
  restore(id: string): string {
    const carried = readCarriedId(id);
    if (carried === null) return id;
    this.add(carried);
    return carried.id;
  }

  add({ providerKey, model }: { readonly providerKey: string; readonly model: string }): void {
    if (this.#first === null) this.#first = { providerKey, model };
    else if (this.#first.providerKey !== providerKey) this.#conflict = true;
  }

  get carried(): KeyedPlace["carried"] | Failure {
    if (!this.#conflict) return this.#first;
    return failure("invalid_request_error", "The request names ids of several providers.");
  }
}

/** What an upstream may have as an id; anything else could lead somewhere else in its paths. */
const ID = /^[A-Za-z0-9_][A-Za-z0-9_.:~-]{0,255}$/;
/** Names of what lists are cut by. */
const CURSORS: ReadonlySet<string> = new Set(["after", "before"]);

/** The path below the operation's own; a Failure where the id is none. */
export function pathBelow({ routePath, id }: KeyedRequest, origins: Origins): string | Failure {
  const open = routePath.indexOf("{id}");
  if (open < 0) return "";
  const restored = origins.restore(id);
  if (!ID.test(restored)) return failure("invalid_request_error", "The id in the path is not a valid one.", "id");
  return `/${restored}${routePath.slice(open + "{id}".length)}`;
}

export interface KeyedQuery {
  readonly query: string;
  /** Value of `model`, which is for the gateway alone; null = not given. */
  readonly model: string | null;
  readonly stream: boolean;
}

/** The query as the upstream gets it: ids restored, the rest as it came. */
export function restoreQuery(query: string, origins: Origins): KeyedQuery {
  const kept: string[] = [];
  let model: string | null = null;
  let stream = false;
  for (const part of query === "" ? [] : query.split("&")) {
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    const value = equals < 0 ? "" : part.slice(equals + 1);
    if (name === "model") {
      model = unescaped(value);
      continue;
    }
    if (name === "stream") stream = value === "true" || value === "1";
    kept.push(CURSORS.has(name) ? `${name}=${encodeURIComponent(origins.restore(unescaped(value)))}` : part);
  }
  return { query: kept.join("&"), model, stream };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** The view of a request that names no model of the gateway's. */
export function keyedView(model: string, more: Partial<RequestView> = {}): RequestView {
  const none = { modelSpan: null, stream: false, usageAsked: true, streamOptionsSpan: null, maxOutputTokens: -1 };
  return { model, ...none, ...more };
}

export const NO_EDITS: readonly Edit[] = Object.freeze([]);
