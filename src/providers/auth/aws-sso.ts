/** Keys for somebody who has logged in with `aws sso login`: the login's token, kept in a file, buys those of a role. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type AuthContext, AuthError } from "./auth.js";
import { grantOf } from "./aws-keys.js";
import type { Profile, SharedFiles } from "./aws-profile.js";
import { callForJson, jsonObject } from "./endpoint.js";
import type { AwsKeys } from "./sigv4.js";
import type { Grant } from "./token-cache.js";

const PORTAL = "the SSO portal";
const LOG_IN = "log in again with `aws sso login`";
const REGION = /^[a-z]{2,}(?:-[a-z0-9]+)*$/;

/** What a profile says of its login. */
interface Login {
  /** Name that the token's file is made from: the session's, or the start address of older profiles. */
  readonly tokenName: string;
  readonly region: string;
  readonly account: string;
  readonly role: string;
}

/** Does the profile mean a login? */
export function meansLogin(profile: Profile): boolean {
  return profile.has("sso_session") || profile.has("sso_start_url");
}

/** Keys of the profile's account and role. Throws AuthError that says so when a login is needed first. */
export async function ssoKeys(
  context: AuthContext,
  files: SharedFiles,
  profile: Profile,
  signal: AbortSignal,
): Promise<Grant<AwsKeys>> {
  const login = loginOf(files, profile);
  const token = await loginToken(context, login.tokenName);
  const query = new URLSearchParams({ role_name: login.role, account_id: login.account });
  const answer = await callForJson(context, {
    name: PORTAL,
    url: `${portalUrl(context, login.region)}/federation/credentials?${query}`,
    method: "GET",
    headers: { accept: "application/json", "x-amz-sso_bearer_token": token },
    advice: { 401: LOG_IN },
    signal,
  });
  const { roleCredentials } = answer;
  const keys = typeof roleCredentials === "object" && roleCredentials !== null ? roleCredentials : {};
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = keys as Record<string, unknown>;
  return grantOf({ id: accessKeyId, secret: secretAccessKey, session: sessionToken, expiration }, PORTAL);
}

/** Where the portal is: the region's own, unless the environment names another. */
function portalUrl(context: AuthContext, region: string): string {
  const named = context.environment.AWS_ENDPOINT_URL_SSO;
  if (named !== undefined && named !== "") return named.replace(/\/$/, "");
  return `https://portal.sso.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

function loginOf({ ssoSessions }: SharedFiles, profile: Profile): Login {
  const session = profile.get("sso_session");
  const values = session === undefined ? profile : ssoSessions.get(session);
  if (values === undefined) {
    throw new AuthError("configuration", "the sso_session of an AWS profile is not in the shared files");
  }
  for (const field of ["sso_region", "sso_start_url"]) {
    if (profile.has(field) && profile.get(field) !== values.get(field)) {
      throw new AuthError("configuration", `an AWS profile and its sso_session have different values for ${field}`);
    }
  }
  const start = needed(values, "sso_start_url");
  const region = needed(values, "sso_region");
  if (!REGION.test(region)) throw new AuthError("configuration", "the sso_region of an AWS profile is no region");
  const [account, role] = [needed(profile, "sso_account_id"), needed(profile, "sso_role_name")];
  return { tokenName: session ?? start, region, account, role };
}

function needed(values: Profile, field: string): string {
  const value = values.get(field) ?? "";
  if (value === "") throw new AuthError("configuration", `an AWS profile with SSO has no ${field}`);
  return value;
}

async function loginToken(context: AuthContext, name: string): Promise<string> {
  const file = `${createHash("sha1").update(name).digest("hex")}.json`;
  let text: string;
  try {
    text = await context.readFile(join(context.home, ".aws", "sso", "cache", file));
  } catch {
    throw new AuthError("configuration", `there is no SSO login for the AWS profile; ${LOG_IN}`);
  }
  const { accessToken, expiresAt } = jsonObject(text) ?? {};
  // Older tools write "UTC" where the others write "Z".
  const end = typeof expiresAt === "string" ? Date.parse(expiresAt.replace(/UTC$/, "Z")) : Number.NaN;
  if (typeof accessToken !== "string" || !/^[\x21-\x7e]+$/.test(accessToken) || Number.isNaN(end)) {
    throw new AuthError("configuration", `the file of the SSO login cannot be used; ${LOG_IN}`);
  }
  if (end <= context.now()) throw new AuthError("refused", `the SSO login has expired; ${LOG_IN}`);
  return accessToken;
}
