/**
 * Keeps a token that expires. It is fetched again ahead of its end, one fetch at a time and behind the backs of
 * the requests, which use the old one as long as it lives; an endpoint that is down is asked less and less often.
 * There is no timer: nobody's requests, nobody's refresh.
 */
import { AuthError } from "./auth.js";

/** A token and how long it is good for. */
export interface Grant<Token> {
  readonly token: Token;
  /** Milliseconds since the epoch; Infinity = never expires. */
  readonly expiresAt: number;
}

export interface TokenSource<Token> {
  /** What the token is for, for error messages. */
  readonly name: string;
  /** Fetches a new one; the signal ends after `timeoutMs`. */
  readonly fetch: (signal: AbortSignal) => Promise<Grant<Token>>;
  readonly now: () => number;
  readonly timeoutMs: number;
}

const MAX_AHEAD_MS = 300_000;
/** Part of its life that a short-lived token has left when it is replaced. */
const AHEAD_PART = 0.1;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

export class TokenCache<Token> {
  readonly #source: TokenSource<Token>;
  #grant: Grant<Token> | null = null;
  #refreshAt = 0;
  #running: Promise<Token> | null = null;
  #failures = 0;
  #retryAt = 0;
  #lastError: AuthError | null = null;

  constructor(source: TokenSource<Token>) {
    this.#source = source;
  }

  /** The token, at once while there is a living one. Rejects with AuthError when there is none and none can be had. */
  get(): Token | Promise<Token> {
    const now = this.#source.now();
    const grant = this.#grant;
    if (grant !== null && now < grant.expiresAt) {
      if (now >= this.#refreshAt && now >= this.#retryAt && this.#running === null) this.#refresh().catch(() => {});
      return grant.token;
    }
    if (this.#running !== null) return this.#running;
    if (this.#lastError !== null && now < this.#retryAt) return Promise.reject(this.#lastError);
    return this.#refresh();
  }

  #refresh(): Promise<Token> {
    this.#running = this.#fetch().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #fetch(): Promise<Token> {
    try {
      const asked = this.#source.now();
      const grant = await withinTime(this.#source);
      const life = grant.expiresAt - asked;
      if (!(life > 0)) throw new AuthError("refused", `${this.#source.name}: the token has already expired`);
      this.#grant = grant;
      this.#refreshAt = grant.expiresAt - Math.min(MAX_AHEAD_MS, life * AHEAD_PART);
      this.#failures = 0;
      this.#retryAt = 0;
      this.#lastError = null;
      return grant.token;
    } catch (error) {
      this.#lastError = asAuthError(error, this.#source.name);
      const pause = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures, MAX_BACKOFF_MS);
      this.#failures = Math.min(this.#failures + 1, 30);
      this.#retryAt = this.#source.now() + pause;
      throw this.#lastError;
    }
  }
}

/** Foreign errors may hold requests and answers, and these hold secrets: only our own messages pass. */
function asAuthError(error: unknown, name: string): AuthError {
  if (error instanceof AuthError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const plain = typeof code === "string" && /^[A-Z_]{1,40}$/.test(code) ? ` (${code})` : "";
  return new AuthError("unreachable", `${name}: the credentials could not be fetched${plain}`);
}

/** Ends with the time even if the source does not heed the signal. */
async function withinTime<Token>(source: TokenSource<Token>): Promise<Grant<Token>> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new AuthError("timeout", `${source.name}: no answer within ${source.timeoutMs} ms`);
      reject(error);
      controller.abort(error);
    }, source.timeoutMs);
    timer.unref();
  });
  try {
    return await Promise.race([source.fetch(controller.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}
