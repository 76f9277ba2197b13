import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type FakeEndpoint, failureOf, fakeEndpoint, type TestWorld, world } from "./endpoint-fake.js";
import { AwsCredentials } from "../../../../src/providers/auth/aws.js";
import { CHAIN, headers, signedWith, sts } from "./aws-fake.js";

const START = "https://corp.example.com/start";
const SESSION_PROFILE = `[default]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = model-caller
[sso-session corp]
sso_region = eu-central-1
sso_start_url = ${START}`;
const OLDER_PROFILE = `[default]
sso_start_url = ${START}
sso_region = eu-central-1
sso_account_id = 123456789012
sso_role_name = model-caller`;

/** Where the login's token is kept. */
function cacheFile(name: string): string {
  return `/h/.aws/sso/cache/${createHash("sha1").update(name).digest("hex")}.json`;
}

function tokenFile(differs: object = {}): string {
  return JSON.stringify({ accessToken: "login-token", expiresAt: "2025-01-02T11:04:05Z", ...differs });
}

function portal(): Promise<FakeEndpoint> {
  const roleCredentials = {
    accessKeyId: "SSO",
    secretAccessKey: "s",
    sessionToken: "st",
    expiration: Date.parse("2025-01-02T04:04:05Z"),
  };
  return fakeEndpoint(() => [200, { roleCredentials }]);
}

function worldOf(config: string, endpoint: { readonly url: string }, files: Record<string, string>): TestWorld {
  return world({ AWS_ENDPOINT_URL_SSO: endpoint.url }, { "/h/.aws/config": config, ...files });
}

describe("a profile with SSO", () => {
  it.each([
    ["a session", SESSION_PROFILE, "corp"],
    ["a start address", OLDER_PROFILE, START],
  ])("of %s trades the login's token for keys of its role", async (_, config, name) => {
    const endpoint = await portal();
    expect(await signedWith(worldOf(config, endpoint, { [cacheFile(name)]: tokenFile() }))).toEqual(["SSO", "st"]);
    expect(endpoint.seen).toHaveLength(1);
    expect(endpoint.seen[0]).toMatchObject({
      method: "GET",
      url: "/federation/credentials?role_name=model-caller&account_id=123456789012",
      headers: { "x-amz-sso_bearer_token": "login-token" },
    });
  });

  it("asks the region's portal", async () => {
    const asked: string[] = [];
    const roleCredentials = { accessKeyId: "SSO", secretAccessKey: "s", sessionToken: "", expiration: 2e12 };
    const fetch = (async (url: string) => {
      asked.push(url);
      return new Response(JSON.stringify({ roleCredentials }));
    }) as unknown as typeof globalThis.fetch;
    for (const region of ["eu-central-1", "cn-north-1"]) {
      const config = SESSION_PROFILE.replace("eu-central-1", region);
      const { context } = world({}, { "/h/.aws/config": config, [cacheFile("corp")]: tokenFile() });
      await headers(new AwsCredentials(CHAIN, "us-east-1", { ...context, fetch }));
    }
    expect(asked.map((url) => new URL(url).host)).toEqual([
      "portal.sso.eu-central-1.amazonaws.com",
      "portal.sso.cn-north-1.amazonaws.com.cn",
    ]);
  });

  it("fetches new keys with a login that was renewed meanwhile", async () => {
    const endpoint = await portal();
    const at = worldOf(SESSION_PROFILE, endpoint, { [cacheFile("corp")]: tokenFile() });
    const credentials = new AwsCredentials(CHAIN, "us-east-1", at.context);
    await headers(credentials);
    at.files.set(cacheFile("corp"), tokenFile({ accessToken: "second" }));
    at.clock.now += 30 * 60_000;
    await headers(credentials);
    expect(endpoint.seen).toHaveLength(1);
    at.clock.now += 31 * 60_000;
    endpoint.play = () => [
      200,
      { roleCredentials: { accessKeyId: "NEXT", secretAccessKey: "s", expiration: at.clock.now + 1_000 } },
    ];
    expect((await headers(credentials)).authorization).toContain("Credential=NEXT/");
    expect(endpoint.seen[1]?.headers["x-amz-sso_bearer_token"]).toBe("second");
  });

  it.each([
    ["has expired", tokenFile({ expiresAt: "2025-01-02T03:04:05Z" }), "refused"],
    ["has expired, in an older tool's words", tokenFile({ expiresAt: "2025-01-02T03:04:04UTC" }), "refused"],
    ["is not there", null, "configuration"],
    ["is no JSON", "hush", "configuration"],
    ["has no token", tokenFile({ accessToken: 1 }), "configuration"],
    ["has a token that is none", tokenFile({ accessToken: "hush\nhush" }), "configuration"],
    ["has no end", tokenFile({ expiresAt: "hush" }), "configuration"],
  ])("says what to do about a login that %s", async (_, file, kind) => {
    const endpoint = await portal();
    const files = file === null ? {} : { [cacheFile("corp")]: file };
    const failure = await failureOf(signedWith(worldOf(SESSION_PROFILE, endpoint, files)));
    expect(failure).toMatchObject({ name: "AuthError", kind });
    expect(failure.message).toContain("log in again");
    expect(failure.message).not.toMatch(/hush|login-token/);
    expect(endpoint.seen).toHaveLength(0);
  });

  it("says so when the portal takes the login's token no longer, and nothing else that it answers", async () => {
    const endpoint = await fakeEndpoint(() => [401, { message: "Session token login-token" }]);
    const at = worldOf(SESSION_PROFILE, endpoint, { [cacheFile("corp")]: tokenFile() });
    const failure = await failureOf(signedWith(at));
    expect(failure).toMatchObject({ kind: "refused" });
    expect(failure.message).toMatch(/answered 401; log in again/);
    expect(failure.message).not.toContain("login-token");
    endpoint.play = () => [403, { message: "No access" }];
    at.clock.now += 60_000;
    expect((await failureOf(signedWith(at))).message).not.toContain("log in");
    endpoint.play = () => [200, { roleCredentials: null }];
    expect(await failureOf(signedWith(at))).toMatchObject({ kind: "refused" });
  });

  it.each([
    ["sso_role_name", SESSION_PROFILE.replace(/sso_role_name.*/, "")],
    ["sso_account_id", SESSION_PROFILE.replace(/sso_account_id.*/, "")],
    ["sso_start_url", SESSION_PROFILE.replace(/sso_start_url.*/, "")],
    ["sso_region", OLDER_PROFILE.replace(/sso_region.*/, "")],
    ["sso_region", SESSION_PROFILE.replace("eu-central-1", "evil.example.com/#")],
    ["sso_session", SESSION_PROFILE.replace("sso-session corp", "sso-session other")],
    ["sso_start_url", SESSION_PROFILE.replace("sso_session = corp", "sso_session = corp\nsso_start_url = https://x")],
  ])("names what is wrong with it: %s", async (field, config) => {
    const endpoint = await portal();
    const files = { [cacheFile("corp")]: tokenFile(), [cacheFile(START)]: tokenFile() };
    const failure = await failureOf(signedWith(worldOf(config, endpoint, files)));
    expect(failure).toMatchObject({ kind: "configuration" });
    expect(failure.message).toContain(field);
    expect(endpoint.seen).toHaveLength(0);
  });

  it("may be the source of a role", async () => {
    const [endpoint, roles] = await Promise.all([portal(), sts()]);
    const config = `${SESSION_PROFILE.replace("[default]", "[profile base]")}
[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base`;
    const environment = { AWS_ENDPOINT_URL_SSO: endpoint.url, AWS_ENDPOINT_URL_STS: roles.url };
    const at = world(environment, { "/h/.aws/config": config, [cacheFile("corp")]: tokenFile() });
    expect(await signedWith(at)).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(roles.seen[0]?.headers.authorization).toContain("Credential=SSO/");
    expect(roles.seen[0]?.headers["x-amz-security-token"]).toBe("st");
  });
});
