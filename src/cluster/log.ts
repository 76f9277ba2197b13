/** How the cluster actor tells the operator. */
export interface ClusterLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** An error in a few words: library errors repeat themselves in `code` and `message`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  const message = error.message === "" ? error.name : error.message;
  return typeof code === "string" && code !== message ? `${message} (${code})` : message;
}
