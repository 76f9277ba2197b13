/** Can the listener's certificate be used? Asked before any thread is started that could not say it as well. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

/** Why a certificate and its key cannot be used; null = they can, or none are configured. Never says what is in them. */
export function tlsProblem(files: { readonly cert_file: string; readonly key_file: string } | null): string | null {
  if (files === null) return null;
  try {
    createSecureContext({ cert: readFileSync(files.cert_file), key: readFileSync(files.key_file) });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
