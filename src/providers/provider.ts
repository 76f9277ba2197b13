/** What a provider row says: who answers, where, how it is authenticated and what it serves in which dialect. */
import type { Operation, WireId } from "../dialects/dialect.js";
import type { JsonValue } from "../dialects/semantic.js";
import type { Counter } from "./counter.js";

/** Wire families that the adapter of a provider key may name. */
export const ADAPTERS = ["openai", "anthropic", "azure-openai", "gemini", "bedrock", "vertex", "cohere"] as const;

export type WireFamily = (typeof ADAPTERS)[number] | "simulator";

/** How the upstream wants the secret; "credentials" = as the family's credentials say, request by request. */
export type AuthScheme = "bearer" | "x-api-key" | "api-key" | "x-goog-api-key" | "credentials" | "none";

/** How a request's body differs from what the dialect's own vendor is sent; top-level members. */
export interface BodyShape {
  readonly set: Readonly<Record<string, JsonValue>>;
  readonly remove: readonly string[];
  /** Member → the name that this upstream has for it. */
  readonly rename?: Readonly<Record<string, string>>;
  /** Member → the request header (lower case) whose comma-separated entries it lists instead. */
  readonly fromHeaders: Readonly<Record<string, string>>;
}

export interface ServedOperation {
  /** The dialect of the upstream's wire for this operation. */
  readonly dialect: WireId;
  /**
   * Path with a leading slash, below what `from` says; `{model}` stands for the upstream's model name, `{region}`
   * and `{project}` for the account's.
   */
  readonly path: string;
  /** Where a streamed answer has an endpoint of its own. */
  readonly streamPath?: string;
  /** "version" (default): below the version root; "host": below the place where the version root's own path begins. */
  readonly from?: "version" | "host";
  /** Other paths for models whose names match; the first that does counts. */
  readonly modelPaths?: readonly (readonly [model: RegExp, path: string])[];
  /** The most inputs that one call takes, where the vendor names a bound; longer lists are cut and put together again. */
  readonly inputsPerCall?: number | ((model: string) => number);
  /** Takes only the newest form of its dialect: older ones are written anew. */
  readonly newestFormOnly?: boolean;
  /** Where this operation wants the secret in another way than the rest of the row. */
  readonly auth?: AuthScheme;
  readonly shape?: BodyShape;
  /** How the provider's counter of tokens is asked by callers of another dialect, or by all where it has an envelope. */
  readonly counter?: Counter;
  /** The wire whose error answers come back, where that is not the dialect's own. */
  readonly errors?: WireId;
}

export interface ProviderRow {
  readonly id: string;
  readonly family: WireFamily;
  /** Version root ("https://host/v1"); null = must be configured, or follows from the region. */
  readonly baseUrl: string | null;
  /** Version root of a region. */
  readonly regionUrl?: (region: string) => string;
  /** Finds the region in a configured host. */
  readonly regionInHost?: RegExp;
  /** Path of the version root where `baseUrl` is null ("/v1"): completes a configured address that is only a host. */
  readonly basePath?: string;
  readonly auth: AuthScheme;
  /** The provider may be called without a secret: a server of one's own, or credentials that the machine has. */
  readonly keyOptional?: boolean;
  /** Environment variables that make the provider reachable in the embedded default. */
  readonly environment: { readonly key: string; readonly baseUrl: string } | null;
  /** Names (one `*` at most) under which its models are known in the embedded default. */
  readonly modelPatterns: readonly string[];
  /**
   * An operation may be reached on more than one wire (its native one first): the bridge picks the one
   * that fits the caller's dialect best.
   */
  readonly serves: Readonly<Partial<Record<Operation, readonly ServedOperation[]>>>;
  /** Headers every request to this provider carries unless the caller sent its own. */
  readonly defaultHeaders: Readonly<Record<string, string>>;
  /** Lower-case names of callers' headers that mean nothing to this upstream. */
  readonly dropHeaders?: readonly string[];
  /** The row of the catalog that this one was made from, under another id. */
  readonly madeFrom?: string;
}

/** A row's entry: this dialect at this path. */
export function wire(
  dialect: WireId,
  path: string,
  more?: Omit<Partial<ServedOperation>, "dialect" | "path">,
): ServedOperation {
  return Object.freeze({ dialect, path, ...more });
}
