/** What a provider row says: who answers, where, how it is authenticated and what it serves in which dialect. */
import type { Operation, WireId } from "../dialects/dialect.js";

/** Wire families that the adapter of a provider key may name today. */
export const ADAPTERS = ["openai", "anthropic", "azure-openai", "gemini"] as const;

export type WireFamily = (typeof ADAPTERS)[number] | "bedrock" | "vertex" | "cohere" | "simulator";

/** How the upstream wants the secret. */
export type AuthScheme = "bearer" | "x-api-key" | "api-key" | "x-goog-api-key" | "none";

export interface ServedOperation {
  /** The dialect of the upstream's wire for this operation. */
  readonly dialect: WireId;
  /** Path with a leading slash, below what `from` says; `{model}` stands for the upstream's model name. */
  readonly path: string;
  /** Where a streamed answer has an endpoint of its own. */
  readonly streamPath?: string;
  /** "version" (default): below the version root; "host": below the place where the version root's own path begins. */
  readonly from?: "version" | "host";
  /** Where this operation wants the secret in another way than the rest of the row. */
  readonly auth?: AuthScheme;
}

export interface ProviderRow {
  readonly id: string;
  readonly family: WireFamily;
  /** Version root ("https://host/v1"); null = must be configured. */
  readonly baseUrl: string | null;
  /** Path of the version root where `baseUrl` is null ("/v1"): completes a configured address that is only a host. */
  readonly basePath?: string;
  readonly auth: AuthScheme;
  /** The provider may be called without a secret (a server of one's own). */
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
}
