/** One call to an endpoint that hands out credentials. Nothing of what was sent or answered gets into an error. */
import { type AuthContext, AuthError } from "./auth.js";

export interface EndpointCall {
  /** What is called, for error messages ("the token endpoint"). */
  readonly name: string;
  readonly url: string;
  readonly method: "GET" | "POST" | "PUT";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What to do about an answer of this status, for the error message. */
  readonly advice?: Readonly<Record<number, string>>;
  readonly signal: AbortSignal;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
/** Error codes as OAuth and STS have them: words, no prose. */
const ERROR_CODE = /^[A-Za-z][A-Za-z0-9_.]{0,63}$/;

/** Text of a 2xx answer. Throws AuthError otherwise; the answer's own error code is named when it is only a word. */
export async function callEndpoint(context: AuthContext, call: EndpointCall): Promise<string> {
  const { response, text } = await exchange(context, call);
  if (response.ok) return text;
  const code = errorCode(text);
  const said = code === "" ? "" : ` (${code})`;
  // A 5xx may pass; the rest will be the same the next time.
  const kind = response.status >= 500 || response.status === 429 ? "unreachable" : "refused";
  const advice = call.advice?.[response.status];
  throw new AuthError(
    kind,
    `${call.name} answered ${response.status}${said}${advice === undefined ? "" : `; ${advice}`}`,
  );
}

/** The object in a 2xx answer. Throws AuthError when it is none. */
export async function callForJson(context: AuthContext, call: EndpointCall): Promise<Record<string, unknown>> {
  const value = jsonObject(await callEndpoint(context, call));
  if (value === null) throw new AuthError("refused", `${call.name} answered with something that is not JSON`);
  return value;
}

/** The object in some JSON; null when it holds something else. */
export function jsonObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

async function exchange(context: AuthContext, call: EndpointCall): Promise<{ response: Response; text: string }> {
  const { method, headers, body, signal } = call;
  try {
    const response = await context.fetch(call.url, {
      method,
      headers,
      signal,
      ...(body === undefined ? {} : { body }),
      // Whoever redirects a request for credentials would get what it carries.
      redirect: "error",
    });
    return { response, text: await boundedText(response) };
  } catch (error) {
    if (error instanceof AuthError) throw error;
    const cause = (error as { cause?: { code?: unknown } }).cause?.code;
    throw new AuthError(
      "unreachable",
      `${call.name} cannot be reached${typeof cause === "string" ? ` (${cause})` : ""}`,
    );
  }
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let held = 0;
  for await (const part of response.body ?? []) {
    held += part.byteLength;
    if (held > MAX_ANSWER_BYTES) throw new AuthError("refused", "the answer of a credentials endpoint is too large");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function errorCode(text: string): string {
  const body = jsonObject(text);
  const error = body?.error ?? body?.code ?? body?.Code;
  const code = body === null ? (/<Code>([^<]{1,64})<\/Code>/.exec(text)?.[1] ?? "") : error;
  return typeof code === "string" && ERROR_CODE.test(code) ? code : "";
}
