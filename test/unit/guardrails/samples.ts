/** Guardrails for tests, with what a test does not say filled in. */
import { type Guardrail, type GuardrailRule, NO_TRAFFIC, type Traffic } from "../../../src/config/traffic.js";

export function guardrail(name: string, rule: GuardrailRule, more: Partial<Guardrail> = {}): Guardrail {
  return {
    id: name,
    name,
    enabled: true,
    hookPoint: "both",
    mode: "block",
    failOpen: false,
    outputFailOpen: false,
    mandatory: true,
    timeoutMs: 1_000,
    rule,
    ...more,
  };
}

export function words(...values: string[]): GuardrailRule {
  return { kind: "keyword", patterns: values.map((value) => ({ kind: "literal", value })) };
}

export const MASK_MAILS: GuardrailRule = {
  kind: "pii",
  detectors: [
    { type: "email", action: "mask" },
    { type: "credit_card", action: "mask" },
  ],
  customPatterns: [],
};

export const WEBHOOK: GuardrailRule = { kind: "webhook", url: "http://judge.test/check", headers: {} };

export function trafficWith(guardrails: readonly Guardrail[], attachments: Traffic["attachments"] = []): Traffic {
  return { ...NO_TRAFFIC, guardrails, attachments };
}
