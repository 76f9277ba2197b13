/**
 * Where AWS keys come from, in the usual order: environment, web identity, shared files, container, instance.
 * The first source that is configured counts; when it fails, the others are not asked, since they would mean
 * somebody else.
 */
import { type AuthContext, AuthError } from "./auth.js";
import { containerKeys, instanceKeys } from "./aws-endpoints.js";
import { type Profile, readSharedFiles, type SharedFiles } from "./aws-profile.js";
import { processKeys } from "./aws-process.js";
import { meansLogin, ssoKeys } from "./aws-sso.js";
import { assumeRole, assumeWithWebIdentity, type Role } from "./aws-sts.js";
import type { AwsKeys } from "./sigv4.js";
import type { Grant } from "./token-cache.js";

/** What the chain is told beside the environment. */
export interface ChainOptions {
  readonly region: string;
  /** Profile of the shared files; null = what the environment says, or "default". */
  readonly profile: string | null;
}

/** Files may change while the gateway runs; their keys are read again this often. */
const FILE_LIFE_MS = 300_000;
const MAX_PROFILE_STEPS = 5;

/** Keys from the first source that is configured. Throws AuthError when there is none. */
export async function chainKeys(
  context: AuthContext,
  options: ChainOptions,
  signal: AbortSignal,
): Promise<Grant<AwsKeys>> {
  // A profile that was asked for by name is meant, whatever else the environment holds.
  const asked =
    options.profile === null ? (environmentKeys(context) ?? (await webIdentityKeys(context, options, signal))) : null;
  if (asked !== null) return asked;
  const grant = (await profileKeys(context, options, signal)) ?? (await containerKeys(context, signal));
  if (grant !== null) return grant;
  try {
    const instance = await instanceKeys(context, signal);
    if (instance !== null) return instance;
  } catch (error) {
    if (!(error instanceof AuthError) || error.kind === "timeout") throw error;
    throw new AuthError(error.kind, `${NONE_FOUND}; ${error.message}`);
  }
  throw new AuthError("configuration", NONE_FOUND);
}

const NONE_FOUND = "no AWS credentials in the environment, the shared files or the container";

function environmentKeys({ environment }: AuthContext): Grant<AwsKeys> | null {
  const {
    AWS_ACCESS_KEY_ID: id = "",
    AWS_SECRET_ACCESS_KEY: secret = "",
    AWS_SESSION_TOKEN: session = "",
  } = environment;
  if (id === "" || secret === "") return null;
  const token = { accessKeyId: id, secretAccessKey: secret, sessionToken: session };
  return { token, expiresAt: Number.POSITIVE_INFINITY };
}

async function webIdentityKeys(
  context: AuthContext,
  { region }: ChainOptions,
  signal: AbortSignal,
): Promise<Grant<AwsKeys> | null> {
  const { AWS_WEB_IDENTITY_TOKEN_FILE: file = "", AWS_ROLE_ARN: arn = "" } = context.environment;
  if (file === "" || arn === "") return null;
  const sessionName = context.environment.AWS_ROLE_SESSION_NAME ?? "";
  return assumeWithWebIdentity(context, { arn, sessionName, externalId: "", duration: "", region }, file, signal);
}

interface ProfileState {
  readonly context: AuthContext;
  readonly files: SharedFiles;
  readonly region: string;
  readonly signal: AbortSignal;
}

async function profileKeys(
  context: AuthContext,
  { profile, region }: ChainOptions,
  signal: AbortSignal,
): Promise<Grant<AwsKeys> | null> {
  const named = profile ?? context.environment.AWS_PROFILE ?? "";
  const files = await readSharedFiles(context);
  const name = named === "" ? "default" : named;
  if (named !== "" && !files.profiles.has(name)) {
    throw new AuthError("configuration", "the AWS profile that was asked for is not in the shared files");
  }
  return keysOfProfile({ context, files, region, signal }, name, MAX_PROFILE_STEPS);
}

/** `steps`: how many more profiles may be sources of one another. null: the profile holds no credentials. */
async function keysOfProfile(state: ProfileState, name: string, steps: number): Promise<Grant<AwsKeys> | null> {
  const profile = state.files.profiles.get(name);
  if (profile === undefined) return null;
  if (steps === 0) {
    throw new AuthError("configuration", `more than ${MAX_PROFILE_STEPS} AWS profiles name each other as their source`);
  }
  const arn = profile.get("role_arn") ?? "";
  if (arn !== "") {
    const role = { ...roleOf(profile, arn), region: profile.get("region") ?? state.region };
    return keysOfRole(state, profile, role, { name, steps });
  }
  const id = profile.get("aws_access_key_id") ?? "";
  const secret = profile.get("aws_secret_access_key") ?? "";
  if (id !== "" && secret !== "") {
    const token = { accessKeyId: id, secretAccessKey: secret, sessionToken: profile.get("aws_session_token") ?? "" };
    return { token, expiresAt: state.context.now() + FILE_LIFE_MS };
  }
  const command = profile.get("credential_process");
  if (command !== undefined) return processKeys(state.context, command, state.signal);
  if (meansLogin(profile)) return ssoKeys(state.context, state.files, profile, state.signal);
  refuse(profile, "login_session");
  return null;
}

function refuse(profile: Profile, field: string): void {
  if (profile.has(field)) throw new AuthError("configuration", `AWS profiles with ${field} are not supported`);
}

function roleOf(profile: Profile, arn: string): Omit<Role, "region"> {
  return {
    arn,
    sessionName: profile.get("role_session_name") ?? "",
    externalId: profile.get("external_id") ?? "",
    duration: profile.get("duration_seconds") ?? "",
  };
}

async function keysOfRole(
  state: ProfileState,
  profile: Profile,
  role: Role,
  at: { readonly name: string; readonly steps: number },
): Promise<Grant<AwsKeys>> {
  const { context, signal } = state;
  // Nobody is there who could be asked for the code.
  refuse(profile, "mfa_serial");
  const file = profile.get("web_identity_token_file");
  if (file !== undefined) return assumeWithWebIdentity(context, role, file, signal);
  const source = profile.get("source_profile");
  const own = new Map([...profile].filter(([field]) => field !== "role_arn"));
  let base: Grant<AwsKeys> | null = null;
  // A profile that is its own source means the keys that stand beside the role.
  if (source === at.name) {
    base = await keysOfProfile(
      { ...state, files: { ...state.files, profiles: new Map([[source, own]]) } },
      source,
      at.steps - 1,
    );
  } else if (source !== undefined) {
    base = await keysOfProfile(state, source, at.steps - 1);
  } else {
    base = await keysOfSource(context, profile.get("credential_source") ?? "", signal);
  }
  if (base === null) throw new AuthError("configuration", "an AWS profile has a role but no credentials to assume it");
  return assumeRole(context, role, base.token, signal);
}

async function keysOfSource(context: AuthContext, source: string, signal: AbortSignal): Promise<Grant<AwsKeys> | null> {
  if (source === "Environment") return environmentKeys(context);
  if (source === "EcsContainer") return containerKeys(context, signal);
  return source === "Ec2InstanceMetadata" ? instanceKeys(context, signal) : null;
}
