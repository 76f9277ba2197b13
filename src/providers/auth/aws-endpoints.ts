/** Keys that the place where the gateway runs hands out: to a container (ECS, EKS Pod Identity), to an instance (EC2). */
import { type AuthContext, AuthError, readCredentialFile } from "./auth.js";
import { grantOf } from "./aws-keys.js";
import { callEndpoint, callForJson } from "./endpoint.js";
import type { AwsKeys } from "./sigv4.js";
import type { Grant } from "./token-cache.js";

const CONTAINER_HOST = "http://169.254.170.2";
/** Over plain HTTP nobody else may be asked, or the token would go to whoever is in between. */
const PLAIN_HOSTS = new Set(["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "[::1]"]);

/** Keys of the container's role; null: the environment names no such endpoint. */
export async function containerKeys(context: AuthContext, signal: AbortSignal): Promise<Grant<AwsKeys> | null> {
  const { environment } = context;
  const relative = environment.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ?? "";
  const full = environment.AWS_CONTAINER_CREDENTIALS_FULL_URI ?? "";
  if (relative === "" && full === "") return null;
  const url = relative === "" ? checkedUrl(full) : `${CONTAINER_HOST}${relative}`;
  const headers: Record<string, string> = { accept: "application/json" };
  const token = await containerToken(context);
  if (token !== "") headers.authorization = token;
  const name = "the container's credentials endpoint";
  return keysIn(await callForJson(context, { name, url, method: "GET", headers, signal }), name);
}

function checkedUrl(written: string): string {
  const url = URL.canParse(written) ? new URL(written) : null;
  const plain = url !== null && (PLAIN_HOSTS.has(url.hostname) || /^127\.\d+\.\d+\.\d+$/.test(url.hostname));
  if (url === null || (url.protocol !== "https:" && !(url.protocol === "http:" && plain))) {
    throw new AuthError("configuration", "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address that may be asked");
  }
  return url.href;
}

async function containerToken(context: AuthContext): Promise<string> {
  const file = context.environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE ?? "";
  const token =
    file === ""
      ? (context.environment.AWS_CONTAINER_AUTHORIZATION_TOKEN ?? "")
      : (await readCredentialFile(context, file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")).trim();
  if (/[\r\n]/.test(token)) {
    throw new AuthError("configuration", "the container's authorization token holds a line break");
  }
  return token;
}

const INSTANCE_HOST = "http://169.254.169.254";
const ROLE_PATH = "/latest/meta-data/iam/security-credentials/";
const TOKEN_LIFE = { "x-aws-ec2-metadata-token-ttl-seconds": "21600" };

/** Keys of the instance's role, by the second version of the metadata service; null: the environment forbids it. */
export async function instanceKeys(context: AuthContext, signal: AbortSignal): Promise<Grant<AwsKeys> | null> {
  const { environment } = context;
  if (environment.AWS_EC2_METADATA_DISABLED?.toLowerCase() === "true") return null;
  const host = (environment.AWS_EC2_METADATA_SERVICE_ENDPOINT || INSTANCE_HOST).replace(/\/$/, "");
  const name = "the instance metadata service";
  const token = await callEndpoint(context, {
    name,
    url: `${host}/latest/api/token`,
    method: "PUT",
    headers: TOKEN_LIFE,
    signal,
  });
  const headers = { "x-aws-ec2-metadata-token": token.trim() };
  const roles = await callEndpoint(context, { name, url: host + ROLE_PATH, method: "GET", headers, signal });
  const role = (roles.split("\n", 1)[0] as string).trim();
  if (role === "") throw new AuthError("configuration", "the instance has no role");
  const url = host + ROLE_PATH + encodeURIComponent(role);
  return keysIn(await callForJson(context, { name, url, method: "GET", headers, signal }), name);
}

/** The keys in the answer of either endpoint. */
function keysIn(answer: Record<string, unknown>, name: string): Grant<AwsKeys> {
  const { AccessKeyId: id, SecretAccessKey: secret, Token: session, Expiration: expiration } = answer;
  return grantOf({ id, secret, session, expiration }, name);
}
