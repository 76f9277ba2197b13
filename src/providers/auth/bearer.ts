/** Headers that carry a token: one that was given, or one that is fetched and kept. */
import type { AuthContext, Credentials } from "./auth.js";
import { type Grant, TokenCache } from "./token-cache.js";

/** The same headers for every request. */
export class FixedHeaders implements Credentials {
  readonly #headers: readonly string[];

  constructor(name: string, value: string) {
    this.#headers = Object.freeze([name, value]);
  }

  headers(): readonly string[] {
    return this.#headers;
  }
}

/** A given bearer token. */
export function bearer(token: string): Credentials {
  return new FixedHeaders("authorization", `Bearer ${token}`);
}

/** Headers that a source hands out for a time. */
export class FetchedHeaders implements Credentials {
  readonly #cache: TokenCache<readonly string[]>;

  /** `name`: what is fetched, for error messages. */
  constructor(
    name: string,
    fetch: (signal: AbortSignal) => Promise<Grant<readonly string[]>>,
    context: Pick<AuthContext, "now" | "timeoutMs">,
  ) {
    this.#cache = new TokenCache({ name, fetch, now: context.now, timeoutMs: context.timeoutMs });
  }

  headers(): readonly string[] | Promise<readonly string[]> {
    return this.#cache.get();
  }
}
