import { describe, expect, it } from "vitest";
import { parseResources } from "../../../src/config/load.js";
import { PassthroughIndex } from "../../../src/config/passthrough-index.js";
import { Snapshot } from "../../../src/config/snapshot.js";
import { contextWith, loaded } from "./files.js";

const HEAD = `_format_version: "1"
provider_keys: [{display_name: main, id: pk-1, provider: openai, api_key: k}]
models:
  - {display_name: cheap, provider: openai, model_name: gpt-small, provider_key: main}
  - {display_name: "all-*", provider: openai, model_name: "gpt-*", provider_key: main}
`;
const read = (entry: string) => parseResources(`${HEAD}passthrough_routes: [{${entry}}]\n`, contextWith({}));
const errors = (entry: string) => {
  const result = read(entry);
  return result.ok ? [] : result.errors.map(({ path, message }) => `${path}: ${message}`);
};

describe("passthrough_routes", () => {
  it("are read with their defaults, and provider keys by id", () => {
    const { traffic } = loaded(read('name: a, path_prefix: /a, target_url: "http://x/y", provider_key_id: pk-1'));
    expect(traffic.passthroughRoutes).toEqual([
      {
        ...{ id: "a", name: "a", pathPrefix: "/a", hosts: [], targetUrl: "http://x/y", authMode: "gateway_key" },
        ...{ authHeader: "", credentialMode: "inject", providerKey: "main", sourceCidrs: [], timeoutMs: 0 },
      },
    ]);
    expect(
      loaded(read('name: a, path_prefix: /a, target_url: "http://x", provider_key: main, enabled: false')).traffic,
    ).toMatchObject({ passthroughRoutes: [] });
  });

  it.each([
    ['path_prefix: /a, target_url: "http://x", provider_key: main', "name: is required (or display_name)"],
    ['name: a, target_url: "http://x", provider_key: main', "path_prefix: is required (or hosts)"],
    ["name: a, path_prefix: /a, provider_key: main", "target_url: is required (or preserve_host)"],
    [
      'name: a, path_prefix: /a, target_url: "http://x"',
      "provider_key: is required, or credential_mode: forward_client",
    ],
    [
      'name: a, path_prefix: /a, target_url: "http://x", provider_key: no',
      "provider_key: there is no provider key of this name",
    ],
    [
      "name: a, path_prefix: /a, preserve_host: true, provider_key: main",
      "hosts: is required: only hosts that are named may be called",
    ],
    [
      'name: a, path_prefix: /a, target_url: "http://x?y", provider_key: main',
      "target_url: must end with its path: no query, no fragment",
    ],
    [
      'name: a, path_prefix: /a, target_url: "http://x", provider_key: main, auth_mode: header_key',
      "auth_header_name: is required",
    ],
    [
      'name: a, path_prefix: /a, target_url: "http://x", provider_key: main, auth_mode: anonymous',
      "source_cidrs: is required: else everybody could use the provider key",
    ],
  ])("with %s are refused", (entry, message) => {
    expect(errors(entry)).toEqual([`passthrough_routes[0].${message}`]);
  });

  it.each(["/", "/a/", "a", "/../a", "/a//b", "/a%2e", "/a b", "/./a"])("with the prefix %s are refused", (prefix) => {
    expect(errors(`name: a, path_prefix: "${prefix}", target_url: "http://x", provider_key: main`)[0]).toContain(
      "path_prefix",
    );
  });
});

describe("the route of a request", () => {
  const base = {
    id: "",
    targetUrl: "http://x",
    authMode: "gateway_key",
    authHeader: "",
    credentialMode: "inject",
  } as const;
  const rest = { ...base, providerKey: "main", sourceCidrs: [], timeoutMs: 0 };
  const index = new PassthroughIndex([
    { ...rest, name: "short", pathPrefix: "/a", hosts: [] },
    { ...rest, name: "long", pathPrefix: "/a/b", hosts: [] },
    { ...rest, name: "host", pathPrefix: "", hosts: ["own.example"] },
    { ...rest, name: "part", pathPrefix: "/part", hosts: ["own.example"] },
  ]);

  it("is the one with the longest prefix, whole segments compared", () => {
    const named = (path: string) => index.byPath(path)?.route.name;
    expect(["/a", "/a/x", "/a/b", "/a/b/c", "/ab", "/"].map(named)).toEqual([
      "short",
      "short",
      "long",
      "long",
      undefined,
      undefined,
    ]);
  });

  it("is the host's where a host is given to routes", () => {
    const named = (host: string, path: string) => index.byHost(host, path)?.route.name;
    expect(named("OWN.example:8443", "/v1/models")).toBe("host");
    expect(named("own.example", "/part/x")).toBe("part");
    expect(named("other.example", "/a")).toBeUndefined();
  });
});

describe("a provider's own name of a model", () => {
  it("leads to the model that is configured for it, exact names and patterns", () => {
    const snapshot = new Snapshot(loaded(parseResources(HEAD, contextWith({}))));
    expect(snapshot.modelBehind("main", "gpt-small")?.name).toBe("cheap");
    expect(snapshot.modelBehind("main", "gpt-large")?.name).toBe("all-large");
    expect(snapshot.modelBehind("main", "other")).toBeUndefined();
    expect(snapshot.modelBehind("gone", "gpt-small")).toBeUndefined();
  });
});
