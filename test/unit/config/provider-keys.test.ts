// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of variables in resource files is the subject here.
import { describe, expect, it } from "vitest";
import { parseResources } from "../../../src/config/load.js";
import { contextWith, loaded } from "./files.js";

const file = (providerKeys: string): string => `_format_version: "1"\nprovider_keys: ${providerKeys}\n`;

describe("a credential object", () => {
  it("is kept as it is, with its variables replaced", () => {
    const text = file("[{name: a, provider: openai, secret: {access_key_id: '${ID}', secret_access_key: 's'}}]");
    const [key] = loaded(parseResources(text, contextWith({ ID: "AKIA" }))).providerKeys;
    expect(key).toMatchObject({ apiKey: "", credential: { access_key_id: "AKIA", secret_access_key: "s" } });
  });

  it("may be text of several lines when it is JSON", () => {
    const text = file("[{name: a, provider: openai, secret: '${FILE}'}]");
    const [key] = loaded(parseResources(text, contextWith({ FILE: '{\n"type": "x"}' }))).providerKeys;
    expect(key?.apiKey).toBe('{\n"type": "x"}');
  });
});

function labels(count: number): string {
  return Array.from({ length: count }, (_, at) => `n${at}: v`).join(", ");
}

describe("a provider key", () => {
  it.each([
    ["api_base: 'ftp://x'", false],
    ["api_base: 'https://user:pass@host'", false],
    ["api_base: 'http://'", false],
    ["api_base: api.x.ai", true],
    ["api_base: 'http://[::1]:8000/v1'", true],
    ['api_key: "a\\r\\nx-evil: 1"', false],
    ["api_key: k, secret: l", false],
    ["tls: {ca_cert: /etc/ca.pem}", false],
    ['request: {default_headers: {a: "b\\nc"}}', false],
    ["request: {default_headers: {'a b': c}}", false],
    ["request: {param_renames: {a.b: c}}", false],
    ["request: {param_renames: {a: c}}", true],
    ["request: {body_set: {a.__proto__.b: 1}}", false],
    ["request: {body_set: {a..b: 1}}", false],
    ["request: {body_set: {a.b: {c: [1, x, null]}}}", true],
    ["request: {body_remove: ['']}", false],
    ["request: {param_constraints: {temperature_min: 1, temperature_max: 0}}", false],
    ["request: {forward_client_headers: ['*']}", true],
    ["request: {forward_client_headers: ['x-*-*']}", false],
    ["response: {stream_done_marker: ''}", true],
    ["region: 'x.evil.example'", false],
    ["request: {default_headers: {X-A: b, x-a: c}}", false],
    ["request: {default_headers: {Content-Length: '0'}}", false],
    ["strip_headers: ['a:b']", false],
    ["telemetry_tags: {account: blue, '': x}", false],
    ["telemetry_tags: {account: 1}", false],
    ["telemetry_tags: [account]", false],
    [`telemetry_tags: {${"n".repeat(64)}: ${"v".repeat(256)}}`, true],
    [`telemetry_tags: {${"n".repeat(65)}: v}`, false],
    [`telemetry_tags: {n: ${"v".repeat(257)}}`, false],
    [`telemetry_tags: {${labels(32)}}`, true],
    [`telemetry_tags: {${labels(33)}}`, false],
    ["__proto__: {}", false],
  ])("provider key with %s is accepted: %s", (fields, valid) => {
    const text = file(`[{display_name: a, provider: openai, ${fields}}]`);
    expect(parseResources(text, contextWith()).ok).toBe(valid);
  });
});
