// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resource files is in play here.
import { describe, expect, it } from "vitest";
import { parseResources } from "../../../src/config/load.js";
import type { Traffic } from "../../../src/config/traffic.js";
import { contextWith, errorsOf, HASH, loaded } from "./files.js";

function file(...collections: string[]): string {
  return `_format_version: "1"
provider_keys: [{id: id-k, display_name: main, provider: openai, api_key: k}]
models:
  - {id: id-a, name: a, provider: openai, model_name: x, provider_key: main}
  - {name: "p-*", provider: openai, model_name: "*", provider_key: main}
api_keys: [{id: id-ci, name: ci, key_hash: ${HASH}}]
${collections.join("\n")}
`;
}

const environment = { SECRET: "s3cret" };
const traffic = (...collections: string[]): Traffic =>
  loaded(parseResources(file(...collections), contextWith(environment))).traffic;
const errors = (...collections: string[]): string[] =>
  errorsOf(parseResources(file(...collections), contextWith(environment)));
const rule = (fields: string): unknown => traffic(`guardrails: [{name: g, ${fields}}]`).guardrails[0]?.rule;

describe("guardrails of every kind", () => {
  it("have their defaults", () => {
    const own = "guardrails: [{name: g, kind: webhook, url: 'http://h/x'}, {name: l, kind: keyword, patterns: []}]";
    const [remote, local] = traffic(own).guardrails;
    expect(remote).toEqual({
      id: "g",
      name: "g",
      enabled: true,
      hookPoint: "both",
      mode: "block",
      failOpen: true,
      outputFailOpen: false,
      mandatory: false,
      timeoutMs: 5000,
      rule: { kind: "webhook", url: "http://h/x", headers: {} },
    });
    expect(local).toMatchObject({ timeoutMs: 0, outputFailOpen: false });
  });

  it("have what is given; a mandatory one is never passed over", () => {
    const open = "fail_open: true, output_fail_open: true";
    const fields = `id: i, display_name: g, enabled: false, hook_point: output, enforcement_mode: monitor, timeout_ms: 7, ${open}`;
    const webhook = "kind: webhook, url: 'https://h'";
    expect(traffic(`guardrails: [{${webhook}, ${fields}}]`).guardrails[0]).toMatchObject({
      id: "i",
      name: "g",
      enabled: false,
      hookPoint: "output",
      mode: "monitor",
      failOpen: true,
      outputFailOpen: true,
      timeoutMs: 7,
    });
    expect(traffic(`guardrails: [{${webhook}, ${fields}, mandatory: true}]`).guardrails[0]).toMatchObject({
      mandatory: true,
      failOpen: false,
      outputFailOpen: false,
    });
  });

  it.each([
    [
      "{name: g}",
      "kind: must be one of keyword, pii, webhook, openai_moderation, bedrock, presidio, azure_content_safety, azure_content_safety_text_moderation, lakera",
    ],
    [
      "{name: g, kind: magic}",
      "kind: must be one of keyword, pii, webhook, openai_moderation, bedrock, presidio, azure_content_safety, azure_content_safety_text_moderation, lakera",
    ],
    ["{name: g, kind: semantic}", "kind: not yet supported"],
    ["{kind: keyword, patterns: []}", "name: is required (or display_name)"],
    ["{name: g, kind: keyword, patterns: [], hook_point: all}", "hook_point: must be one of input, output, both"],
    [
      "{name: g, kind: keyword, patterns: [], enforcement_mode: hint}",
      "enforcement_mode: must be one of block, monitor",
    ],
    ["{name: g, kind: keyword, patterns: [], url: 'http://h'}", "url: unknown field"],
    ["{name: g, kind: keyword, patterns: [], timeout_ms: 5}", "timeout_ms: unknown field"],
    ["{name: g, kind: keyword, patterns: [], window_size: 5}", "window_size: not yet supported"],
    ["{name: g, kind: webhook, url: 'http://h', timeout_ms: 0}", "timeout_ms: must be at least 1"],
  ])("%s is refused", (entry, expected) => {
    expect(errors(`guardrails: [${entry}]`)).toEqual([`guardrails[0].${expected}`]);
  });
});

describe("each kind", () => {
  it("keyword", () => {
    const patterns = "[{kind: literal, value: x}, {kind: regex, value: 'a+'}]";
    expect(rule(`kind: keyword, patterns: ${patterns}`)).toEqual({
      kind: "keyword",
      patterns: [
        { kind: "literal", value: "x" },
        { kind: "regex", value: "a+" },
      ],
    });
    // A literal that would be no pattern is none.
    expect(rule("kind: keyword, patterns: [{kind: literal, value: '(?=x)'}]")).toBeDefined();
  });

  it("pii", () => {
    const custom = "[{name: n, regex: x, replacement: ''}, {name: o, regex: y, action: block}]";
    const detectors = "[{type: email}, {type: us_ssn, action: mask}]";
    const fields = `kind: pii, detectors: ${detectors}, custom_patterns: ${custom}`;
    expect(rule(fields)).toEqual({
      kind: "pii",
      detectors: [
        { type: "email", action: "mask" },
        { type: "us_ssn", action: "mask" },
      ],
      customPatterns: [
        { name: "n", regex: "x", action: "mask", replacement: "" },
        { name: "o", regex: "y", action: "block", replacement: null },
      ],
    });
    expect(rule("kind: pii, default_action: block, detectors: [{type: email}]")).toMatchObject({
      detectors: [{ type: "email", action: "block" }],
    });
  });

  it("webhook", () => {
    const headers = "headers: {X-Key: '${SECRET}'}";
    expect(rule(`kind: webhook, url: 'http://10.0.0.1:9/x?y=z', ${headers}`)).toEqual({
      kind: "webhook",
      url: "http://10.0.0.1:9/x?y=z",
      headers: { "x-key": "s3cret" },
    });
  });

  it("openai_moderation", () => {
    const fields = "kind: openai_moderation, api_key: k";
    const none = { apiBase: null, apiKey: "k", model: "omni-moderation-latest", thresholds: {} };
    expect(rule(fields)).toEqual({ kind: "openai_moderation", ...none });
    expect(rule(`${fields}, endpoint: 'https://h/v1', model: m, category_thresholds: {violence: 0.5}`)).toEqual({
      kind: "openai_moderation",
      apiBase: "https://h/v1",
      apiKey: "k",
      model: "m",
      thresholds: { violence: 0.5 },
    });
  });

  it("bedrock", () => {
    const fields = "kind: bedrock, guardrail_id: gr, guardrail_version: DRAFT, region: eu-west-1";
    const same = { kind: "bedrock", guardrailIdentifier: "gr", guardrailVersion: "DRAFT", region: "eu-west-1" };
    expect(rule(`${fields}, provider_key_id: id-k`)).toEqual({
      ...same,
      apiBase: null,
      providerKey: "main",
      credential: null,
    });
    const keys = "aws_credentials: {kind: static, access_key_id: a, secret_access_key: b}";
    expect(rule(`${fields}, ${keys}, endpoint: 'http://h'`)).toEqual({
      ...same,
      apiBase: "http://h",
      providerKey: "",
      credential: { access_key_id: "a", secret_access_key: "b" },
    });
    const timed = (mode: string): number | undefined =>
      traffic(`guardrails: [{name: g, ${fields}, ${keys}, latency_mode: ${mode}}]`).guardrails[0]?.timeoutMs;
    expect([timed("{kind: serial}"), timed("{kind: timed, timeout_ms: 250}")]).toEqual([5000, 250]);
  });

  it("presidio", () => {
    const fields = "kind: presidio, analyzer_url: 'http://a:3000'";
    expect(rule(fields)).toEqual({
      kind: "presidio",
      analyzerUrl: "http://a:3000",
      anonymizerUrl: null,
      language: "en",
      entities: [],
      scoreThreshold: 0,
      action: "mask",
      operator: "replace",
    });
    const more = "anonymizer_url: 'http://b', language: de, entities: [PERSON, {type: US_SSN, action: mask}]";
    expect(rule(`${fields}, ${more}, score_threshold: 0.4, default_action: block, operator: hash`)).toMatchObject({
      anonymizerUrl: "http://b",
      entities: [
        { type: "PERSON", action: "block" },
        { type: "US_SSN", action: "mask" },
      ],
      scoreThreshold: 0.4,
      operator: "hash",
    });
  });

  it("azure_content_safety looks for attacks, its text moderation for harm", () => {
    const fields = "endpoint: 'https://h', api_key: k";
    expect(rule(`kind: azure_content_safety, ${fields}`)).toEqual({
      kind: "azure_content_safety",
      endpoint: "https://h",
      apiKey: "k",
      apiVersion: "2024-09-01",
      severities: {},
      blocklists: [],
      promptShield: true,
    });
    const harm = "severity_threshold_by_category: {Hate: 6}, blocklist_names: [words]";
    expect(rule(`kind: azure_content_safety_text_moderation, ${fields}, ${harm}`)).toMatchObject({
      kind: "azure_content_safety",
      severities: { Hate: 6, Sexual: 2, SelfHarm: 2, Violence: 2 },
      blocklists: ["words"],
      promptShield: false,
    });
  });

  it("lakera", () => {
    const none = { apiBase: null, apiKey: "k", projectId: null };
    expect(rule("kind: lakera, api_key: k")).toEqual({ kind: "lakera", ...none });
    expect(rule("kind: lakera, api_key: k, endpoint: 'http://h', project_id: p")).toMatchObject({
      apiBase: "http://h",
      projectId: "p",
    });
  });

  it.each([
    ["kind: keyword", "patterns: is required"],
    ["kind: keyword, patterns: [{kind: glob, value: x}]", "patterns[0].kind: must be one of literal, regex"],
    ["kind: keyword, patterns: [{kind: literal, value: ''}]", "patterns[0].value: must be at least 1 characters long"],
    ["kind: keyword, patterns: [{kind: regex, value: '(?=x)'}]", "patterns[0].value: must be a pattern"],
    ["kind: pii", "detectors: is required (or custom_patterns)"],
    [
      "kind: pii, detectors: [{type: soul}]",
      "detectors[0].type: must be one of email, phone, credit_card, us_ssn, iban, ip_address, api_key, jwt, private_key, bank_card, china_mobile, china_id_card",
    ],
    ["kind: pii, detectors: [{type: email}, {type: email}]", "detectors[1].type: stands there twice"],
    ["kind: pii, custom_patterns: [{name: n, regex: '(?=x)'}]", "custom_patterns[0].regex: must be a pattern"],
    [
      "kind: pii, custom_patterns: [{name: n, regex: x, action: block, replacement: y}]",
      "custom_patterns[0].replacement: goes with the action mask alone",
    ],
    ["kind: webhook", "url: is required"],
    ["kind: webhook, url: 'ftp://h'", "url: must be an http or https address without credentials"],
    ["kind: webhook, url: 'http://u:p@h'", "url: must be an http or https address without credentials"],
    ["kind: webhook, url: h", "url: must be an http or https address without credentials"],
    ["kind: webhook, url: 'http://h', headers: {A: x, a: y}", "headers: names the same header twice"],
    ["kind: openai_moderation", "api_key: is required"],
    ["kind: openai_moderation, api_key: k, category_thresholds: {x: 2}", "category_thresholds.x: must be at most 1"],
    [
      "kind: bedrock, guardrail_id: x, guardrail_version: '1', region: eu-west-1",
      "provider_key: is required (or provider_key_id)",
    ],
    [
      "kind: bedrock, guardrail_id: x, guardrail_version: '1', region: eu-west-1, provider_key: gone",
      "provider_key: there is no provider key of this name",
    ],
    [
      "kind: bedrock, guardrail_id: x, guardrail_version: '1', region: eu-west-1, provider_key: main, aws_credentials: {access_key_id: a, secret_access_key: b}",
      "aws_credentials: cannot stand beside a provider key: one of the two signs",
    ],
    [
      "kind: bedrock, guardrail_id: x, guardrail_version: '1', region: 'a/b', provider_key: main",
      "region: must be the name of a region",
    ],
    ["kind: presidio", "analyzer_url: is required"],
    ["kind: presidio, analyzer_url: 'http://h', score_threshold: 2", "score_threshold: must be at most 1"],
    ["kind: azure_content_safety, api_key: k", "endpoint: is required"],
    [
      "kind: azure_content_safety, endpoint: 'http://h', api_key: k, severity_threshold: 8",
      "severity_threshold: must be at most 7",
    ],
    [
      "kind: azure_content_safety_text_moderation, endpoint: 'http://h', api_key: k, categories: [Rude]",
      "categories[0]: must be one of Hate, Sexual, SelfHarm, Violence",
    ],
    ["kind: lakera", "api_key: is required"],
  ])("with %s is refused", (fields, expected) => {
    expect(errors(`guardrails: [{name: g, ${fields}}]`)).toEqual([`guardrails[0].${expected}`]);
  });

  it("never repeats a secret", () => {
    const text = "guardrails: [{name: g, kind: webhook, url: 'http://u:${SECRET}@h', headers: {a: \"${SECRET}\\n\"}}]";
    expect(errors(text).join()).not.toContain("s3cret");
  });
});

describe("attachments", () => {
  const guardrails = "guardrails: [{id: id-g, name: g, kind: keyword, patterns: []}]";
  const attachments = (...entries: string[]): readonly unknown[] =>
    traffic(guardrails, `guardrail_attachments: [${entries.map((entry) => `{${entry}}`).join(", ")}]`).attachments;

  it("name guardrails and what they are attached to however the file does", () => {
    expect(
      attachments(
        "guardrail_id: id-g, scope_type: env, scope_id: null",
        "guardrail_id: g, scope_type: model, scope_id: id-a, priority: 3",
        "guardrail: g, scope_type: model, scope_id: p-4",
        "guardrail: g, scope_type: api_key, scope_id: id-ci",
        "guardrail: g, scope_type: team, scope_id: t",
        "guardrail: g, scope_type: env, enabled: false",
      ),
    ).toEqual([
      { guardrail: "g", scope: "env", scopeRef: "", priority: 0 },
      { guardrail: "g", scope: "model", scopeRef: "a", priority: 3 },
      { guardrail: "g", scope: "model", scopeRef: "p-4", priority: 0 },
      { guardrail: "g", scope: "api_key", scopeRef: "ci", priority: 0 },
      { guardrail: "g", scope: "team", scopeRef: "t", priority: 0 },
    ]);
  });

  it.each([
    ["scope_type: env", "guardrail: is required (or guardrail_id)"],
    ["guardrail: gone, scope_type: env", "guardrail: there is no guardrail of this name"],
    ["guardrail: g, scope_type: env, scope_id: x", "scope_id: does not go with the scope env"],
    ["guardrail: g, scope_type: team", "scope_id: is required"],
    ["guardrail: g, scope_type: model, scope_id: gone", "scope_id: there is no model of this name"],
    ["guardrail: g, scope_type: model, scope_id: 'p-*'", "scope_id: must name one model, without a *"],
    ["guardrail: g, scope_type: api_key, scope_id: gone", "scope_id: there is no API key of this name"],
    [
      "guardrail: g, scope_type: fleet, scope_id: x",
      "scope_type: must be one of env, model, api_key, team, passthrough_route",
    ],
    [
      "guardrail: g, scope_type: passthrough_route, scope_id: x",
      "scope_id: there is no passthrough route of this name",
    ],
    ["guardrail: g, scope_type: env, priority: high", "priority: must be a whole number"],
  ])("with %s are refused", (fields, expected) => {
    expect(errors(guardrails, `guardrail_attachments: [{${fields}}]`)).toEqual([
      `guardrail_attachments[0].${expected}`,
    ]);
  });
});
