/**
 * The resources as the hot path reads them: checked, defaults filled in, secrets resolved. Plain data, so
 * that it crosses threads as it is; `Snapshot` indexes it.
 */
import type { BackgroundCheck, Cooldown, Ensemble, ModelCost, Routing, SemanticRouting, Traffic } from "./traffic.js";

/** Limits in force for one key or model; undefined = none. Windows are aligned to the wall clock. */
export interface RateLimit {
  readonly rps?: number | undefined;
  readonly rpm?: number | undefined;
  readonly rph?: number | undefined;
  readonly rpd?: number | undefined;
  readonly tps?: number | undefined;
  readonly tpm?: number | undefined;
  readonly tph?: number | undefined;
  readonly tpd?: number | undefined;
  readonly concurrency?: number | undefined;
}

/** What is changed in requests to an upstream; dotted paths reach below a top-level member. */
export interface RequestOverrides {
  /** Top-level member → its new name. */
  readonly paramRenames: Readonly<Record<string, string>>;
  /** null = no bound. */
  readonly temperatureMin: number | null;
  readonly temperatureMax: number | null;
  /** Path → value where the request has none. */
  readonly defaultBodyFields: Readonly<Record<string, unknown>>;
  readonly bodySet: Readonly<Record<string, unknown>>;
  readonly bodyRemove: readonly string[];
  /** Lower-case names with one `*` at most. */
  readonly forwardClientHeaders: readonly string[];
}

/** What is changed in an upstream's answers. */
export interface ResponseOverrides {
  /** Field of a message or delta in which this upstream puts its reasoning; null = the usual one. */
  readonly reasoningField: string | null;
  readonly contentListToString: boolean;
  /** What ends this upstream's streams; "" = nothing does; null = the usual marker. */
  readonly streamDoneMarker: string | null;
}

export interface ProviderKeyResource {
  readonly name: string;
  /** Catalog id ("openai"), or the id the user gave to a provider that is not in the catalog. */
  readonly provider: string;
  /** Wire family; null = the catalog row's own. */
  readonly adapter: string | null;
  readonly apiBase: string | null;
  /** Plain secret, or "" for providers that need none. Never logged. */
  readonly apiKey: string;
  /** The family's credential object where one is given instead of a plain secret. Never logged. */
  readonly credential: Readonly<Record<string, unknown>> | null;
  /** Region of the upstream; null = the credential's, the address's or the environment's. */
  readonly region: string | null;
  readonly apiVersion: string | null;
  readonly tls: { readonly caCert: string | null; readonly verify: boolean } | null;
  /** Header names that the gateway must not forward to this upstream. */
  readonly stripHeaders: readonly string[];
  /** Values may hold `${request.id}` and its like. */
  readonly defaultHeaders: Readonly<Record<string, string>>;
  readonly request: RequestOverrides;
  /** null = answers are taken as they come. */
  readonly response: ResponseOverrides | null;
  /** Labels for the usage events of attempts with this key. */
  readonly telemetryTags: Readonly<Record<string, string>>;
}

/** Requests go as they are. */
export const NO_REQUEST_OVERRIDES: RequestOverrides = Object.freeze({
  paramRenames: {},
  temperatureMin: null,
  temperatureMax: null,
  defaultBodyFields: {},
  bodySet: {},
  bodyRemove: [],
  forwardClientHeaders: [],
});

/** What every kind of model has. */
export interface ModelSettings {
  /** May hold one `*`. */
  readonly name: string;
  readonly rateLimit: RateLimit | null;
  /** Refuse requests of which a translation would lose a part. */
  readonly strict: boolean;
  /** Whole-request timeout in ms; null = upstream default, 0 = none. */
  readonly timeoutMs: number | null;
  /** Longest silence between stream events in ms; null = upstream default, 0 = none. */
  readonly streamTimeoutMs: number | null;
  /** Tries on the same target beyond the first; null = the group's, else the default. */
  readonly retries: number | null;
  readonly allowedCidrs: readonly string[];
}

/** A model that one provider serves. */
export interface DirectModel extends ModelSettings {
  readonly kind: "direct";
  readonly provider: string;
  /** The upstream's name; may hold one `*`, filled with what the `*` of `name` captured. */
  readonly modelName: string;
  readonly providerKey: string;
  readonly cooldown: Cooldown;
  /** null = none. */
  readonly backgroundCheck: BackgroundCheck | null;
  readonly cost: ModelCost | null;
  /** What the model's vectors are like; null = not said. */
  readonly embedding: { readonly dimensions: number | null; readonly normalize: boolean } | null;
  /** Marks the reusable beginning of prompts for the provider's own cache; null = as the caller says. */
  readonly autoPromptCaching: { readonly ttl: "5m" | "1h" } | null;
}

/** A name behind which several direct models stand. */
export interface RoutingModel extends ModelSettings {
  readonly kind: "routing";
  readonly routing: Routing;
}

/** Several models answer, one of them writes the answer. */
export interface EnsembleModel extends ModelSettings {
  readonly kind: "ensemble";
  readonly ensemble: Ensemble;
}

/** The request's meaning decides which model answers. */
export interface SemanticModel extends ModelSettings {
  readonly kind: "semantic";
  readonly semantic: SemanticRouting;
}

export type ModelResource = DirectModel | RoutingModel | EnsembleModel | SemanticModel;

/** Names of the models that stand behind an entry; [] = one provider does. */
export function memberNames(entry: ModelResource): string[] {
  switch (entry.kind) {
    case "direct":
      return [];
    case "routing":
      return entry.routing.targets.map((target) => target.model);
    case "ensemble":
      return [...entry.ensemble.panel.map((member) => member.model), entry.ensemble.judge.model];
    case "semantic":
      return [entry.semantic.defaultTarget, ...entry.semantic.routes.map((route) => route.target)];
  }
}

export interface ApiKeyResource {
  readonly name: string;
  /** SHA-256 of the key, 64 lower-case hex digits. */
  readonly keyHash: string;
  /** Globs with one `*` at most; [] = none. */
  readonly allowedModels: readonly string[];
  /** Operations this key may call; null = all. */
  readonly allowedRoutes: readonly string[] | null;
  readonly disabled: boolean;
  /** Refuse requests of which a translation would lose a part. */
  readonly strict: boolean;
  /** Milliseconds since the epoch; null = never. */
  readonly expiresAt: number | null;
  readonly teamId: string | null;
  readonly userId: string | null;
  readonly userName: string | null;
  readonly rateLimit: RateLimit | null;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Resources {
  /** Short hash of the content: equal content, equal revision. */
  readonly revision: string;
  /** Where it came from, for people: a file's path, or "embedded default". */
  readonly source: string;
  readonly providerKeys: readonly ProviderKeyResource[];
  readonly models: readonly ModelResource[];
  readonly apiKeys: readonly ApiKeyResource[];
  /** Policies, budgets, caches and guardrails. */
  readonly traffic: Traffic;
}
