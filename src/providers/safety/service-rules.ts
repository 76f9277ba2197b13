/** The services that judge texts, each with its own wire: from what the resources say to rules that ask. */
import type { GuardrailRule } from "../../config/traffic.js";
import { azureContentSafety } from "./azure-content-safety.js";
import { bedrockGuardrail } from "./bedrock-guardrail.js";
import { lakera } from "./lakera.js";
import { openAiModeration } from "./openai-moderation.js";
import { presidio } from "./presidio.js";
import type { Services } from "./service.js";
import type { RemoteRule } from "./verdict.js";

/** Kinds that somebody's service knows. */
export type ServiceRule = Exclude<GuardrailRule, { readonly kind: "keyword" | "pii" | "webhook" }>;

/** The rule of a kind that asks a vendor's service. */
export function serviceRuleOf(rule: ServiceRule, services: Services): RemoteRule {
  switch (rule.kind) {
    case "openai_moderation":
      return openAiModeration(rule, services);
    case "bedrock":
      return bedrockGuardrail(rule, services);
    case "presidio":
      return presidio(rule, services);
    case "azure_content_safety":
      return azureContentSafety(rule, services);
    case "lakera":
      return lakera(rule, services);
  }
}
