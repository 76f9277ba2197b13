/** The azure_content_safety kind: harm categories, blocklists, and attacks on the prompt. */
import type { GuardrailRule } from "../../config/traffic.js";
import { asArray, asObject, type JsonObject } from "../../dialects/json-values.js";
import { PASS, RemoteError, type RemoteRule } from "./verdict.js";
import { askForObject, below, categoryOf, chunksOf, firstOf, jsonBody, type Services } from "./service.js";

type SafetyRule = Extract<GuardrailRule, { kind: "azure_content_safety" }>;

/** The service takes 10,000 characters (code points) a call. */
const CHUNK = 10_000;

export function azureContentSafety(rule: SafetyRule, services: Services): RemoteRule {
  const version = `?api-version=${encodeURIComponent(rule.apiVersion)}`;
  const headers = ["ocp-apim-subscription-key", rule.apiKey];
  const call = (operation: string, body: unknown, signal: AbortSignal): Promise<JsonObject> => {
    const url = below(rule.endpoint, `/contentsafety/text:${operation}${version}`);
    return askForObject(services, { url, headers, body: jsonBody(body), signal });
  };
  const analyzes = Object.keys(rule.severities).length > 0 || rule.blocklists.length > 0;
  return {
    async check({ texts, direction }, signal) {
      const category = await firstOf(chunksOf(texts, CHUNK), async ({ text }) => {
        const shield = rule.promptShield && direction === "input";
        const [harm, attack] = await Promise.all([
          analyzes ? call("analyze", analyzeBody(rule, text), signal).then((answer) => harmIn(answer, rule)) : null,
          shield ? call("shieldPrompt", { userPrompt: text, documents: [] }, signal).then(attackIn) : null,
        ]);
        return harm ?? attack;
      });
      return category === null ? PASS : { action: "block", category };
    },
  };
}

function analyzeBody({ severities, blocklists }: SafetyRule, text: string): unknown {
  // Severities between the usual four levels are told only on the finer scale.
  const fine = Object.values(severities).some((severity) => severity % 2 === 1);
  return {
    text,
    // Left out would mean all of them.
    ...(Object.keys(severities).length === 0 ? {} : { categories: Object.keys(severities) }),
    ...(blocklists.length === 0 ? {} : { blocklistNames: blocklists, haltOnBlocklistHit: false }),
    outputType: fine ? "EightSeverityLevels" : "FourSeverityLevels",
  };
}

function harmIn(answer: JsonObject, { severities }: SafetyRule): string | null {
  const listed = asObject(asArray(answer.blocklistsMatch)[0]);
  if (listed !== null) return categoryOf(listed.blocklistName, "blocklist");
  if (!Array.isArray(answer.categoriesAnalysis)) throw new RemoteError("answered without an analysis");
  for (const item of answer.categoriesAnalysis) {
    const found = asObject(item);
    const category = categoryOf(found?.category, "harm");
    const threshold = severities[category];
    const severity = found?.severity;
    if (threshold !== undefined && typeof severity === "number" && severity >= threshold) return category;
  }
  return null;
}

function attackIn(answer: JsonObject): string | null {
  const analysis = asObject(answer.userPromptAnalysis);
  if (typeof analysis?.attackDetected !== "boolean") throw new RemoteError("answered without an analysis");
  return analysis.attackDetected ? "prompt_attack" : null;
}
