/** What calls to the admin API and their answers look like. */

export interface AdminRequest {
  /** In lower case. */
  readonly method: string;
  readonly path: string;
  /** What stands behind the question mark. */
  readonly query: string;
  readonly authorization: string;
  readonly apiKey: string;
  readonly ifMatch: string;
  readonly ifNoneMatch: string;
  /** Of who asks. */
  readonly address: string;
  readonly body: Buffer;
}

export type AdminStatus =
  | "200 OK"
  | "201 Created"
  | "400 Bad Request"
  | "401 Unauthorized"
  | "403 Forbidden"
  | "404 Not Found"
  | "405 Method Not Allowed"
  | "409 Conflict"
  | "412 Precondition Failed"
  | "500 Internal Server Error"
  | "503 Service Unavailable";

export interface AdminAnswer {
  readonly status: AdminStatus;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Where something is wrong, and what. */
export interface Reason {
  readonly path: string;
  readonly message: string;
}

/** More are not told at once. */
const MAX_REASONS = 100;
const MAX_LENGTH = 500;

/** As many of them, and as much of each, as somebody reads. */
export function readable(all: readonly Reason[]): Reason[] {
  const reasons = all
    .slice(0, MAX_REASONS)
    .map(({ path, message }) => ({ path: shortened(path), message: shortened(message) }));
  if (all.length > reasons.length) reasons.push({ path: "", message: `and ${all.length - reasons.length} more` });
  return reasons;
}

function shortened(text: string): string {
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH)}…`;
}

export function problem(status: AdminStatus, message: string, errors: readonly Reason[] = []): AdminAnswer {
  return { status, body: { error: { message, ...(errors.length === 0 ? {} : { errors: readable(errors) }) } } };
}

export function notAllowed(allow: string): AdminAnswer {
  return { ...problem("405 Method Not Allowed", `Use ${allow}.`), headers: { allow } };
}
