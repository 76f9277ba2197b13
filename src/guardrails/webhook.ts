/** The webhook kind: a service of the operator's own decides. docs/guardrails.md tells the contract. */
import type { GuardrailRule } from "../config/traffic.js";
import { asArray } from "../dialects/json-values.js";
import {
  PASS,
  type Question,
  RemoteError,
  type RemoteRule,
  type RemoteVerdict,
  type Replacement,
} from "../providers/safety/verdict.js";
import { askForObject, categoryOf, changeOf, jsonBody, type Services } from "../providers/safety/service.js";

type WebhookRule = Extract<GuardrailRule, { kind: "webhook" }>;

const CATEGORY = "webhook";

export function webhook(rule: WebhookRule, services: Services): RemoteRule {
  const headers = Object.entries(rule.headers).flat();
  return {
    async check(question, signal) {
      const answer = await askForObject(services, { url: rule.url, headers, body: bodyOf(question), signal });
      switch (answer.action) {
        case "pass":
          return PASS;
        case "block":
          return { action: "block", category: categoryOf(answer.category, CATEGORY) };
        case "mask":
          return maskOf(question, asArray(answer.texts), categoryOf(answer.category, CATEGORY));
        default:
          throw new RemoteError("answered without an action it may take");
      }
    },
  };
}

function bodyOf({ direction, requestId, model, apiKey, texts }: Question): Buffer {
  return jsonBody({ direction, request_id: requestId, model, api_key: apiKey, texts });
}

/** As many texts as were sent; null leaves one as it is. */
function maskOf({ texts }: Question, masked: readonly unknown[], category: string): RemoteVerdict {
  if (masked.length !== texts.length) throw new RemoteError("masked another number of texts than it was sent");
  const replacements = texts.map((text, index): Replacement[] => {
    const instead = masked[index];
    if (instead === null || instead === text) return [];
    if (typeof instead !== "string") throw new RemoteError("masked a text with something that is none");
    return [changeOf(text, instead)];
  });
  return { action: "mask", category, replacements };
}
