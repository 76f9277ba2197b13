/** What a check of configuration answers: a value, or every error that was found. */

/** One thing that is wrong. Never holds a value of the file, so never a secret. */
export interface ConfigError {
  /** The file as it was named, or "environment". */
  readonly file: string;
  /** Where in the file: `models[2].provider_key`; "" = the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** Line in the file, from 1; null when unknown. */
  readonly line: number | null;
}

export type Result<T> =
  /** `ignored` lists what the file holds and this version skips, where the caller asked for that. */
  | { readonly ok: true; readonly value: T; readonly ignored: readonly ConfigError[] }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

export type Path = readonly (string | number)[];

// A key that does not look like a name may be a secret in the wrong place ("api_key:sk-…" without the
// blank makes one key of it), so it is not repeated in a message.
const SHOWABLE_KEY = /^[A-Za-z0-9_-]{1,64}$/;

/** Writes a path the way people read it: `models[2].provider_key`. */
export function renderPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += `${text === "" ? "" : "."}${SHOWABLE_KEY.test(part) ? part : "<key>"}`;
  }
  return text;
}

/** One error as one line: `file:path: message`. */
export function renderError(error: ConfigError): string {
  const where = error.path === "" ? error.file : `${error.file}:${error.path}`;
  const line = error.line === null ? "" : ` (line ${error.line})`;
  return `${where}: ${error.message}${line}`;
}
