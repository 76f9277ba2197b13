import { describe, expect, it } from "vitest";
import { parseResources } from "../../../src/config/load.js";
import type { ModelResource } from "../../../src/config/resources.js";
import { Snapshot } from "../../../src/config/snapshot.js";
import { DEFAULT_COOLDOWN } from "../../../src/config/traffic.js";
import { contextWith, errorsOf, loaded } from "./files.js";

const DIRECT = "provider: openai, model_name: x, provider_key: main";

/** A file with two direct models, a pattern, one of each other kind, and the entry in question. */
function file(...entries: string[]): string {
  return `_format_version: "1"
provider_keys: [{display_name: main, provider: openai, api_key: k}]
models:
  - {id: id-a, name: a, ${DIRECT}}
  - {id: id-b, name: b, ${DIRECT}}
  - {id: id-p, name: "p-*", provider: openai, model_name: "*", provider_key: main}
  - {id: id-g, name: group, routing: {targets: [{model: a}]}}
  - {name: panel, ensemble: {panel: [{model: a}], judge: {model: b}}}
  - {name: meaning, semantic: {embedding_model: a, default: b, match: {threshold: 0.5}, routes: [{name: r, target: a, examples: [x]}]}}
${entries.map((entry) => `  - {name: m, ${entry}}\n`).join("")}`;
}

const FIRST = 6;
const errors = (...entries: string[]): string[] =>
  errorsOf(parseResources(file(...entries), contextWith())).map((line) => line.replace(`models[${FIRST}].`, ""));
const model = (entry: string): ModelResource | undefined =>
  loaded(parseResources(file(entry), contextWith())).models[FIRST];

describe("a direct model", () => {
  it("has the defaults of what is not given", () => {
    expect(model(DIRECT)).toMatchObject({
      kind: "direct",
      retries: null,
      cooldown: DEFAULT_COOLDOWN,
      backgroundCheck: null,
      cost: null,
      embedding: null,
      autoPromptCaching: null,
    });
    expect(model(`${DIRECT}, cooldown: {}`)).toMatchObject({ cooldown: DEFAULT_COOLDOWN });
  });

  it("has what is given", () => {
    const entry = `${DIRECT}, retries: 3, cooldown: {enabled: false, default_seconds: 1, max_seconds: 2, honor_retry_after: false,
      trigger_statuses: [401], trigger_on_timeout: false, trigger_on_transport: false},
      background_model_check: {interval_seconds: 5, timeout_seconds: 6, stale_after_seconds: 7, prompt: hi, max_tokens: 8, ignore_statuses: [429]},
      cost: {input_per_1k: 0.1, output_per_1k: 2, cached_input_per_1k: 3, cache_write_per_1k: 4, per_request: 5, per_image: 6, per_second: 7},
      embedding: {dimensions: 16, normalize: false}, auto_prompt_caching: {enabled: true, ttl: 1h}`;
    expect(model(entry)).toMatchObject({
      retries: 3,
      cooldown: {
        enabled: false,
        defaultSeconds: 1,
        maxSeconds: 2,
        honorRetryAfter: false,
        triggerStatuses: [401],
        triggerOnTimeout: false,
        triggerOnTransport: false,
      },
      backgroundCheck: {
        intervalSeconds: 5,
        timeoutSeconds: 6,
        staleAfterSeconds: 7,
        prompt: "hi",
        maxTokens: 8,
        ignoreStatuses: [429],
      },
      cost: {
        inputPer1k: 0.1,
        outputPer1k: 2,
        cachedInputPer1k: 3,
        cacheWritePer1k: 4,
        perRequest: 5,
        perImage: 6,
        perSecond: 7,
      },
      embedding: { dimensions: 16, normalize: false },
      autoPromptCaching: { ttl: "1h" },
    });
  });

  it("has no checks and no marks when they are switched off", () => {
    const off = "background_model_check: {enabled: false}, auto_prompt_caching: {enabled: false}";
    expect(model(`${DIRECT}, ${off}`)).toMatchObject({ backgroundCheck: null, autoPromptCaching: null });
  });

  it.each([
    ["model_name: x, provider_key: main", "provider: is required (or one of routing, ensemble, semantic)"],
    ["provider: openai, provider_key: main", "model_name: is required"],
    [`${DIRECT}, retries: 11`, "retries: must be at most 10"],
    [`${DIRECT}, retries: 0.5`, "retries: must be a whole number"],
    [`${DIRECT}, cooldown: {max_seconds: 0}`, "cooldown.max_seconds: must be at least 1"],
    [`${DIRECT}, cooldown: {trigger_statuses: [600]}`, "cooldown.trigger_statuses[0]: must be at most 599"],
    [
      `${DIRECT}, background_model_check: {interval_seconds: 1}`,
      "background_model_check.interval_seconds: must be at least 5",
    ],
    [`${DIRECT}, cost: {per_image: -1}`, "cost.per_image: must be at least 0"],
    [`${DIRECT}, cost: {per_image: cheap}`, "cost.per_image: must be a number"],
    [`${DIRECT}, cost: {per_page: 1}`, "cost.per_page: unknown field"],
    [`${DIRECT}, embedding: {dimensions: 0}`, "embedding.dimensions: must be at least 1"],
    [`${DIRECT}, auto_prompt_caching: {ttl: 2h}`, "auto_prompt_caching.ttl: must be one of 5m, 1h"],
  ])("with %s is refused", (entry, expected) => {
    expect(errors(entry)).toEqual([expected]);
  });
});

describe("a name with several models behind it", () => {
  it("may have what concerns requests to the name", () => {
    const shared = "rate_limit: {rpm: 5}, timeout: 10, stream_timeout: 20, strict: true, allowed_cidrs: [10.0.0.0/8]";
    expect(model(`${shared}, routing: {targets: [{model: a}]}`)).toEqual({
      kind: "routing",
      name: "m",
      rateLimit: { rpm: 5 },
      timeoutMs: 10,
      streamTimeoutMs: 20,
      retries: null,
      strict: true,
      allowedCidrs: ["10.0.0.0/8"],
      routing: {
        strategy: "failover",
        targets: [{ model: "a", weight: 1, priority: 0, tags: [] }],
        retries: null,
        maxFallbacks: null,
        retryOn429: false,
        fallbackOnStatuses: [],
        whenAllUnavailable: "fail",
        hashOn: [],
        continueOnFailure: false,
      },
    });
  });

  it("has nothing of one provider's model, and each field is named", () => {
    const fields = `${DIRECT}, provider_key_id: main, cooldown: {}, background_model_check: {}, cost: {}, embedding: {}, auto_prompt_caching: {}`;
    const names = fields.match(/[a-z_]+(?=:)/g) ?? [];
    expect(errors(`${fields}, ensemble: {panel: [{model: a}], judge: {model: a}}`).sort()).toEqual(
      names.map((name) => `${name}: is a field of direct models, and this one has ensemble`).sort(),
    );
    expect(errors("retries: 1, routing: {targets: [{model: a}]}")).toEqual([
      "retries: is a field of direct models, and this one has routing; here it is routing.retries",
    ]);
  });

  it("is of one kind", () => {
    const two = "routing: {targets: [{model: a}]}, ensemble: {panel: [{model: a}], judge: {model: a}}";
    expect(errors(two)).toEqual(["ensemble: cannot stand beside routing: a model is one kind"]);
  });
});

describe("routing", () => {
  it("has what is given, and names models however the file does", () => {
    const targets =
      "[{model: b, weight: 0}, {model_id: id-a, weight: 3, priority: -1, tags: [t]}, {model: p-7}, {model_id: b}]";
    const rest =
      "retries: 1, max_fallbacks: 2, retry_on_429: true, fallback_on_statuses: [409], when_all_unavailable: try_anyway";
    const hash =
      "hash_on: [{type: header, name: X-User}, {type: cookie, name: Sid}, {type: api_key}, {type: client_ip}]";
    const entry = `routing: {strategy: consistent_hash, targets: ${targets}, ${rest}, ${hash}, continue_on_failure: true}`;
    expect(model(entry)).toMatchObject({
      routing: {
        strategy: "consistent_hash",
        targets: [
          { model: "b", weight: 0, priority: 0, tags: [] },
          { model: "a", weight: 3, priority: -1, tags: ["t"] },
          { model: "p-7", weight: 1, priority: 0, tags: [] },
          { model: "b", weight: 1, priority: 0, tags: [] },
        ],
        retries: 1,
        maxFallbacks: 2,
        retryOn429: true,
        fallbackOnStatuses: [409],
        whenAllUnavailable: "try_anyway",
        hashOn: [
          { type: "header", name: "x-user" },
          { type: "cookie", name: "Sid" },
          { type: "api_key", name: "" },
          { type: "client_ip", name: "" },
        ],
        continueOnFailure: true,
      },
    });
  });

  it("leads to what the snapshot finds under each target's name", () => {
    const resources = loaded(
      parseResources(file("routing: {targets: [{model_id: id-a}, {model: p-7}]}"), contextWith()),
    );
    const snapshot = new Snapshot(resources);
    const entry = snapshot.findModel("m")?.entry;
    const targets = entry?.kind === "routing" ? entry.routing.targets : [];
    expect(targets.map((target) => snapshot.findModel(target.model)?.direct?.upstreamModel)).toEqual(["x", "7"]);
  });

  it.each([
    ["[]", "targets: must have at least 1 entries"],
    ["[{}]", "targets[0].model: is required (or model_id)"],
    ["[{model: a, model_id: id-a}]", "targets[0].model_id: is another name for model: give one of the two"],
    ["[{model: a}, {model: gone}]", "targets[1].model: there is no model of this name"],
    ["[{model: id-a}]", "targets[0].model: there is no model of this name"],
    ["[{model_id: gone}]", "targets[0].model_id: there is no model of this name"],
    ["[{model: m}]", "targets[0].model: must be a direct model"],
    ["[{model: group}]", "targets[0].model: must be a direct model"],
    ["[{model_id: id-g}]", "targets[0].model_id: must be a direct model"],
    ["[{model: panel}]", "targets[0].model: must be a direct model"],
    ["[{model: meaning}]", "targets[0].model: must be a direct model"],
    ['[{model: "p-*"}]', "targets[0].model: must name one model, without a *"],
    ["[{model_id: id-p}]", "targets[0].model_id: must name one model, without a *"],
    ["[{model: a, weight: 0}, {model: b, weight: 0}]", "targets: must not all have weight 0"],
    ["[{model: a, weight: 0.5}]", "targets[0].weight: must be a whole number"],
    ["[{model: a, weight: -1}]", "targets[0].weight: must be at least 0"],
    ["[{model: a, weight: 10001}]", "targets[0].weight: must be at most 10000"],
    ["[{model: a, priority: 1.5}]", "targets[0].priority: must be a whole number"],
    ["[{model: a, tags: ['']}]", "targets[0].tags[0]: must be at least 1 characters long"],
    [
      "[{model: a}], strategy: random",
      "strategy: must be one of failover, round_robin, consistent_hash, least_cost, least_latency, least_busy",
    ],
    ["[{model: a}], max_fallbacks: -1", "max_fallbacks: must be at least 0"],
    ["[{model: a}], retries: 11", "retries: must be at most 10"],
    ["[{model: a}], fallback_on_statuses: [200]", "fallback_on_statuses[0]: must be at least 400"],
    ["[{model: a}], hash_on: [{type: api_key}]", "hash_on: goes with the strategy consistent_hash alone"],
    ["[{model: a}], strategy: consistent_hash, hash_on: [{type: header}]", "hash_on[0].name: is required"],
    [
      "[{model: a}], strategy: consistent_hash, hash_on: [{type: client_ip, name: x}]",
      "hash_on[0].name: goes with header and cookie alone",
    ],
  ])("with targets %s is refused", (targets, expected) => {
    expect(errors(`routing: {targets: ${targets}}`)).toEqual([`routing.${expected}`]);
  });
});

describe("an ensemble", () => {
  it("asks for two answers of a panel that has two", () => {
    const judge = "judge: {model_id: id-b, synthesis_prompt: weigh}";
    const least = (panel: string): unknown => {
      const entry = model(`ensemble: {panel: ${panel}, ${judge}}`);
      return entry?.kind === "ensemble" && entry.ensemble;
    };
    expect(least("[{model: a, temperature: 0.5, seed: 7}, {model: b}, {model: p-1}]")).toEqual({
      panel: [
        { model: "a", temperature: 0.5, seed: 7 },
        { model: "b", temperature: null, seed: null },
        { model: "p-1", temperature: null, seed: null },
      ],
      judge: { model: "b", synthesisPrompt: "weigh" },
      minResponses: 2,
      timeoutMs: 0,
    });
    expect(least("[{model: a}]")).toMatchObject({ minResponses: 1 });
  });

  it.each([
    ["panel: [], judge: {model: a}", "panel: must have at least 1 entries"],
    ["panel: [{model: a}]", "judge: is required"],
    ["panel: [{model: a}], judge: {}", "judge.model: is required (or model_id)"],
    ["panel: [{model: group}], judge: {model: a}", "panel[0].model: must be a direct model"],
    ["panel: [{model: a}], judge: {model: panel}", "judge.model: must be a direct model"],
    [
      "panel: [{model: a}], judge: {model: a}, min_responses: 2",
      "min_responses: must be at most the size of the panel",
    ],
    ["panel: [{model: a, seed: 0.5}], judge: {model: a}", "panel[0].seed: must be a whole number"],
  ])("with %s is refused", (ensemble, expected) => {
    expect(errors(`ensemble: {${ensemble}}`)).toEqual([`ensemble.${expected}`]);
  });
});

describe("semantic routing", () => {
  const base = "embedding_model: a, default: b, match: {threshold: 0.5}";
  const route = "{name: r, target: group, examples: [x]}";

  it("leads to any kind but its own", () => {
    const routes = `[${route}, {name: s, target: panel, examples: [y], threshold: 0.9, description: d}]`;
    const entry = `semantic: {embedding_model_id: id-a, default_id: id-g, match: {threshold: 0.5}, routes: ${routes}, on_embedding_failure: {target_id: id-b}}`;
    expect(model(entry)).toMatchObject({
      kind: "semantic",
      semantic: {
        embeddingModel: "a",
        defaultTarget: "group",
        threshold: 0.5,
        routes: [
          { name: "r", target: "group", examples: ["x"], threshold: null },
          { name: "s", target: "panel", examples: ["y"], threshold: 0.9 },
        ],
        embeddingTimeoutMs: 0,
        onEmbeddingFailure: { action: "target", target: "b" },
      },
    });
    expect(model(`semantic: {${base}, routes: [${route}], on_embedding_failure: fail}`)).toMatchObject({
      semantic: { onEmbeddingFailure: { action: "fail", target: "" } },
    });
  });

  it.each([
    [`${base}, routes: []`, "routes: must have at least 1 entries"],
    [`default: b, match: {threshold: 0}, routes: [${route}]`, "embedding_model: is required (or embedding_model_id)"],
    [
      `embedding_model: group, default: b, match: {threshold: 0}, routes: [${route}]`,
      "embedding_model: must be a direct model",
    ],
    [
      `embedding_model: a, default: meaning, match: {threshold: 0}, routes: [${route}]`,
      "default: must not be a semantic model",
    ],
    [`embedding_model: a, default: b, match: {threshold: 2}, routes: [${route}]`, "match.threshold: must be at most 1"],
    [`embedding_model: a, default: b, match: {}, routes: [${route}]`, "match.threshold: is required"],
    [`${base}, routes: [{name: r, target: m, examples: [x]}]`, "routes[0].target: must not be a semantic model"],
    [`${base}, routes: [{name: r, target: gone, examples: [x]}]`, "routes[0].target: there is no model of this name"],
    [`${base}, routes: [{name: r, target: a, examples: []}]`, "routes[0].examples: must have at least 1 entries"],
    [`${base}, routes: [${route}, ${route}]`, "routes[1].name: is the name of another route, too"],
    [`${base}, routes: [${route}], on_embedding_failure: panic`, "on_embedding_failure: must be one of default, fail"],
    [
      `${base}, routes: [${route}], on_embedding_failure: {}`,
      "on_embedding_failure.target: is required (or target_id)",
    ],
    [
      `${base}, routes: [${route}], on_embedding_failure: {target: gone}`,
      "on_embedding_failure.target: there is no model of this name",
    ],
  ])("with %s is refused", (semantic, expected) => {
    expect(errors(`semantic: {${semantic}}`)).toEqual([`semantic.${expected}`]);
  });
});
