/** A gateway whose upstreams speak another dialect than their callers, and looks at what both sides were told. */
import { expect } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import type { FakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest } from "./calls.js";
import { KEY, type RunningGateway, sha256 } from "./gateway.js";

/** The caller's key that wants translations without loss. */
export const STRICT_KEY = "sk-strict-key";

/** Models "claude-*" of an upstream that has messages only, "chat-*" of one that has chat only. */
export function acrossDialects(upstream: string): Record<string, unknown> {
  const anyone = { allowed_models: ["*"] };
  return {
    _format_version: "1",
    provider_keys: [
      {
        display_name: "messages-only",
        provider: "in-house",
        adapter: "anthropic",
        api_base: upstream,
        api_key: "sk-upstream-messages",
      },
      { display_name: "chat-only", provider: "tencent-lke", api_base: `${upstream}/v1`, api_key: "sk-upstream-chat" },
    ],
    models: [
      { display_name: "claude-*", provider: "in-house", model_name: "claude-*", provider_key: "messages-only" },
      {
        display_name: "strict-claude",
        provider: "in-house",
        model_name: "claude-sonnet-4-5",
        provider_key: "messages-only",
        strict: true,
      },
      { display_name: "chat-*", provider: "tencent-lke", model_name: "chat-*", provider_key: "chat-only" },
    ],
    api_keys: [
      { display_name: "tester", key_hash: sha256(KEY), ...anyone },
      { display_name: "strict", key_hash: sha256(STRICT_KEY), strict: true, ...anyone },
    ],
  };
}

/** Prompt and completion tokens as the caller was told; cached ones are part of the input. */
export interface Told {
  readonly input: number | undefined;
  readonly output: number | undefined;
}

/** What the caller was told, what the upstream dealt out and what was recorded are the same. */
export async function expectSameUsage(
  gateway: RunningGateway,
  upstream: FakeUpstream,
  requestId: string | null | undefined,
  told: Told | null,
): Promise<UsageEvent> {
  const dealt = lastRequest(upstream);
  expect(dealt.inputTokens).toBeGreaterThan(0);
  if (told !== null) expect(told).toEqual({ input: dealt.inputTokens, output: dealt.outputTokens });
  const event = await eventOf(gateway, requestId);
  expect(event.client_dialect).not.toBe(event.target_dialect);
  expect(event).toMatchObject({
    input_tokens: dealt.inputTokens,
    output_tokens: dealt.outputTokens,
    estimated: false,
    complete: true,
    status: 200,
  });
  return event;
}

/** The JSON bodies that the upstream got, in order. */
// biome-ignore lint/suspicious/noExplicitAny: a body is looked into field by field.
export function bodiesOf(upstream: FakeUpstream): any[] {
  return upstream.requests().map(({ body }) => JSON.parse(body.toString("utf8")));
}

/** The error that a call of a client ends with. */
export function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => {
      throw new Error("the call did not fail");
    },
    (caught: unknown) => caught,
  );
}
