/** The openai_moderation kind: the moderations endpoint, by its own verdict or by thresholds on its scores. */
import type { GuardrailRule } from "../../config/traffic.js";
import { asArray, asObject, type JsonObject } from "../../dialects/json-values.js";
import { PASS, RemoteError, type RemoteRule } from "./verdict.js";
import { askForObject, batchesOf, below, categoryOf, chunksOf, firstOf, jsonBody, type Services } from "./service.js";

type ModerationRule = Extract<GuardrailRule, { kind: "openai_moderation" }>;

const OWN_ADDRESS = "https://api.openai.com/v1";
const CHUNK = 20_000;
const CALL = { characters: 60_000, pieces: 32 };
const CATEGORY = "moderation";

export function openAiModeration(rule: ModerationRule, services: Services): RemoteRule {
  const url = addressOf(rule.apiBase ?? OWN_ADDRESS);
  const headers = ["authorization", `Bearer ${rule.apiKey}`];
  return {
    async check({ texts }, signal) {
      const batches = batchesOf(chunksOf(texts, CHUNK), CALL);
      const category = await firstOf(batches, async (batch) => {
        const body = jsonBody({ model: rule.model, input: batch.map(({ text }) => text) });
        const answer = await askForObject(services, { url, headers, body, signal });
        const results = asArray(answer.results);
        if (results.length === 0) throw new RemoteError("answered without results");
        for (const result of results) {
          const flagged = flaggedBy(asObject(result), rule.thresholds);
          if (flagged !== null) return flagged;
        }
        return null;
      });
      return category === null ? PASS : { action: "block", category };
    },
  };
}

/** The base, or the endpoint itself as some configurations have it. */
function addressOf(base: string): string {
  return /\/moderations\/?$/.test(base) ? base : below(base, "/moderations");
}

function flaggedBy(result: JsonObject | null, thresholds: Readonly<Record<string, number>>): string | null {
  const wanted = Object.entries(thresholds);
  if (wanted.length > 0) {
    const scores = asObject(result?.category_scores);
    for (const [category, threshold] of wanted) {
      const score = scores?.[category];
      if (typeof score === "number" && score >= threshold) return category;
    }
    return null;
  }
  if (result?.flagged !== true) return null;
  const flagged = Object.entries(asObject(result.categories) ?? {}).find(([, is]) => is === true);
  return categoryOf(flagged?.[0], CATEGORY);
}
