/** Where requests go that pass as they are: below a provider key's host, or below an address of their own. */
import type { ProviderKeyResource } from "../config/resources.js";
import { bridgeFor } from "../dialects/bridge.js";
import type { Operation, WireId } from "../dialects/dialect.js";
import { type Address, readAddress } from "./address.js";
import { rowOfKey } from "./catalog.js";
import { type AuthScheme, type ProviderRow, type ServedOperation, wire } from "./provider.js";
import { placeOf } from "./shared-credentials.js";
import { providerKeyProblem, Target } from "./target.js";

/** What a path at a provider means, as far as the catalog tells. */
export interface RawWay {
  readonly target: Target;
  /** The path that the request's own is put behind, without a slash at its end. */
  readonly root: string;
  /** null: the path is none of the catalog's. */
  readonly served: { readonly operation: Operation; readonly wire: WireId; readonly model: string } | null;
}

/** No secret of the gateway's goes along. */
const UNKNOWN_ROW: ProviderRow = Object.freeze({
  id: "passthrough",
  family: "openai",
  baseUrl: null,
  auth: "none",
  keyOptional: true,
  environment: null,
  modelPatterns: [],
  serves: {},
  defaultHeaders: {},
});

/** One map a key object, as for other targets. */
const targets = new WeakMap<ProviderKeyResource, Map<string, Target>>();

/** `path`: with a slash in front. null: requests cannot go to this key. `below`: in place of the key's own address. */
export function rawWay(key: ProviderKeyResource, path: string, below: string | null = null): RawWay | null {
  const row = rowOfKey(key);
  if (row === undefined || row.family === "simulator" || providerKeyProblem(key) !== null) return null;
  const usual = readAddress(row, key.apiBase, placeOf(row, key).region);
  if (typeof usual === "string") return null;
  const address = below === null ? usual : addressOf(below);
  const version = usual.version.slice(usual.host.length);
  const { auth, served } = meaningOf(row, version, path);
  const target = targetOf(key, `${auth} ${below ?? ""}`, () => make(row, key, address, auth));
  return { target, root: address.host, served };
}

/** The same where nothing but an address is known. `key`: a name to call it by; its secret is not used. */
export function foreignWay(key: ProviderKeyResource, below: string): RawWay {
  const address = addressOf(below);
  return {
    target: targetOf(key, below, () => make(UNKNOWN_ROW, key, address, "none")),
    root: address.host,
    served: null,
  };
}

function targetOf(key: ProviderKeyResource, name: string, build: () => Target): Target {
  let known = targets.get(key);
  if (known === undefined) {
    known = new Map();
    targets.set(key, known);
  }
  const target = known.get(name) ?? build();
  known.set(name, target);
  return target;
}

function make(row: ProviderRow, key: ProviderKeyResource, address: Address, auth: AuthScheme): Target {
  const bridge = bridgeFor("passthrough", "raw", "raw");
  if (bridge === null) throw new Error("raw requests have a bridge of their own");
  return new Target({ row, key, address, bridge, served: wire("raw", "", { from: "host", auth }) });
}

function addressOf(url: string): Address {
  const { origin, pathname } = new URL(url);
  const host = pathname.replace(/\/+$/, "");
  return { origin, host, version: host };
}

interface Meaning {
  readonly auth: AuthScheme;
  readonly served: RawWay["served"];
}

/**
 * A provider may want its secret in several ways, by the part of its API: that of the endpoint whose path has most in
 * common with this one, the first of equals. `version`: what the version root adds to the host's path.
 */
function meaningOf(row: ProviderRow, version: string, path: string): Meaning {
  const asked = (path.endsWith("/") ? path.slice(0, -1) : path).split("/");
  let best: ServedOperation | null = null;
  let most = -1;
  for (const [operation, list] of Object.entries(row.serves) as [Operation, readonly ServedOperation[]][]) {
    for (const entry of list) {
      const root = entry.from === "host" ? "" : version;
      for (const written of [entry.path, entry.streamPath ?? entry.path]) {
        const { equal, whole, model } = compare((root + written).split("?")[0] as string, asked);
        if (whole) return { auth: entry.auth ?? row.auth, served: { operation, wire: entry.dialect, model } };
        if (equal <= most) continue;
        most = equal;
        best = entry;
      }
    }
  }
  return { auth: best?.auth ?? row.auth, served: null };
}

/** How many parts of the paths are equal from the beginning, and whether all are. */
function compare(written: string, asked: readonly string[]): { equal: number; whole: boolean; model: string } {
  const parts = written.split("/");
  let model = "";
  let equal = 0;
  for (const [index, part] of parts.entries()) {
    const found = matches(part, asked[index] ?? "");
    if (found === null) break;
    if (found !== "") model = found;
    equal += 1;
  }
  return { equal, whole: equal === parts.length && parts.length === asked.length, model };
}

/** What stands where the pattern is open, "" where nothing is; null = no match. */
function matches(pattern: string, part: string): string | null {
  const open = pattern.indexOf("{");
  if (open < 0) return pattern === part ? "" : null;
  const before = pattern.slice(0, open);
  const after = pattern.slice(pattern.indexOf("}") + 1);
  const fits = part.length > before.length + after.length && part.startsWith(before) && part.endsWith(after);
  if (!fits) return null;
  const captured = part.slice(before.length, part.length - after.length);
  return pattern.slice(open).startsWith("{model}") ? captured : "";
}

/** Every part says something, and none of it could be read as a step up or as a part more. */
const PATH = /^(?:\/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*\/?$/;
/** Dots, slashes, backslashes, zero bytes and percent signs, written so that only the next reader sees them. */
const HIDDEN = /%(?:2e|2f|5c|00|25)/i;
const STEPS = /\/\.{1,2}(?:\/|$)/;
const QUERY = /^[A-Za-z0-9._~!$&'()*+,;=:@/?%[\]|^{}"<>\\`-]*$/;

/** May a path be put behind an upstream's? `path`: as it came, empty or with a slash in front. */
export function isPlainPath(path: string): boolean {
  return PATH.test(path) && !HIDDEN.test(path) && !STEPS.test(path);
}

export function isPlainQuery(query: string): boolean {
  return QUERY.test(query);
}
