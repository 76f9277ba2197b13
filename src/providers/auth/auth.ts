/** How a request to an upstream is authenticated when a fixed header is not enough. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";

/** The request as it will be sent; a signature covers it. */
export interface AuthRequest {
  readonly method: string;
  /** Absolute; its path is escaped as it goes over the wire. */
  readonly url: string;
  /** Flat list of names and values. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

export interface Credentials {
  /**
   * Flat header list for this request; at once when it can be. Rejects (or throws) with AuthError when there is
   * no token and none can be had.
   */
  headers(request: AuthRequest): readonly string[] | Promise<readonly string[]>;
}

/** configuration: what was given cannot work. refused: the endpoint said no. The others are the way there. */
export type AuthFailureKind = "configuration" | "refused" | "unreachable" | "timeout";

/** Why there are no credentials. Its message names the source and the reason, never a secret. */
export class AuthError extends Error {
  override readonly name = "AuthError";
  readonly kind: AuthFailureKind;

  constructor(kind: AuthFailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** What the sources of credentials reach into; tests hand in their own. */
export interface AuthContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Text of a file; rejects when it cannot be read. */
  readonly readFile: (path: string) => Promise<string>;
  /** The user's home folder. */
  readonly home: string;
  /** Milliseconds that one refresh may take in all. */
  readonly timeoutMs: number;
}

const TIMEOUT_MS = 10_000;

/** The context of a running gateway. */
export function authContext(environment: AuthContext["environment"]): AuthContext {
  return {
    environment,
    fetch: (input, init) => fetch(input, init),
    now: Date.now,
    readFile: (path) => readFile(path, "utf8"),
    home: homedir(),
    timeoutMs: TIMEOUT_MS,
  };
}

/** Text of a file that credentials are in. Throws AuthError that names `what`, not the content. */
export async function readCredentialFile(context: AuthContext, path: string, what: string): Promise<string> {
  try {
    return await context.readFile(path);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    throw new AuthError("configuration", `${what} cannot be read${typeof code === "string" ? ` (${code})` : ""}`);
  }
}
