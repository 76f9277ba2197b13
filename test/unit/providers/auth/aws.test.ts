import { describe, expect, it } from "vitest";
import { AwsCredentials } from "../../../../src/providers/auth/aws.js";
import { parseIni } from "../../../../src/providers/auth/ini.js";
import { CHAIN, headers, signedWith, sts, stsAnswer } from "./aws-fake.js";
import { failureOf, fakeEndpoint, REQUEST, type TestWorld, world } from "./endpoint-fake.js";

/** Nobody answers here: a test that gets this far has missed its source. */
const NO_INSTANCE = { AWS_EC2_METADATA_DISABLED: "true" };

describe("the AWS chain", () => {
  it("signs at once with static keys", () => {
    const keys = { accessKeyId: "AKID", secretAccessKey: "s", sessionToken: "t" };
    const flat = new AwsCredentials({ kind: "static", keys }, "us-east-1", world().context).headers(REQUEST);
    expect(flat).not.toBeInstanceOf(Promise);
    expect(flat).toContain("x-amz-security-token");
  });

  it("takes the environment first", async () => {
    const environment = { AWS_ACCESS_KEY_ID: "ENV", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "tok" };
    const files = { "/h/.aws/credentials": "[default]\naws_access_key_id=FILE\naws_secret_access_key=s" };
    expect(await signedWith(world(environment, files))).toEqual(["ENV", "tok"]);
  });

  it("exchanges a web identity for keys, reading the token's file anew each time", async () => {
    const endpoint = await sts();
    const environment = {
      AWS_WEB_IDENTITY_TOKEN_FILE: "/token",
      AWS_ROLE_ARN: "arn:aws:iam::1:role/r",
      AWS_ENDPOINT_URL_STS: endpoint.url,
    };
    const at = world(environment, { "/token": "first\n" });
    const credentials = new AwsCredentials(CHAIN, "us-east-1", at.context);
    expect((await headers(credentials))["x-amz-security-token"]).toBe("sts-session");
    at.files.set("/token", "second");
    at.clock.now += 2 * 3_600_000;
    endpoint.play = () => [200, stsAnswer("x", "LATER").replace("2025-01-02T04", "2025-01-02T09")];
    expect((await headers(credentials)).authorization).toContain("LATER");
    const forms = endpoint.seen.map(({ body }) => Object.fromEntries(new URLSearchParams(body)));
    expect(forms[0]).toEqual({
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: "arn:aws:iam::1:role/r",
      RoleSessionName: "weir",
      WebIdentityToken: "first",
    });
    expect(forms[1]?.WebIdentityToken).toBe("second");
  });

  it("reads the shared files, the profile that is asked for", async () => {
    const files = {
      "/h/.aws/credentials":
        "[default]\naws_access_key_id = D\naws_secret_access_key = s\n[blue]\naws_access_key_id=B\naws_secret_access_key=s\naws_session_token=bt",
      "/h/.aws/config":
        '[profile green]\naws_access_key_id=G\naws_secret_access_key=s\n[profile "dark green"]\naws_access_key_id=DG\naws_secret_access_key=s',
    };
    expect(await signedWith(world({}, files))).toEqual(["D", ""]);
    expect(await signedWith(world({ AWS_PROFILE: "blue" }, files))).toEqual(["B", "bt"]);
    expect(await signedWith(world({ AWS_PROFILE: "dark green" }, files))).toEqual(["DG", ""]);
    const environment = { AWS_ACCESS_KEY_ID: "ENV", AWS_SECRET_ACCESS_KEY: "s" };
    expect(await signedWith(world(environment, files), { kind: "chain", profile: "green" })).toEqual(["G", ""]);
    const failure = await failureOf(signedWith(world({ AWS_PROFILE: "grey" }, files)));
    expect(failure).toMatchObject({ kind: "configuration" });
  });

  it("assumes the role of a profile, with signed keys or a web identity", async () => {
    const endpoint = await sts();
    const config = `[profile role]
role_arn = arn:aws:iam::1:role/r
source_profile = base
external_id = ext
role_session_name = named
[profile own]
role_arn = arn:aws:iam::1:role/o
source_profile = own
aws_access_key_id = OWN
aws_secret_access_key = s
[profile web]
role_arn = arn:aws:iam::1:role/w
web_identity_token_file = /token
[profile loop]
role_arn = a
source_profile = pool
[profile pool]
role_arn = b
source_profile = loop`;
    const files = {
      "/h/.aws/config": config,
      "/h/.aws/credentials": "[base]\naws_access_key_id=BASE\naws_secret_access_key=s",
      "/token": "jwt",
    };
    const as = (AWS_PROFILE: string): TestWorld => world({ AWS_PROFILE, AWS_ENDPOINT_URL_STS: endpoint.url }, files);
    expect(await signedWith(as("role"))).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(endpoint.seen[0]?.headers.authorization).toMatch(/Credential=BASE\/20250102\/us-east-1\/sts\//);
    expect(new URLSearchParams(endpoint.seen[0]?.body).get("ExternalId")).toBe("ext");
    expect(await signedWith(as("own"))).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(endpoint.seen[1]?.headers.authorization).toContain("Credential=OWN/");
    expect(await signedWith(as("web"))).toEqual(["ASIA-AssumeRoleWithWebIdentity", "sts-session"]);
    expect(await failureOf(signedWith(as("loop")))).toMatchObject({ kind: "configuration" });
  });

  it("takes the source of a role's credentials from a longer way, up to its bound", async () => {
    const endpoint = await sts();
    const steps = Array.from(
      { length: 5 },
      (_, step) => `[profile p${step}]\nrole_arn = r${step}\nsource_profile = p${step + 1}`,
    );
    const base = (name: string): string => `[${name}]\naws_access_key_id=BASE\naws_secret_access_key=s`;
    const as = (AWS_PROFILE: string): TestWorld =>
      world(
        { AWS_PROFILE, AWS_ENDPOINT_URL_STS: endpoint.url },
        { "/h/.aws/config": steps.join("\n"), "/h/.aws/credentials": base("p5") },
      );
    expect(await signedWith(as("p1"))).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(endpoint.seen.map(({ body }) => new URLSearchParams(body).get("RoleArn"))).toEqual(["r4", "r3", "r2", "r1"]);
    expect(await failureOf(signedWith(as("p0")))).toMatchObject({ kind: "configuration" });
    expect(endpoint.seen).toHaveLength(4);
  });

  it("takes a role's credentials from where its credential_source says", async () => {
    const keys = { AccessKeyId: "CON", SecretAccessKey: "s", Token: "ct", Expiration: "2025-01-02T09:00:00Z" };
    const [endpoint, container] = await Promise.all([sts(), fakeEndpoint(() => [200, keys])]);
    const environment = {
      AWS_ENDPOINT_URL_STS: endpoint.url,
      AWS_ACCESS_KEY_ID: "ENV",
      AWS_SECRET_ACCESS_KEY: "s",
      AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url,
    };
    const from = (more: string): Promise<readonly [string, string]> => {
      const config = `[profile sourced]\nrole_arn = r\n${more}`;
      return signedWith(world(environment, { "/h/.aws/config": config }), { kind: "chain", profile: "sourced" });
    };
    expect(await from("credential_source = Environment")).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(await from("credential_source = EcsContainer")).toEqual(["ASIA-AssumeRole", "sts-session"]);
    expect(endpoint.seen.map((seen) => /Credential=(\w+)\//.exec(seen.headers.authorization ?? "")?.[1])).toEqual([
      "ENV",
      "CON",
    ]);
    for (const more of ["credential_source = Elsewhere", "", "source_profile = nobody"]) {
      expect(await failureOf(from(more))).toMatchObject({ kind: "configuration" });
    }
    const failure = await failureOf(from("credential_source = Environment\nmfa_serial = arn:mfa"));
    expect(failure.message).toContain("mfa_serial");
    expect(endpoint.seen).toHaveLength(2);
  });

  it("asks the container's endpoint, with its token", async () => {
    const answer = { AccessKeyId: "CON", SecretAccessKey: "s", Token: "ct", Expiration: "2025-01-02T09:00:00Z" };
    const endpoint = await fakeEndpoint(() => [200, answer]);
    const environment = {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint.url}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: "/pod-token",
    };
    expect(await signedWith(world(environment, { "/pod-token": "pod\n" }))).toEqual(["CON", "ct"]);
    expect(endpoint.seen[0]).toMatchObject({ url: "/v1/credentials", headers: { authorization: "pod" } });
  });

  it("gives the container's token to no plain address elsewhere", async () => {
    for (const uri of ["http://credentials.example.com/", "ftp://127.0.0.1/", "nonsense"]) {
      const environment = { AWS_CONTAINER_CREDENTIALS_FULL_URI: uri, AWS_CONTAINER_AUTHORIZATION_TOKEN: "hush" };
      const failure = await failureOf(signedWith(world(environment)));
      expect(failure).toMatchObject({ kind: "configuration" });
      expect(failure.message).not.toContain("hush");
    }
    const broken = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/x", AWS_CONTAINER_AUTHORIZATION_TOKEN: "a\r\nb: c" };
    expect(await failureOf(signedWith(world(broken)))).toMatchObject({ kind: "configuration" });
  });

  it("asks the instance last, in the second version of its protocol", async () => {
    const role = { AccessKeyId: "EC2", SecretAccessKey: "s", Token: "et", Expiration: "2025-01-02T09:00:00Z" };
    const endpoint = await fakeEndpoint(({ method, url, headers: sent }) => {
      if (method === "PUT") return [200, "imds-token"];
      if (sent["x-aws-ec2-metadata-token"] !== "imds-token") return [401, ""];
      return url.endsWith("/security-credentials/") ? [200, "my-role"] : [200, role];
    });
    const at = world({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint.url });
    expect(await signedWith(at)).toEqual(["EC2", "et"]);
    expect(endpoint.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "PUT /latest/api/token",
      "GET /latest/meta-data/iam/security-credentials/",
      "GET /latest/meta-data/iam/security-credentials/my-role",
    ]);
  });

  it("says where it has looked when there is nothing", async () => {
    const failure = await failureOf(signedWith(world(NO_INSTANCE)));
    expect(failure).toMatchObject({ name: "AuthError", kind: "configuration" });
    expect(failure.message).toContain("environment");
  });

  it("asks once for many requests, goes on with the old keys when the endpoint is down, and says so at their end", async () => {
    const endpoint = await fakeEndpoint(() => [
      200,
      { AccessKeyId: "CON", SecretAccessKey: "s", Token: "t", Expiration: "2025-01-02T04:04:05Z" },
    ]);
    const at = world({ AWS_CONTAINER_CREDENTIALS_FULL_URI: endpoint.url });
    const credentials = new AwsCredentials(CHAIN, "us-east-1", at.context);
    await Promise.all(Array.from({ length: 20 }, () => headers(credentials)));
    expect(endpoint.seen).toHaveLength(1);
    endpoint.close();
    at.clock.now += 59 * 60_000;
    expect(credentials.headers(REQUEST)).not.toBeInstanceOf(Promise);
    at.clock.now += 120_000;
    const failure = await failureOf(credentials.headers(REQUEST));
    expect(failure).toMatchObject({ name: "AuthError", kind: "unreachable" });
    expect(failure.message).toContain("container");
  });

  it("does not wait for an endpoint that never answers", async () => {
    const endpoint = await fakeEndpoint(() => null);
    const { context } = world({ AWS_CONTAINER_CREDENTIALS_FULL_URI: endpoint.url });
    const credentials = new AwsCredentials(CHAIN, "us-east-1", { ...context, timeoutMs: 50 });
    expect(await failureOf(credentials.headers(REQUEST))).toMatchObject({ kind: "timeout" });
  });

  it("names the error that STS gives, and nothing else of its answer", async () => {
    const endpoint = await fakeEndpoint(() => [
      400,
      "<Error><Code>ExpiredTokenException</Code><Message>jwt-secret</Message></Error>",
    ]);
    const environment = { AWS_WEB_IDENTITY_TOKEN_FILE: "/t", AWS_ROLE_ARN: "arn", AWS_ENDPOINT_URL_STS: endpoint.url };
    const failure = await failureOf(signedWith(world(environment, { "/t": "jwt-secret" })));
    expect(failure).toMatchObject({ kind: "refused" });
    expect(failure.message).toContain("ExpiredTokenException");
    expect(failure.message).not.toContain("jwt-secret");
  });
});

describe("ini files", () => {
  it("are read with comments, spaces and nested values", () => {
    const text = "# a\n[ a b ]\r\nKey = v=1#2 # comment\n; c\ns3 =\n  nested = 1\n[a b]\nother=x\nno line\n";
    expect(parseIni(text)).toEqual(
      new Map([
        [
          "a b",
          new Map([
            ["key", "v=1#2"],
            ["s3", ""],
            ["other", "x"],
          ]),
        ],
      ]),
    );
  });
});
