import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { entraCredentials } from "../../../../src/providers/auth/entra.js";
import { failureOf, fakeEndpoint, REQUEST, world } from "./endpoint-fake.js";

const ANSWER = { access_token: "eyJ.token", expires_in: 3600, token_type: "Bearer" };
const BEARER = ["authorization", "Bearer eyJ.token"];
const SECRET = { kind: "secret", tenantId: "tenant", clientId: "client", clientSecret: "hush" } as const;

describe("Entra ID credentials", () => {
  it("exchange a client secret", async () => {
    const endpoint = await fakeEndpoint(() => [200, ANSWER]);
    const credentials = entraCredentials({ ...SECRET, authorityHost: endpoint.url }, world().context);
    expect(await credentials.headers(REQUEST)).toEqual(BEARER);
    expect(endpoint.seen[0]?.url).toBe("/tenant/oauth2/v2.0/token");
    expect(Object.fromEntries(new URLSearchParams(endpoint.seen[0]?.body))).toEqual({
      grant_type: "client_credentials",
      client_id: "client",
      client_secret: "hush",
      scope: "https://cognitiveservices.azure.com/.default",
    });
    expect(credentials.headers(REQUEST)).toEqual(BEARER);
  });

  it("exchange the token of a federated workload, its file read anew", async () => {
    const endpoint = await fakeEndpoint(() => [200, ANSWER]);
    const environment = {
      AZURE_TENANT_ID: "t",
      AZURE_CLIENT_ID: "c",
      AZURE_FEDERATED_TOKEN_FILE: "/jwt",
      AZURE_AUTHORITY_HOST: `${endpoint.url}/`,
    };
    const at = world(environment, { "/jwt": "first\n" });
    const credentials = entraCredentials({ kind: "default" }, at.context);
    await credentials.headers(REQUEST);
    at.files.set("/jwt", "second");
    at.clock.now += 4_000_000;
    await credentials.headers(REQUEST);
    const forms = endpoint.seen.map(({ body }) => new URLSearchParams(body));
    expect(forms.map((form) => form.get("client_assertion"))).toEqual(["first", "second"]);
    expect(forms[0]?.get("client_assertion_type")).toBe("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  });

  it("ask App Service for a managed identity", async () => {
    const answer = { access_token: "eyJ.token", expires_on: String(Date.parse("2025-01-02T04:00:00Z") / 1000) };
    const endpoint = await fakeEndpoint(() => [200, answer]);
    const at = world({ IDENTITY_ENDPOINT: `${endpoint.url}/msi/token`, IDENTITY_HEADER: "header" });
    const credentials = entraCredentials({ kind: "managed", clientId: "user id" }, at.context);
    expect(await credentials.headers(REQUEST)).toEqual(BEARER);
    expect(endpoint.seen[0]).toMatchObject({
      url: "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=user%20id",
      headers: { "x-identity-header": "header" },
    });
    at.clock.now = Date.parse("2025-01-02T04:00:00Z");
    endpoint.play = () => [503, "down"];
    expect(await failureOf(credentials.headers(REQUEST))).toMatchObject({ kind: "unreachable" });
  });

  it("ask the machine for its managed identity", async () => {
    const endpoint = await fakeEndpoint(() => [200, { ...ANSWER, expires_in: "3600" }]);
    const { context } = world({ AZURE_POD_IDENTITY_AUTHORITY_HOST: endpoint.url });
    expect(await entraCredentials({ kind: "default" }, context).headers(REQUEST)).toEqual(BEARER);
    expect(endpoint.seen[0]).toMatchObject({
      url: "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com",
      headers: { metadata: "true" },
    });
  });

  it("keep the old token while the endpoint is down, ask once, and recover", async () => {
    const endpoint = await fakeEndpoint(() => [200, ANSWER]);
    const at = world();
    const credentials = entraCredentials({ ...SECRET, authorityHost: endpoint.url }, at.context);
    await Promise.all(Array.from({ length: 20 }, () => credentials.headers(REQUEST)));
    expect(endpoint.seen).toHaveLength(1);
    endpoint.play = () => [503, "down"];
    at.clock.now += 3_400_000;
    for (let count = 0; count < 20; count++) expect(credentials.headers(REQUEST)).toEqual(BEARER);
    await expect.poll(() => endpoint.seen.length).toBe(2);
    at.clock.now += 300_000;
    endpoint.play = () => [200, { ...ANSWER, access_token: "eyJ.new" }];
    await expect
      .poll(() => failureOrHeaders(credentials.headers(REQUEST)))
      .toEqual(["authorization", "Bearer eyJ.new"]);
  });

  it("fail with a reason and without the secret", async () => {
    const endpoint = await fakeEndpoint(() => [401, { error: "invalid_client", error_description: "hush is wrong" }]);
    const credentials = entraCredentials({ ...SECRET, authorityHost: endpoint.url }, world().context);
    const failure = await failureOf(credentials.headers(REQUEST));
    expect(failure).toMatchObject({ name: "AuthError", kind: "refused" });
    expect(failure.message).toContain("401 (invalid_client)");
    expect(inspect([failure, credentials], { depth: 9, showHidden: true })).not.toContain("hush");
  });

  it("refuse answers that are no tokens, and redirects", async () => {
    for (const answer of ["<html>", "[]", {}, { access_token: "t" }, { access_token: "", expires_in: 1 }]) {
      const endpoint = await fakeEndpoint(() => [200, answer]);
      const credentials = entraCredentials({ ...SECRET, authorityHost: endpoint.url }, world().context);
      expect(await failureOf(credentials.headers(REQUEST))).toMatchObject({ kind: "refused" });
    }
    const elsewhere = await fakeEndpoint(() => [200, ANSWER]);
    const redirecting = async (): Promise<Response> => fetch(`${elsewhere.url}/`);
    const { context } = world();
    const fetched: RequestInit[] = [];
    const spying: typeof fetch = (_, init) => {
      fetched.push(init ?? {});
      return redirecting();
    };
    await entraCredentials({ ...SECRET, authorityHost: null }, { ...context, fetch: spying }).headers(REQUEST);
    expect(fetched[0]?.redirect).toBe("error");
  });

  it("do not wait for an endpoint that never answers", async () => {
    const endpoint = await fakeEndpoint(() => null);
    const context = { ...world().context, timeoutMs: 50 };
    const credentials = entraCredentials({ ...SECRET, authorityHost: endpoint.url }, context);
    expect(await failureOf(credentials.headers(REQUEST))).toMatchObject({ kind: "timeout" });
  });
});

async function failureOrHeaders(headers: readonly string[] | Promise<readonly string[]>): Promise<unknown> {
  return Promise.resolve(headers).catch((error: unknown) => error);
}
