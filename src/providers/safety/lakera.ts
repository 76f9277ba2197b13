/** The lakera kind: its guard, with whatever its project's policy looks for. */
import type { GuardrailRule } from "../../config/traffic.js";
import { asArray, asObject } from "../../dialects/json-values.js";
import { PASS, RemoteError, type RemoteRule } from "./verdict.js";
import { askForObject, below, categoryOf, jsonBody, type Services } from "./service.js";

type LakeraRule = Extract<GuardrailRule, { kind: "lakera" }>;

const OWN_ADDRESS = "https://api.lakera.ai";
const CATEGORY = "policy";

export function lakera(rule: LakeraRule, services: Services): RemoteRule {
  const url = addressOf(rule.apiBase ?? OWN_ADDRESS);
  const headers = rule.apiKey === "" ? [] : ["authorization", `Bearer ${rule.apiKey}`];
  return {
    async check({ texts, direction }, signal) {
      // The service looks at the last message: everything goes into one.
      const role = direction === "input" ? "user" : "assistant";
      const body = jsonBody({
        messages: [{ role, content: texts.join("\n") }],
        breakdown: true,
        ...(rule.projectId === null ? {} : { project_id: rule.projectId }),
      });
      const answer = await askForObject(services, { url, headers, body, signal });
      if (typeof answer.flagged !== "boolean") throw new RemoteError("answered without a verdict");
      if (!answer.flagged) return PASS;
      const detected = asArray(answer.breakdown)
        .map(asObject)
        .find((one) => one?.detected === true);
      return { action: "block", category: categoryOf(detected?.detector_type, CATEGORY) };
    },
  };
}

/** The service's address, with or without the path that it is documented with. */
function addressOf(base: string): string {
  if (/\/guard\/?$/.test(base)) return base;
  return below(base, /\/v2\/?$/.test(base) ? "/guard" : "/v2/guard");
}
