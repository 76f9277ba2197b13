/** Reads a provider's configured address as people write it: a host, a version root, or an endpoint pasted whole. */
import type { ProviderRow } from "./provider.js";

export interface Address {
  /** Scheme, host and port ("https://api.example.com"). */
  readonly origin: string;
  /** Path of the version root, without a slash at its end ("/v1"). */
  readonly version: string;
  /** Path of the place that version root hangs below, without a slash at its end (""). */
  readonly host: string;
}

/** Ends of a pasted endpoint, the longer before the shorter that it ends with. */
const ENDPOINTS = [
  "/chat/completions",
  "/responses/input_tokens",
  "/messages/count_tokens",
  "/completions",
  "/responses",
  "/messages",
  "/embeddings",
  "/models",
  "/tokenize",
];

/**
 * Where the row's provider is reached. `apiBase` null = the row's own address, or its region's. A string says why
 * there is none: no address known, or one that cannot be read.
 */
export function readAddress(row: ProviderRow, apiBase: string | null, region = ""): Address | string {
  const written = apiBase ?? (region === "" ? row.baseUrl : (row.regionUrl?.(region) ?? row.baseUrl));
  if (written === null) return row.regionUrl === undefined ? "the provider needs an api_base" : NEEDS_REGION;
  const url = parseUrl(written.trim());
  if (url === null) return "api_base is not an http or https address";
  if (url.username !== "" || url.password !== "") return "api_base must not hold a user or a password";
  const path = withoutEndSlash(url.pathname);
  const usual = usualPath(row);
  const root = rootBelowHostPath(row, path);
  if (root !== null) return { origin: url.origin, host: root, version: root + usual };
  const base = completed(withoutEndpoint(row, path), usual);
  return { origin: url.origin, host: rootOf(base, usual), version: base };
}

/** Said of providers whose address depends on it. */
export const NEEDS_REGION = "the provider needs a region (of the key, its credentials or the environment)";

/** The region that a configured address names; "" = none. */
export function regionIn(row: ProviderRow, apiBase: string | null): string {
  const url = apiBase === null ? null : parseUrl(apiBase.trim());
  const found = url === null ? null : row.regionInHost?.exec(url.hostname);
  if (found == null) return url?.hostname === "aiplatform.googleapis.com" && row.family === "vertex" ? "global" : "";
  return found[1] ?? found[2] ?? "";
}

function parseUrl(written: string): URL | null {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(written)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") return null;
  // Plain http happens only where it is written out: a secret must not travel in the clear by omission.
  const text = scheme === undefined ? `https://${written.replace(/^\/+/, "")}` : written;
  return URL.canParse(text) ? new URL(text) : null;
}

function usualPath(row: ProviderRow): string {
  if (row.baseUrl === null) return row.basePath ?? "";
  return withoutEndSlash(new URL(row.baseUrl).pathname);
}

function withoutEndSlash(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end--;
  return path.slice(0, end);
}

function withoutEndpoint(row: ProviderRow, path: string): string {
  const endpoint = ENDPOINTS.find((candidate) => path.endsWith(candidate));
  const base = endpoint === undefined ? path : withoutEndSlash(path.slice(0, -endpoint.length));
  if (row.family !== "azure-openai") return base;
  // The API has two forms with roots of their own; whichever was written, the row says which one is spoken.
  const place = /\/openai(?:\/deployments(?:\/.*)?|\/v1)?$/.exec(base);
  return place === null ? base : base.slice(0, place.index) + (row.basePath ?? "");
}

/** An address that ends with (the beginning of) an operation's path from the host: what stands before it. */
function rootBelowHostPath(row: ProviderRow, path: string): string | null {
  let longest = "";
  for (const served of Object.values(row.serves).flat()) {
    if (served.from !== "host") continue;
    const open = served.path.indexOf("{");
    const fixed = open < 0 ? served.path : served.path.slice(0, open);
    const pasted = open < 0 ? -1 : path.lastIndexOf(fixed);
    if (pasted >= 0) return path.slice(0, pasted);
    for (let tail = withoutEndSlash(fixed); tail !== ""; tail = tail.slice(0, tail.lastIndexOf("/"))) {
      if (tail.length > longest.length && path.endsWith(tail)) longest = tail;
    }
  }
  return longest === "" ? null : path.slice(0, -longest.length);
}

/** A path that stops short of the usual one is completed; any other is taken at its word. */
function completed(path: string, usual: string): string {
  return path === "" || usual.startsWith(`${path}/`) ? usual : path;
}

function rootOf(base: string, usual: string): string {
  if (usual !== "" && base.endsWith(usual)) return base.slice(0, -usual.length);
  return base.replace(/\/v\d[a-z0-9]*$/, "");
}
