/** Entries of `guardrails`: what holds between the fields of each kind, and the rules they become. */
import {
  below,
  type Complain,
  type Directory,
  mappingsOf,
  oneOf,
  type Raw,
  referenceIn,
  type Surroundings,
} from "./entry.js";
import type { GuardrailEntry } from "./schema-guardrails.js";
import type { Guardrail, GuardrailRule } from "./traffic.js";

export function checkGuardrail(raw: Raw, surroundings: Surroundings, complain: Complain): void {
  oneOf(raw, ["name", "display_name"], complain);
  if (raw.kind === "keyword") checkKeywords(raw, surroundings, complain);
  if (raw.kind === "pii") checkPii(raw, surroundings, complain);
  if (raw.kind === "bedrock") checkSigner(raw, surroundings.directory, complain);
}

function checkKeywords(raw: Raw, surroundings: Surroundings, complain: Complain): void {
  for (const [index, { kind, value }] of mappingsOf(raw.patterns)) {
    if (kind === "regex") checkPattern(value, surroundings, below(complain, "patterns", index, "value"));
  }
}

function checkPattern(pattern: unknown, { context }: Surroundings, complain: Complain): void {
  const problem = typeof pattern === "string" ? context.patternProblem(pattern) : null;
  if (problem !== null) complain([], problem);
}

function checkPii(raw: Raw, surroundings: Surroundings, complain: Complain): void {
  const detectors = mappingsOf(raw.detectors);
  const custom = mappingsOf(raw.custom_patterns);
  if (detectors.length + custom.length === 0) complain(["detectors"], "is required (or custom_patterns)");
  const seen = new Set<unknown>();
  for (const [index, { type }] of detectors) {
    if (type !== undefined && seen.has(type)) complain(["detectors", index, "type"], "stands there twice");
    seen.add(type);
  }
  for (const [index, pattern] of custom) {
    checkPattern(pattern.regex, surroundings, below(complain, "custom_patterns", index, "regex"));
    const action = pattern.action ?? raw.default_action ?? "mask";
    if (pattern.replacement !== undefined && action === "block") {
      complain(["custom_patterns", index, "replacement"], "goes with the action mask alone");
    }
  }
}

function checkSigner(raw: Raw, directory: Directory, complain: Complain): void {
  const named = raw.provider_key !== undefined || raw.provider_key_id !== undefined;
  if (named && raw.aws_credentials !== undefined) {
    complain(["aws_credentials"], "cannot stand beside a provider key: one of the two signs");
  }
  if (!named && raw.aws_credentials !== undefined) return;
  oneOf(raw, ["provider_key", "provider_key_id"], complain);
  const reference = referenceIn(raw, "provider_key");
  if (reference === null || directory.find("provider_keys", reference.value, reference.byId) !== undefined) return;
  complain([reference.field], "there is no provider key of this name");
}

export function toGuardrail(entry: GuardrailEntry, { directory }: Surroundings): Guardrail {
  const name = entry.name ?? entry.display_name ?? "";
  return {
    id: entry.id ?? name,
    name,
    enabled: entry.enabled,
    hookPoint: entry.hook_point,
    mode: entry.enforcement_mode,
    // A rule that nobody may go around is not gone around because its service is down.
    failOpen: entry.fail_open && !entry.mandatory,
    outputFailOpen: "output_fail_open" in entry && entry.output_fail_open && !entry.mandatory,
    mandatory: entry.mandatory,
    timeoutMs: timeoutOf(entry),
    rule: toRule(entry, directory),
  };
}

/** Local kinds wait for nobody. */
function timeoutOf(entry: GuardrailEntry): number {
  if (!("timeout_ms" in entry)) return 0;
  const timed = "latency_mode" in entry && entry.latency_mode?.kind === "timed" ? entry.latency_mode.timeout_ms : null;
  return timed ?? entry.timeout_ms;
}

type EntryOf<K extends GuardrailEntry["kind"]> = Extract<GuardrailEntry, { kind: K }>;

function toRule(entry: GuardrailEntry, directory: Directory): GuardrailRule {
  switch (entry.kind) {
    case "keyword":
      return { kind: entry.kind, patterns: entry.patterns };
    case "pii":
      return toPii(entry);
    case "webhook": {
      const headers = Object.entries(entry.headers).map(([name, value]) => [name.toLowerCase(), value]);
      return { kind: entry.kind, url: entry.url, headers: Object.fromEntries(headers) };
    }
    case "openai_moderation":
      return {
        kind: entry.kind,
        apiBase: entry.endpoint ?? null,
        apiKey: entry.api_key,
        model: entry.model,
        thresholds: entry.category_thresholds,
      };
    case "bedrock":
      return toCloudRule(entry, directory);
    case "presidio":
      return toPresidio(entry);
    case "azure_content_safety":
    case "azure_content_safety_text_moderation":
      return toContentSafety(entry);
    case "lakera":
      return {
        kind: entry.kind,
        apiBase: entry.endpoint ?? null,
        apiKey: entry.api_key,
        projectId: entry.project_id ?? null,
      };
  }
}

function toPii(entry: EntryOf<"pii">): GuardrailRule {
  return {
    kind: entry.kind,
    detectors: entry.detectors.map(({ type, action }) => ({ type, action: action ?? entry.default_action })),
    customPatterns: entry.custom_patterns.map(({ name, regex, action, replacement }) => {
      return { name, regex, action: action ?? entry.default_action, replacement: replacement ?? null };
    }),
  };
}

function toCloudRule(entry: EntryOf<"bedrock">, directory: Directory): GuardrailRule {
  const { aws_credentials: credentials } = entry;
  return {
    kind: entry.kind,
    guardrailIdentifier: entry.guardrail_id,
    guardrailVersion: entry.guardrail_version,
    region: entry.region,
    apiBase: entry.endpoint ?? null,
    providerKey:
      credentials === undefined ? directory.named("provider_keys", entry.provider_key, entry.provider_key_id) : "",
    credential: credentials === undefined ? null : toCredential(credentials),
  };
}

function toCredential(
  credentials: NonNullable<EntryOf<"bedrock">["aws_credentials"]>,
): Readonly<Record<string, string>> {
  const { access_key_id, secret_access_key, session_token } = credentials;
  return { access_key_id, secret_access_key, ...(session_token === undefined ? {} : { session_token }) };
}

function toPresidio(entry: EntryOf<"presidio">): GuardrailRule {
  return {
    kind: entry.kind,
    analyzerUrl: entry.analyzer_url,
    anonymizerUrl: entry.anonymizer_url ?? null,
    language: entry.language,
    entities: entry.entities.map((entity) => {
      const { type, action } = typeof entity === "string" ? { type: entity, action: undefined } : entity;
      return { type, action: action ?? entry.default_action };
    }),
    scoreThreshold: entry.score_threshold,
    action: entry.default_action,
    operator: entry.operator,
  };
}

/** Two kinds of the file are one rule: what differs is which of its questions are asked unbidden. */
function toContentSafety(
  entry: EntryOf<"azure_content_safety"> | EntryOf<"azure_content_safety_text_moderation">,
): GuardrailRule {
  const severities = entry.categories.map((category) => {
    return [category, entry.severity_threshold_by_category[category] ?? entry.severity_threshold] as const;
  });
  return {
    kind: "azure_content_safety",
    endpoint: entry.endpoint,
    apiKey: entry.api_key,
    apiVersion: entry.api_version,
    severities: Object.fromEntries(severities),
    blocklists: entry.blocklist_names,
    promptShield: "prompt_shield" in entry && entry.prompt_shield,
  };
}
