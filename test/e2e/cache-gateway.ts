/** A gateway with cache policies in front of the fake upstream, and requests that nobody has made before. */
import type { FakeUpstream } from "../fake-upstream/fake-upstream.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { chat } from "./wire.js";

export const ADMIN_KEY = "admin-key";
/** A second caller's key. */
export const OTHER_KEY = "sk-other-key";

let counter = 0;

/** A prompt that no other test has used. */
export function fresh(): string {
  counter += 1;
  return `Question ${counter}`;
}

export function question(text = fresh(), more: Record<string, unknown> = {}, fake: Behaviour = {}) {
  return chat(fake, { messages: [{ role: "user", content: text }], ...more });
}

/** The same without the member that scripts the upstream: a script does. */
export function unscripted(text: string): Record<string, unknown> {
  const { fake: _, ...body } = question(text);
  return body;
}

export function cacheOf(answer: { headers: Headers }): string | null {
  return answer.headers.get("x-weir-cache");
}

/** Two acceptors, two callers' keys, and these policies; `key`: more of the first caller's key. */
export function startCaching(
  upstream: FakeUpstream,
  policies: readonly Record<string, unknown>[],
  { key = {}, more = {} }: { key?: Record<string, unknown>; more?: Record<string, unknown> } = {},
): Promise<RunningGateway> {
  const plain = oneProvider(upstream.url, key);
  const other = { display_name: "other", key_hash: sha256(OTHER_KEY), allowed_models: ["*"] };
  return startGateway({
    config: { acceptors: 2, ops: { listen: "127.0.0.1:0", admin_key_hashes: [sha256(ADMIN_KEY)] } },
    resources: { ...plain, api_keys: [...(plain.api_keys as object[]), other], cache_policies: policies, ...more },
  });
}
