/** Credentials of AWS: signed requests, or an API key as a bearer token. */
import type { AuthContext, AuthRequest, Credentials } from "./auth.js";
import { chainKeys } from "./aws-chain.js";
import { assumeWithWebIdentity } from "./aws-sts.js";
import { type AwsKeys, Signer } from "./sigv4.js";
import { type Grant, TokenCache } from "./token-cache.js";

/** Name under which requests to the model runtime are signed. */
export const SIGNING_SERVICE = "bedrock";

/** Where the keys come from: given, a role for a web identity, or the usual chain. */
export type AwsSource =
  | { readonly kind: "static"; readonly keys: AwsKeys }
  | {
      readonly kind: "web-identity";
      readonly roleArn: string;
      readonly tokenFile: string;
      readonly sessionName: string;
    }
  | { readonly kind: "chain"; readonly profile: string | null };

/** Signs every request; keys are kept and refreshed by a `TokenCache`. */
export class AwsCredentials implements Credentials {
  readonly #cache: Pick<TokenCache<AwsKeys>, "get">;
  readonly #signer: Signer;
  readonly #now: () => number;

  constructor(source: AwsSource, region: string, context: AuthContext) {
    this.#now = context.now;
    this.#signer = new Signer(region, SIGNING_SERVICE);
    this.#cache = source.kind === "static" ? { get: () => source.keys } : cacheOf(source, region, context);
  }

  headers(request: AuthRequest): readonly string[] | Promise<readonly string[]> {
    const keys = this.#cache.get();
    if (keys instanceof Promise) return keys.then((fetched) => this.#sign(request, fetched));
    return this.#sign(request, keys);
  }

  #sign(request: AuthRequest, keys: AwsKeys): readonly string[] {
    return this.#signer.sign(request, keys, this.#now());
  }
}

type FetchedSource = Exclude<AwsSource, { readonly kind: "static" }>;

function cacheOf(source: FetchedSource, region: string, context: AuthContext): TokenCache<AwsKeys> {
  return new TokenCache({
    name: "AWS credentials",
    fetch: (signal) => keysFrom(source, region, context, signal),
    now: context.now,
    timeoutMs: context.timeoutMs,
  });
}

function keysFrom(
  source: FetchedSource,
  region: string,
  context: AuthContext,
  signal: AbortSignal,
): Promise<Grant<AwsKeys>> {
  if (source.kind === "chain") return chainKeys(context, { region, profile: source.profile }, signal);
  const role = { arn: source.roleArn, sessionName: source.sessionName, externalId: "", duration: "", region };
  return assumeWithWebIdentity(context, role, source.tokenFile, signal);
}
