/** Entries of `models`: what holds between their fields, and how each kind becomes a resource. */
import {
  below,
  type Complain,
  checkModelReference,
  type Directory,
  isMapping,
  type ModelKind,
  mappingsOf,
  modelKind,
  oneOf,
  type Raw,
  referenceIn,
  type Surroundings,
} from "./entry.js";
import type { DirectModel, ModelResource, ModelSettings, RateLimit } from "./resources.js";
import type { ModelEntry } from "./schema-models.js";
import type { BackgroundCheck, Ensemble, ModelCost, Routing, SemanticRouting } from "./traffic.js";

/** Fields that say something about one provider's model, so nothing about a name with several behind it. */
const DIRECT_FIELDS = [
  "provider",
  "model_name",
  "provider_key",
  "provider_key_id",
  "retries",
  "cooldown",
  "background_model_check",
  "cost",
  "embedding",
  "auto_prompt_caching",
];
const DIRECT: readonly ModelKind[] = ["direct"];
const NOT_SEMANTIC: readonly ModelKind[] = ["direct", "routing", "ensemble"];

/** Reports what a schema of single fields cannot see; runs even when the schema has complaints. */
export function checkModel(raw: Raw, { directory }: Surroundings, complain: Complain): void {
  oneOf(raw, ["display_name", "name"], complain);
  const kind = modelKind(raw);
  if (kind === "direct") checkDirect(raw, directory, complain);
  else checkVirtual(raw, kind, complain);
  const aspects = { directory, complain };
  if (isMapping(raw.routing)) checkRouting(raw.routing, { ...aspects, complain: below(complain, "routing") });
  if (isMapping(raw.ensemble)) checkEnsemble(raw.ensemble, { ...aspects, complain: below(complain, "ensemble") });
  if (isMapping(raw.semantic)) checkSemantic(raw.semantic, { ...aspects, complain: below(complain, "semantic") });
}

interface Aspects {
  readonly directory: Directory;
  readonly complain: Complain;
}

function checkDirect(raw: Raw, directory: Directory, complain: Complain): void {
  if (raw.provider === undefined) complain(["provider"], "is required (or one of routing, ensemble, semantic)");
  if (raw.model_name === undefined) complain(["model_name"], "is required");
  oneOf(raw, ["provider_key", "provider_key_id"], complain);
  const name = raw.display_name ?? raw.name;
  const upstream = raw.model_name;
  if (typeof name === "string" && typeof upstream === "string" && upstream.includes("*") && !name.includes("*")) {
    complain(["model_name"], "holds a * that the model's own name does not have");
  }
  const reference = referenceIn(raw, "provider_key");
  if (reference === null) return;
  const providerKey = directory.find("provider_keys", reference.value, reference.byId);
  if (providerKey === undefined) complain([reference.field], "there is no provider key of this name");
  const theirs = providerKey?.raw.provider;
  if (typeof raw.provider === "string" && typeof theirs === "string" && raw.provider !== theirs) {
    complain([reference.field], "belongs to another provider than the model's");
  }
}

function checkVirtual(raw: Raw, kind: ModelKind, complain: Complain): void {
  for (const other of ["routing", "ensemble", "semantic"]) {
    if (other !== kind && raw[other] !== undefined)
      complain([other], `cannot stand beside ${kind}: a model is one kind`);
  }
  for (const field of DIRECT_FIELDS) {
    if (raw[field] === undefined) continue;
    const instead = field === "retries" && kind === "routing" ? "; here it is routing.retries" : "";
    complain([field], `is a field of direct models, and this one has ${kind}${instead}`);
  }
}

function checkRouting(routing: Raw, { directory, complain }: Aspects): void {
  const targets = mappingsOf(routing.targets);
  for (const [index, target] of targets) {
    const place = below(complain, "targets", index);
    checkModelReference(target, "model", DIRECT, { directory, complain: place });
  }
  if (targets.length > 0 && targets.every(([, target]) => target.weight === 0)) {
    complain(["targets"], "must not all have weight 0");
  }
  if (routing.hash_on !== undefined && routing.strategy !== "consistent_hash") {
    complain(["hash_on"], "goes with the strategy consistent_hash alone");
  }
  for (const [index, source] of mappingsOf(routing.hash_on)) {
    const named = source.type === "header" || source.type === "cookie";
    if (named && source.name === undefined) complain(["hash_on", index, "name"], "is required");
    if (!named && source.name !== undefined) complain(["hash_on", index, "name"], "goes with header and cookie alone");
  }
}

function checkEnsemble(ensemble: Raw, { directory, complain }: Aspects): void {
  const panel = mappingsOf(ensemble.panel);
  for (const [index, member] of panel) {
    checkModelReference(member, "model", DIRECT, { directory, complain: below(complain, "panel", index) });
  }
  if (isMapping(ensemble.judge)) {
    checkModelReference(ensemble.judge, "model", DIRECT, { directory, complain: below(complain, "judge") });
  }
  const least = ensemble.min_responses;
  if (typeof least === "number" && panel.length > 0 && least > panel.length) {
    complain(["min_responses"], "must be at most the size of the panel");
  }
}

function checkSemantic(semantic: Raw, { directory, complain }: Aspects): void {
  checkModelReference(semantic, "embedding_model", DIRECT, { directory, complain });
  checkModelReference(semantic, "default", NOT_SEMANTIC, { directory, complain });
  const names = new Set<unknown>();
  for (const [index, route] of mappingsOf(semantic.routes)) {
    const place = below(complain, "routes", index);
    checkModelReference(route, "target", NOT_SEMANTIC, { directory, complain: place });
    if (names.has(route.name)) place(["name"], "is the name of another route, too");
    if (route.name !== undefined) names.add(route.name);
  }
  const instead = semantic.on_embedding_failure;
  if (!isMapping(instead)) return;
  checkModelReference(instead, "target", NOT_SEMANTIC, {
    directory,
    complain: below(complain, "on_embedding_failure"),
  });
}

export function toModel(entry: ModelEntry, { directory }: Surroundings): ModelResource {
  const settings: ModelSettings = {
    name: entry.display_name ?? entry.name ?? "",
    rateLimit: toRateLimit(entry.rate_limit),
    strict: entry.strict,
    timeoutMs: entry.timeout ?? null,
    streamTimeoutMs: entry.stream_timeout ?? null,
    retries: entry.retries ?? null,
    allowedCidrs: entry.allowed_cidrs,
  };
  if (entry.routing !== undefined)
    return { kind: "routing", ...settings, routing: toRouting(entry.routing, directory) };
  if (entry.ensemble !== undefined) {
    return { kind: "ensemble", ...settings, ensemble: toEnsemble(entry.ensemble, directory) };
  }
  if (entry.semantic !== undefined) {
    return { kind: "semantic", ...settings, semantic: toSemantic(entry.semantic, directory) };
  }
  return { kind: "direct", ...settings, ...toDirect(entry, directory) };
}

/** What only a direct model has. */
function toDirect(entry: ModelEntry, directory: Directory): Omit<DirectModel, "kind" | keyof ModelSettings> {
  const { cooldown, embedding, auto_prompt_caching: caching } = entry;
  return {
    provider: entry.provider ?? "",
    modelName: entry.model_name ?? "",
    providerKey: directory.named("provider_keys", entry.provider_key, entry.provider_key_id),
    cooldown: {
      enabled: cooldown.enabled,
      defaultSeconds: cooldown.default_seconds,
      maxSeconds: cooldown.max_seconds,
      honorRetryAfter: cooldown.honor_retry_after,
      triggerStatuses: cooldown.trigger_statuses,
      triggerOnTimeout: cooldown.trigger_on_timeout,
      triggerOnTransport: cooldown.trigger_on_transport,
    },
    backgroundCheck: toBackgroundCheck(entry.background_model_check),
    cost: toCost(entry.cost),
    embedding:
      embedding === undefined ? null : { dimensions: embedding.dimensions ?? null, normalize: embedding.normalize },
    autoPromptCaching: caching?.enabled === true ? { ttl: caching.ttl } : null,
  };
}

function toBackgroundCheck(check: ModelEntry["background_model_check"]): BackgroundCheck | null {
  if (check?.enabled !== true) return null;
  return {
    intervalSeconds: check.interval_seconds,
    timeoutSeconds: check.timeout_seconds,
    staleAfterSeconds: check.stale_after_seconds,
    prompt: check.prompt,
    maxTokens: check.max_tokens,
    ignoreStatuses: check.ignore_statuses,
  };
}

function toCost(cost: ModelEntry["cost"]): ModelCost | null {
  if (cost === undefined) return null;
  return {
    inputPer1k: cost.input_per_1k ?? null,
    outputPer1k: cost.output_per_1k ?? null,
    cachedInputPer1k: cost.cached_input_per_1k ?? null,
    cacheWritePer1k: cost.cache_write_per_1k ?? null,
    perRequest: cost.per_request ?? null,
    perImage: cost.per_image ?? null,
    perSecond: cost.per_second ?? null,
  };
}

function toRouting(routing: NonNullable<ModelEntry["routing"]>, directory: Directory): Routing {
  return {
    strategy: routing.strategy,
    targets: routing.targets.map(({ model, model_id, weight, priority, tags }) => {
      return { model: directory.named("models", model, model_id), weight, priority, tags };
    }),
    retries: routing.retries ?? null,
    maxFallbacks: routing.max_fallbacks ?? null,
    retryOn429: routing.retry_on_429,
    fallbackOnStatuses: routing.fallback_on_statuses,
    whenAllUnavailable: routing.when_all_unavailable,
    hashOn: (routing.hash_on ?? []).map(({ type, name }) => {
      // Header names come in lower case; a cookie's name is taken as it is.
      return { type, name: type === "header" ? (name ?? "").toLowerCase() : (name ?? "") };
    }),
    continueOnFailure: routing.continue_on_failure,
  };
}

function toEnsemble(ensemble: NonNullable<ModelEntry["ensemble"]>, directory: Directory): Ensemble {
  const { panel, judge } = ensemble;
  return {
    panel: panel.map(({ model, model_id, temperature, seed }) => {
      return {
        model: directory.named("models", model, model_id),
        temperature: temperature ?? null,
        seed: seed ?? null,
      };
    }),
    judge: {
      model: directory.named("models", judge.model, judge.model_id),
      synthesisPrompt: judge.synthesis_prompt ?? null,
    },
    minResponses: ensemble.min_responses ?? Math.min(2, panel.length),
    timeoutMs: ensemble.timeout_ms,
  };
}

function toSemantic(semantic: NonNullable<ModelEntry["semantic"]>, directory: Directory): SemanticRouting {
  const failure = semantic.on_embedding_failure;
  return {
    embeddingModel: directory.named("models", semantic.embedding_model, semantic.embedding_model_id),
    defaultTarget: directory.named("models", semantic.default, semantic.default_id),
    threshold: semantic.match.threshold,
    routes: semantic.routes.map(({ name, target, target_id, examples, threshold }) => {
      return { name, target: directory.named("models", target, target_id), examples, threshold: threshold ?? null };
    }),
    embeddingTimeoutMs: semantic.embedding_timeout_ms,
    onEmbeddingFailure:
      typeof failure === "string"
        ? { action: failure, target: "" }
        : { action: "target", target: directory.named("models", failure.target, failure.target_id) },
  };
}

/** An empty mapping limits nothing. */
export function toRateLimit(limits: RateLimit | undefined): RateLimit | null {
  return limits === undefined || Object.keys(limits).length === 0 ? null : limits;
}
