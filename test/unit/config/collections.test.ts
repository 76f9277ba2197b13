// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resource files is the subject here.
import { describe, expect, it } from "vitest";
import { parseResources } from "../../../src/config/load.js";
import { Snapshot } from "../../../src/config/snapshot.js";
import { contextWith, errorsOf, HASH, loaded } from "./files.js";

const HEAD = '_format_version: "1"\n';
const KEY = "{display_name: main, provider: openai, api_key: k}";
const errors = (text: string): string[] => errorsOf(parseResources(text, contextWith()));

describe("a file of all collections", () => {
  // In the words of those who come from another gateway: ids for references, the short form of policies.
  const text = `${HEAD}
provider_keys:
  - {id: 11111111-1111-4111-8111-111111111111, display_name: openai-prod, provider: openai, api_key: "\${UPSTREAM_KEY}"}
  - {id: 22222222-2222-4222-8222-222222222222, display_name: anthropic-prod, provider: anthropic, secret: k}
models:
  - {id: m-1, display_name: gpt, provider: openai, model_name: gpt-4o, provider_key_id: 11111111-1111-4111-8111-111111111111,
     cost: {input_per_1k: 0.0025, output_per_1k: 0.01}, cooldown: {enabled: true, default_seconds: 30}, retries: 1,
     background_model_check: {enabled: false, interval_seconds: 60, timeout_seconds: 10, stale_after_seconds: 300, prompt: ping, max_tokens: 1}}
  - {id: m-2, display_name: claude, provider: anthropic, model_name: c, provider_key_id: 22222222-2222-4222-8222-222222222222,
     auto_prompt_caching: {enabled: true}}
  - {id: m-3, display_name: vectors, provider: openai, model_name: e, provider_key_id: openai-prod, embedding: {dimensions: 1536}}
  - {id: m-4, display_name: chat, routing: {strategy: failover, targets: [{model_id: m-1}, {model: claude, priority: -1}], retries: 2,
     max_fallbacks: 1, retry_on_429: true, when_all_unavailable: try_anyway}}
  - {display_name: panel, ensemble: {panel: [{model: gpt, temperature: 0.7}, {model: claude}], judge: {model_id: m-2}, min_responses: 2}}
  - {display_name: topics, semantic: {embedding_model: vectors, default: chat, match: {threshold: 0.6, distance_metric: cosine, aggregation: max},
     routes: [{name: law, target_id: m-2, examples: [law]}], on_embedding_failure: {target: chat}}}
api_keys:
  - {id: k-1, display_name: alice, key_hash: ${HASH}, allowed_models: ["*"], team_id: t-1, user_id: u-1, rate_limit: {rpm: 60, tpm: 1000, concurrency: 2}}
rate_limit_policies:
  - {name: per-key, scope: api_key, scope_ref: k-1, window: minute, max_requests: 100}
  - {name: per-model, scope: model, scope_ref: m-4, window: hour, max_tokens: 5000,
     schedules: [{timezone: Asia/Shanghai, days_of_week: [mon, tue], start_time: "22:00", end_time: "09:00"}]}
  - {name: per-member, scope: team_member, scope_ref: t-1, window: second, max_requests: 5}
cache_policies:
  - {name: all, enabled: true, backend: memory, ttl_seconds: 600, applies_to: all}
  - {name: one, applies_to: "api_key:k-1"}
guardrails:
  - {id: g-1, name: words, kind: keyword, hook_point: input, patterns: [{kind: literal, value: x}], fail_open: true, mandatory: false}
  - {id: g-2, name: shield, kind: azure_content_safety, endpoint: "https://h", api_key: k, timeout_ms: 1000, output_fail_open: true}
guardrail_attachments:
  - {guardrail_id: g-1, scope_type: env, priority: 0}
  - {guardrail_id: g-2, scope_type: model, scope_id: m-1, priority: 10}
`;

  it("loads", () => {
    const resources = loaded(parseResources(text, contextWith({ UPSTREAM_KEY: "u" })));
    expect(resources.models.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      "gpt direct",
      "claude direct",
      "vectors direct",
      "chat routing",
      "panel ensemble",
      "topics semantic",
    ]);
    expect(resources.models[3]).toMatchObject({ routing: { targets: [{ model: "gpt" }, { model: "claude" }] } });
    expect(resources.traffic.policies.map(({ limits }) => limits)).toEqual([{ rpm: 100 }, { tph: 5000 }, { rps: 5 }]);
    expect(resources.traffic.cachePolicies[1]?.appliesTo).toEqual({ kind: "api_key", name: "alice" });
    expect(resources.traffic.attachments.map(({ guardrail, scopeRef }) => [guardrail, scopeRef])).toEqual([
      ["words", ""],
      ["shield", "gpt"],
    ]);
    expect(new Snapshot(resources).traffic).toBe(resources.traffic);
  });

  it("reports what is wrong in all of them at once", () => {
    const wrong = text
      .replace("${UPSTREAM_KEY}", "k")
      .replace("m-1}, {model: claude", "m-9}, {model: claude")
      .replace("rpm: 60", "rpm: none")
      .replace("scope_ref: m-4", "scope_ref: m-9")
      .replace("ttl_seconds: 600", "ttl_seconds: 0")
      .replace("name: shield", "name: words")
      .replace("scope_id: m-1", "scope_id: m-9");
    expect(errors(wrong).sort()).toEqual([
      "api_keys[0].rate_limit.rpm: must be a whole number",
      "cache_policies[0].ttl_seconds: must be at least 1",
      "guardrail_attachments[1].scope_id: there is no model of this name",
      "guardrails[1].name: is the same as that of guardrails[0]",
      "models[3].routing.targets[0].model_id: there is no model of this name",
      "rate_limit_policies[1].scope_ref: there is no model of this name",
    ]);
  });

  it("is refused, and breaks nothing, when it nests without end", () => {
    const deep = (depth: number): string => `${"{children: [".repeat(depth)}${"]}".repeat(depth)}`;
    for (const depth of [500, 5_000]) {
      const policy = `rate_limit_policies: [{name: p, limits: {rpm: 1}, conditions: ${deep(depth)}}]`;
      expect(errors(`${HEAD}${policy}`).length).toBeGreaterThan(0);
    }
  });
});

describe("what is not supported yet", () => {
  const text = `${HEAD}
mcp_servers: [{name: g, secret: "\${NOT_SET}"}]
provider_keys: [${KEY}]
guardrails:
  - {name: later, kind: semantic, categories: no, hook: "\${NOT_SET}"}
  - {name: now, kind: keyword, patterns: [], window_size: 100, created_at: "\${NOT_SET}"}
guardrail_attachments:
  - {guardrail: later, scope_type: env}
  - {guardrail: now, scope_type: env}
`;
  const places = ["guardrails[0].kind", "guardrails[1].created_at", "guardrails[1].window_size", "mcp_servers"];

  it("is refused by name, once", () => {
    expect(errors(text).sort()).toEqual(places.map((place) => `${place}: not yet supported`));
  });

  it("is left out, and listed, when asked for", () => {
    const result = parseResources(text, contextWith({}, { ignoreUnsupported: true }));
    const { traffic } = loaded(result);
    expect(traffic.guardrails.map(({ name }) => name)).toEqual(["now"]);
    expect(traffic.attachments).toEqual([{ guardrail: "now", scope: "env", scopeRef: "", priority: 0 }]);
    const listed = result.ok && result.ignored.map((error) => error.path).sort();
    expect(listed).toEqual(["guardrail_attachments[0].guardrail", ...places].sort());
  });
});
