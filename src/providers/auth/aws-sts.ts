/** Temporary keys from AWS STS. Its answers are XML with four values that matter. */
import { type AuthContext, readCredentialFile } from "./auth.js";
import { grantOf } from "./aws-keys.js";
import { callEndpoint } from "./endpoint.js";
import { type AwsKeys, Signer } from "./sigv4.js";
import type { Grant } from "./token-cache.js";

/** A role to be assumed. */
export interface Role {
  readonly arn: string;
  /** "" = a name of the gateway's own. */
  readonly sessionName: string;
  /** "" = none. */
  readonly externalId: string;
  /** Seconds that the keys shall live, as text; "" = what the role says. */
  readonly duration: string;
  readonly region: string;
}

const VERSION = "2011-06-15";
const SESSION_NAME = "weir";

/** Where STS is: the region's own endpoint, unless the environment names another. */
function stsUrl(context: AuthContext, region: string): string {
  const named = context.environment.AWS_ENDPOINT_URL_STS;
  if (named !== undefined && named !== "") return named.endsWith("/") ? named : `${named}/`;
  return `https://sts.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}/`;
}

function roleForm(action: string, role: Role): URLSearchParams {
  const form = new URLSearchParams({ Action: action, Version: VERSION, RoleArn: role.arn });
  form.set("RoleSessionName", role.sessionName || SESSION_NAME);
  if (role.externalId !== "") form.set("ExternalId", role.externalId);
  if (role.duration !== "") form.set("DurationSeconds", role.duration);
  return form;
}

const FORM_HEADERS = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };

/** Keys of a role for a token that some identity provider keeps in a file (IRSA); the file is read anew each time. */
export async function assumeWithWebIdentity(
  context: AuthContext,
  role: Role,
  tokenFile: string,
  signal: AbortSignal,
): Promise<Grant<AwsKeys>> {
  const token = (await readCredentialFile(context, tokenFile, "the web identity token file")).trim();
  const form = roleForm("AssumeRoleWithWebIdentity", role);
  form.set("WebIdentityToken", token);
  const url = stsUrl(context, role.region);
  const call = { name: "STS (AssumeRoleWithWebIdentity)", url, method: "POST", headers: FORM_HEADERS } as const;
  return grantIn(await callEndpoint(context, { ...call, body: form.toString(), signal }));
}

/** Keys of a role for somebody who has keys already. */
export async function assumeRole(
  context: AuthContext,
  role: Role,
  keys: AwsKeys,
  signal: AbortSignal,
): Promise<Grant<AwsKeys>> {
  const url = stsUrl(context, role.region);
  const body = roleForm("AssumeRole", role).toString();
  const request = { method: "POST", url, headers: Object.entries(FORM_HEADERS).flat(), body: Buffer.from(body) };
  const signed = new Signer(role.region, "sts").sign(request, keys, context.now());
  const headers: Record<string, string> = { ...FORM_HEADERS };
  for (let at = 0; at + 1 < signed.length; at += 2) headers[signed[at] as string] = signed[at + 1] as string;
  return grantIn(await callEndpoint(context, { name: "STS (AssumeRole)", url, method: "POST", headers, body, signal }));
}

function grantIn(xml: string): Grant<AwsKeys> {
  const read = (name: string): string => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]?.trim() ?? "";
  const [id, secret, session] = [read("AccessKeyId"), read("SecretAccessKey"), read("SessionToken")];
  return grantOf({ id, secret, session, expiration: read("Expiration") }, "STS");
}
