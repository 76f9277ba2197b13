/** Requests signed with keys from anywhere, and a fake of STS. */
import { AwsCredentials, type AwsSource } from "../../../../src/providers/auth/aws.js";
import { type FakeEndpoint, fakeEndpoint, REQUEST, type TestWorld } from "./endpoint-fake.js";

export const CHAIN: AwsSource = { kind: "chain", profile: null };

/** The headers of a request, as an object. */
export async function headers(credentials: AwsCredentials): Promise<Record<string, string>> {
  const flat = await credentials.headers(REQUEST);
  const object: Record<string, string> = {};
  for (let at = 0; at < flat.length; at += 2) object[flat[at] as string] = flat[at + 1] as string;
  return object;
}

/** Access key id that signed, and the session token beside it. */
export async function signedWith(
  { context }: TestWorld,
  source: AwsSource = CHAIN,
): Promise<readonly [string, string]> {
  const signed = await headers(new AwsCredentials(source, "us-east-1", context));
  const id = /Credential=([^/]*)\//.exec(signed.authorization ?? "")?.[1] ?? "";
  return [id, signed["x-amz-security-token"] ?? ""];
}

export function stsAnswer(action: string, id: string): string {
  return `<${action}Response><${action}Result><Credentials>
    <AccessKeyId>${id}</AccessKeyId><SecretAccessKey>sts-secret</SecretAccessKey>
    <SessionToken>sts-session</SessionToken><Expiration>2025-01-02T04:04:05Z</Expiration>
  </Credentials></${action}Result></${action}Response>`;
}

export function sts(): Promise<FakeEndpoint> {
  return fakeEndpoint(({ body }) => {
    const action = new URLSearchParams(body).get("Action") ?? "";
    return [200, stsAnswer(action, `ASIA-${action}`)];
  });
}
