/** Finds the row for a method and a path, and what else a path takes. */
import type { Route } from "../pipeline/exchange.js";

export interface RouteMatch {
  readonly route: Route;
  /** What the open part of the path holds, unescaped; as it came where the row takes every method; "" = nothing open. */
  readonly parameter: string;
  /** The row takes the method that was asked for; else it only stands for the path. */
  readonly fits: boolean;
  /** The methods that the path takes, for the `allow` header. */
  readonly allow: string;
}

/** All rows of one path. */
interface Place {
  readonly byMethod: ReadonlyMap<string, Route>;
  readonly first: Route;
  readonly allow: string;
}

interface OpenPlace {
  readonly place: Place;
  readonly before: string;
  readonly after: string;
  readonly oneSegment: boolean;
}

/** What a row for every method takes. Not TRACE: it would show the caller what the gateway adds. */
const ANY_METHOD = ["get", "head", "post", "put", "patch", "delete", "options"];
const EVERY_METHOD = ANY_METHOD.join(", ").toUpperCase();

export class RouteTable {
  readonly #exact = new Map<string, Place>();
  readonly #open: OpenPlace[] = [];

  constructor(routes: readonly Route[]) {
    const paths = new Map<string, Route[]>();
    for (const route of routes) {
      const known = paths.get(route.path);
      if (known === undefined) paths.set(route.path, [route]);
      else known.push(route);
    }
    for (const [path, rows] of paths) {
      const place = placeOf(rows);
      const start = path.indexOf("{");
      if (start < 0) this.#exact.set(path, place);
      else {
        const end = path.indexOf("}");
        const oneSegment = path.slice(start, end + 1) === "{id}";
        this.#open.push({ place, before: path.slice(0, start), after: path.slice(end + 1), oneSegment });
      }
    }
  }

  /** `method`: in lower case. undefined: there is no such path. */
  find(method: string, path: string): RouteMatch | undefined {
    const place = this.#exact.get(path);
    return place === undefined ? this.#findOpen(method, path) : matchIn(place, method, "");
  }

  #findOpen(method: string, path: string): RouteMatch | undefined {
    for (const { place, before, after, oneSegment } of this.#open) {
      if (path.length <= before.length + after.length || !path.startsWith(before) || !path.endsWith(after)) continue;
      const open = path.slice(before.length, path.length - after.length);
      if (oneSegment && open.includes("/")) continue;
      const parameter = place.first.method === "ANY" ? open : unescaped(open);
      if (parameter !== undefined) return matchIn(place, method, parameter);
    }
    return undefined;
  }
}

function placeOf(rows: readonly Route[]): Place {
  const byMethod = new Map<string, Route>();
  for (const route of rows) {
    const methods = route.method === "ANY" ? ANY_METHOD : [route.method.toLowerCase()];
    for (const method of methods) byMethod.set(method, route);
  }
  // What answers GET answers HEAD (RFC 9110 section 9.1).
  const get = byMethod.get("get");
  if (get !== undefined) byMethod.set("head", get);
  return { byMethod, first: rows[0] as Route, allow: allowed(rows) };
}

function allowed(rows: readonly Route[]): string {
  const methods = rows.map(({ method }) => method);
  if (methods.includes("ANY")) return EVERY_METHOD;
  return [...methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])), "OPTIONS"].join(", ");
}

function matchIn({ byMethod, first, allow }: Place, method: string, parameter: string): RouteMatch {
  const route = byMethod.get(method);
  return { route: route ?? first, parameter, fits: route !== undefined, allow };
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
