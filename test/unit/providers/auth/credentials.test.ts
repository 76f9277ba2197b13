import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import {
  type AuthFamily,
  credentialPlace,
  credentialsFor,
  validateCredential,
} from "../../../../src/providers/auth/credentials.js";
import { fakeEndpoint, REQUEST, world } from "./endpoint-fake.js";

const HUSH = "hush-hush";

describe("a credential", () => {
  it.each<[AuthFamily, unknown]>([
    ["bedrock", null],
    ["bedrock", "api-key"],
    ["bedrock", {}],
    ["bedrock", { access_key_id: "a", secret_access_key: "b", session_token: "c", region: "us-gov-west-1" }],
    ["bedrock", { profile: "p" }],
    ["bedrock", { role_arn: "r", web_identity_token_file: "/t" }],
    ["vertex", "ya29.token"],
    ["vertex", '{"type":"service_account","client_email":"e","private_key":"k"}'],
    ["vertex", { type: "service_account", client_email: "e", private_key: "k", project_id: "p", region: "global" }],
    ["vertex", { service_account: { type: "service_account", client_email: "e", private_key: "k" }, project: "p" }],
    ["vertex", { access_token: "t", project: "p", region: "us-central1" }],
    ["vertex", { credentials_file: "/f" }],
    ["azure-openai", "key"],
    ["azure-openai", { tenant_id: "t", client_id: "c", client_secret: "s" }],
    ["azure-openai", { tenant_id: "t", client_id: "c", federated_token_file: "/f" }],
    ["azure-openai", { managed_identity: true, client_id: "c" }],
  ])("of %s is taken: %j", (family, value) => {
    expect(validateCredential(family, value)).toBeNull();
  });

  it.each<[AuthFamily, unknown, string]>([
    ["bedrock", 1, "text or an object"],
    ["bedrock", [], "text or an object"],
    ["bedrock", "", "empty"],
    ["bedrock", `${HUSH}\r\nx: y`, "character"],
    ["bedrock", { secret: HUSH }, "secret:"],
    ["bedrock", { [`${HUSH}=`]: "x" }, "a field"],
    ["bedrock", { access_key_id: HUSH }, "needs secret_access_key"],
    ["bedrock", { session_token: HUSH, region: "us-east-1" }, "session_token: needs access_key_id"],
    ["bedrock", { access_key_id: "a", secret_access_key: "" }, "secret_access_key:"],
    ["bedrock", { api_key: HUSH, profile: "p" }, "api_key and profile"],
    ["bedrock", { region: "evil.example.com/" }, "region:"],
    ["bedrock", { role_arn: "r" }, "web_identity_token_file"],
    ["vertex", "{broken", "JSON"],
    ["vertex", { type: HUSH }, "type:"],
    ["vertex", { type: "service_account", client_email: "e" }, "private_key: is missing"],
    ["vertex", { service_account: { type: "authorized_user" } }, "service_account.client_id"],
    ["vertex", { service_account: 5 }, "service_account:"],
    ["vertex", { access_token: HUSH, credentials_file: "/f" }, "access_token and credentials_file"],
    ["azure-openai", { client_secret: HUSH, client_id: "c" }, "client_secret: needs tenant_id"],
    ["azure-openai", { tenant_id: "t", client_id: "c" }, "client_secret or federated_token_file"],
    ["azure-openai", { managed_identity: "yes" }, "managed_identity:"],
    ["azure-openai", { tenant_id: "t", client_id: "c", client_secret: "s", authority_host: "x" }, "authority_host:"],
  ])("of %s is refused: %j", (family, value, problem) => {
    const said = validateCredential(family, value);
    expect(said).toContain(problem);
    expect(said).not.toContain(HUSH);
  });
});

describe("credentials of a key", () => {
  const key = (credential: unknown, region = "us-east-1"): { credential: unknown; region: string } => ({
    credential,
    region,
  });

  it("are a bearer token, a header, or a signature, without waiting where nothing must be fetched", () => {
    const { context } = world();
    const headers = (family: AuthFamily, credential: unknown): unknown =>
      credentialsFor(family, key(credential), context).headers(REQUEST);
    expect(headers("bedrock", "k")).toEqual(["authorization", "Bearer k"]);
    expect(headers("bedrock", { api_key: "k" })).toEqual(["authorization", "Bearer k"]);
    expect(headers("bedrock", { access_key_id: "A", secret_access_key: "s" })).toContain("x-amz-date");
    expect(headers("vertex", "ya29")).toEqual(["authorization", "Bearer ya29"]);
    expect(headers("vertex", { access_token: "ya29" })).toEqual(["authorization", "Bearer ya29"]);
    expect(headers("azure-openai", "k")).toEqual(["api-key", "k"]);
    expect(headers("azure-openai", { api_key: "k" })).toEqual(["api-key", "k"]);
  });

  it("are the environment's when the key has none", async () => {
    const bearer = world({ AWS_BEARER_TOKEN_BEDROCK: "env-key", AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "s" });
    expect(credentialsFor("bedrock", key(null), bearer.context).headers(REQUEST)).toEqual([
      "authorization",
      "Bearer env-key",
    ]);
    const keys = world({ AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "s", AWS_REGION: "eu-west-1" });
    const signed = await credentialsFor("bedrock", key(null, ""), keys.context).headers(REQUEST);
    expect(signed.join()).toContain("Credential=A/20250102/eu-west-1/bedrock/");
    const endpoint = await fakeEndpoint(() => [200, { access_token: "t", expires_in: 60 }]);
    const machine = world({ GCE_METADATA_HOST: endpoint.url, AZURE_POD_IDENTITY_AUTHORITY_HOST: endpoint.url });
    for (const family of ["vertex", "azure-openai"] as const) {
      expect(await credentialsFor(family, key(null), machine.context).headers(REQUEST)).toEqual([
        "authorization",
        "Bearer t",
      ]);
    }
  });

  it("show no secret", () => {
    const { context } = world({ AWS_BEARER_TOKEN_BEDROCK: HUSH });
    const all = [
      credentialsFor("bedrock", key(null), context),
      credentialsFor("bedrock", key({ access_key_id: HUSH, secret_access_key: HUSH }), context),
      credentialsFor("vertex", key({ type: "service_account", client_email: HUSH, private_key: HUSH }), context),
      credentialsFor("azure-openai", key({ tenant_id: "t", client_id: "c", client_secret: HUSH }), context),
      credentialsFor("azure-openai", key(HUSH), context),
    ];
    for (const credentials of all) {
      expect(inspect(credentials, { depth: 9, showHidden: true }) + JSON.stringify(credentials)).not.toContain(HUSH);
    }
  });

  it("know their place", () => {
    expect(credentialPlace("bedrock", key({ region: "eu-west-1" }, ""), {})).toEqual({
      region: "eu-west-1",
      project: "",
    });
    expect(credentialPlace("bedrock", key(null, ""), { AWS_DEFAULT_REGION: "us-west-2" }).region).toBe("us-west-2");
    expect(credentialPlace("vertex", key({ type: "service_account", project_id: "p" }, ""), {}).project).toBe("p");
    expect(credentialPlace("vertex", key('{"type":"service_account","project_id":"p"}', ""), {}).project).toBe("p");
    expect(credentialPlace("vertex", key({ access_token: "t", project: "q", region: "r" }, ""), {})).toEqual({
      region: "r",
      project: "q",
    });
    expect(credentialPlace("vertex", key(null, ""), { GOOGLE_CLOUD_PROJECT: "e" }).project).toBe("e");
  });
});
