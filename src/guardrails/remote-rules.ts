/** The remote kinds: from what the resources say to rules that ask. */
import type { GuardrailRule } from "../config/traffic.js";
import { azureContentSafety } from "./azure-content-safety.js";
import { bedrock } from "./bedrock.js";
import { lakera } from "./lakera.js";
import type { LocalRule } from "./local-rules.js";
import { openAiModeration } from "./openai-moderation.js";
import { presidio } from "./presidio.js";
import type { RemoteRule } from "./rule.js";
import type { Services } from "./service.js";
import { webhook } from "./webhook.js";

/** The rule of a kind that asks a service. */
export function remoteRuleOf(rule: Exclude<GuardrailRule, LocalRule>, services: Services): RemoteRule {
  switch (rule.kind) {
    case "webhook":
      return webhook(rule, services);
    case "openai_moderation":
      return openAiModeration(rule, services);
    case "bedrock":
      return bedrock(rule, services);
    case "presidio":
      return presidio(rule, services);
    case "azure_content_safety":
      return azureContentSafety(rule, services);
    case "lakera":
      return lakera(rule, services);
  }
}
