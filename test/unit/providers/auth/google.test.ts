import { generateKeyPairSync } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { type GoogleSource, googleCredentials } from "../../../../src/providers/auth/google.js";
import { type FakeEndpoint, failureOf, fakeEndpoint, REQUEST, type TestWorld, world } from "./endpoint-fake.js";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = privateKey.export({ type: "pkcs8", format: "pem" }).toString();

const SERVICE_ACCOUNT = {
  type: "service_account",
  project_id: "p",
  private_key_id: "k",
  private_key: PEM,
  client_email: "weir@p.iam.gserviceaccount.com",
};

/** The context's fetch, sent to the fake whatever host it names. */
function redirected(at: TestWorld, endpoint: FakeEndpoint): TestWorld {
  const redirect: typeof fetch = (input, init) => {
    const url = new URL(String(input));
    return fetch(`${endpoint.url}/${url.host}${url.pathname}${url.search}`, init);
  };
  return { ...at, context: { ...at.context, fetch: redirect } };
}

function granting(token = "ya29.token"): Promise<FakeEndpoint> {
  return fakeEndpoint(() => [200, { access_token: token, expires_in: 3600, token_type: "Bearer" }]);
}

async function headersOf(source: GoogleSource, at: TestWorld): Promise<readonly string[]> {
  return googleCredentials(source, at.context).headers(REQUEST);
}

describe("Google credentials", () => {
  it("take a given token as it is", () => {
    const credentials = googleCredentials({ kind: "token", token: "given" }, world().context);
    expect(credentials.headers(REQUEST)).toEqual(["authorization", "Bearer given"]);
  });

  it("exchange the assertion of a service account", async () => {
    const endpoint = await granting();
    const headers = await headersOf({ kind: "file", file: SERVICE_ACCOUNT }, redirected(world(), endpoint));
    expect(headers).toEqual(["authorization", "Bearer ya29.token"]);
    const form = new URLSearchParams(endpoint.seen[0]?.body);
    expect(form.get("grant_type")).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer");
    const claims = JSON.parse(Buffer.from(form.get("assertion")?.split(".")[1] ?? "", "base64url").toString());
    expect(claims).toMatchObject({
      iss: SERVICE_ACCOUNT.client_email,
      scope: expect.stringContaining("cloud-platform"),
    });
  });

  it("refresh ahead of the end, while the old token serves", async () => {
    const endpoint = await granting();
    const at = redirected(world(), endpoint);
    // The library reckons by the real clock.
    at.clock.now = Date.now();
    const credentials = googleCredentials({ kind: "file", file: SERVICE_ACCOUNT }, at.context);
    await Promise.all([credentials.headers(REQUEST), credentials.headers(REQUEST)]);
    expect(endpoint.seen).toHaveLength(1);
    let answered = (): void => {};
    const done = new Promise<void>((resolve) => {
      answered = resolve;
    });
    endpoint.play = () => {
      answered();
      return [200, { access_token: "ya29.second", expires_in: 7200, token_type: "Bearer" }];
    };
    at.clock.now += 3_400_000;
    expect(credentials.headers(REQUEST)).toEqual(["authorization", "Bearer ya29.token"]);
    await done;
    await expect.poll(() => credentials.headers(REQUEST)).toEqual(["authorization", "Bearer ya29.second"]);
  });

  it("exchange a workload's own token", async () => {
    const endpoint = await fakeEndpoint(({ url }) =>
      url.includes("/subject")
        ? [200, { access_token: "subject-token" }]
        : [200, { access_token: "federated", expires_in: 3600, token_type: "Bearer", issued_token_type: "x" }],
    );
    const file = {
      type: "external_account",
      audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/p",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_url: "https://sts.googleapis.com/v1/token",
      credential_source: {
        url: "https://identity.example.com/subject",
        format: { type: "json", subject_token_field_name: "access_token" },
      },
    };
    const headers = await headersOf({ kind: "file", file }, redirected(world(), endpoint));
    expect(headers).toEqual(["authorization", "Bearer federated"]);
    expect(new URLSearchParams(endpoint.seen.at(-1)?.body).get("subject_token")).toBe("subject-token");
  });

  it("find the default file: named, or in its usual place, with the project that pays", async () => {
    const endpoint = await granting();
    const file = JSON.stringify({
      type: "authorized_user",
      client_id: "c",
      client_secret: "s",
      refresh_token: "r",
      quota_project_id: "payer",
    });
    const named = world({ GOOGLE_APPLICATION_CREDENTIALS: "/adc.json" }, { "/adc.json": file });
    const headers = await headersOf({ kind: "default" }, redirected(named, endpoint));
    expect(headers).toEqual(
      expect.arrayContaining(["authorization", "Bearer ya29.token", "x-goog-user-project", "payer"]),
    );
    const usual = world({}, { "/h/.config/gcloud/application_default_credentials.json": file });
    expect(await headersOf({ kind: "default" }, redirected(usual, endpoint))).toContain("Bearer ya29.token");
  });

  it("ask the metadata server when there is no file", async () => {
    const endpoint = await granting("machine");
    const at = world({ GCE_METADATA_HOST: endpoint.url.replace("http://", "") });
    expect(await headersOf({ kind: "default" }, at)).toEqual(["authorization", "Bearer machine"]);
    expect(endpoint.seen[0]?.headers["metadata-flavor"]).toBe("Google");
    expect(endpoint.seen[0]?.url).toContain("/computeMetadata/v1/instance/service-accounts/default/token");
  });

  it("read a file again when it has been replaced", async () => {
    const endpoint = await granting();
    const user = { type: "authorized_user", client_id: "c", client_secret: "s", refresh_token: "one" };
    const at = redirected(world({}, { "/f": JSON.stringify(user) }), endpoint);
    at.clock.now = Date.now();
    const credentials = googleCredentials({ kind: "path", path: "/f" }, at.context);
    await credentials.headers(REQUEST);
    at.files.set("/f", JSON.stringify({ ...user, refresh_token: "two" }));
    at.clock.now += 2 * 3_600_000;
    endpoint.play = () => [200, { access_token: "new", expires_in: 86_400, token_type: "Bearer" }];
    expect(await credentials.headers(REQUEST)).toContain("Bearer new");
    expect(endpoint.seen.map(({ body }) => new URLSearchParams(body).get("refresh_token"))).toEqual(["one", "two"]);
  });

  it("fail with a reason, once, and without the secret", async () => {
    const endpoint = await fakeEndpoint(() => [400, { error: "invalid_grant", error_description: "hush" }]);
    const failure = await failureOf(headersOf({ kind: "file", file: SERVICE_ACCOUNT }, redirected(world(), endpoint)));
    expect(failure).toMatchObject({ name: "AuthError", kind: "refused" });
    expect(failure.message).toContain("400 (invalid_grant)");
    const shown = inspect(failure, { depth: 9, showHidden: true });
    expect(shown).not.toContain("PRIVATE KEY");
    expect(shown).not.toContain("hush");
    expect(endpoint.seen).toHaveLength(1);
  });

  it("fail clearly when the endpoint is down, and for files that are none", async () => {
    const endpoint = await granting();
    endpoint.close();
    const down = headersOf({ kind: "file", file: SERVICE_ACCOUNT }, redirected(world(), endpoint));
    expect(await failureOf(down)).toMatchObject({ kind: "unreachable" });
    for (const text of ["[]", "{", '{"type":"hush"}']) {
      const failure = await failureOf(headersOf({ kind: "path", path: "/f" }, world({}, { "/f": text })));
      expect(failure).toMatchObject({ name: "AuthError", kind: "configuration" });
      expect(failure.message).not.toContain("hush");
    }
    expect(await failureOf(headersOf({ kind: "path", path: "/none" }, world()))).toMatchObject({
      kind: "configuration",
    });
  });

  it("do not wait for an endpoint that never answers", async () => {
    const endpoint = await fakeEndpoint(() => null);
    const at = redirected(world(), endpoint);
    const context = { ...at.context, timeoutMs: 50 };
    const failure = await failureOf(headersOf({ kind: "file", file: SERVICE_ACCOUNT }, { ...at, context }));
    expect(["timeout", "unreachable"]).toContain(failure.kind);
  });
});
