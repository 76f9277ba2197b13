/** The remote kinds: a vendor's service, or one of the operator's own. */
import type { GuardrailRule } from "../config/traffic.js";
import type { Services } from "../providers/safety/service.js";
import { serviceRuleOf } from "../providers/safety/service-rules.js";
import type { LocalRule } from "./local-rules.js";
import type { RemoteRule } from "./rule.js";
import { webhook } from "./webhook.js";

/** The rule of a kind that asks somebody. */
export function remoteRuleOf(rule: Exclude<GuardrailRule, LocalRule>, services: Services): RemoteRule {
  return rule.kind === "webhook" ? webhook(rule, services) : serviceRuleOf(rule, services);
}
