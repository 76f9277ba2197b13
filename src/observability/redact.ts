/** Keeps credentials out of the log: by the name of a field, and by the look of a text. */

const CENSORED = "[redacted]";
const MAX_DEPTH = 6;

/** Names of fields whose value is a credential, compared without case, `-` and `_`. */
const SECRET_NAMES = new Set([
  "accesstoken",
  "adminkey",
  "apikey",
  "auth",
  "authorization",
  "clientsecret",
  "cookie",
  "credential",
  "credentials",
  "key",
  "passphrase",
  "password",
  "privatekey",
  "proxyauthorization",
  "refreshtoken",
  "secret",
  "secretaccesskey",
  "secretkey",
  "sessiontoken",
  "setcookie",
  "token",
  "xapikey",
  "xgoogapikey",
]);

/** Texts that are credentials wherever they stand: bearer values, and the prefixes that issuers give keys. */
const SECRET_TEXTS = [
  /\b(?:bearer|basic)[ +][A-Za-z0-9._~+/=-]{8,}/gi,
  /\b(?:g?sk|rk|pk|key)-[A-Za-z0-9_-]{12,}/g,
  /\bAIza[A-Za-z0-9_-]{20,}/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g,
  /\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*/g,
  /([?&](?:api[_-]?key|key|token|access_token)=)[^&\s"]+/gi,
  /(:\/\/[^/\s:@"]*:)[^/\s@"]+(?=@)/g,
];

/** The text with everything that looks like a credential blanked out. */
export function redactText(text: string): string {
  let clean = text;
  for (const pattern of SECRET_TEXTS) {
    clean = clean.replace(pattern, (_whole: string, kept: unknown) =>
      typeof kept === "string" ? `${kept}${CENSORED}` : CENSORED,
    );
  }
  return clean;
}

function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name.toLowerCase().replace(/[-_]/g, ""));
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const plain: Record<string, unknown> = { type: error.name, message: redactText(error.message) };
  if (error.stack !== undefined) plain.stack = redactText(error.stack);
  if (error.cause !== undefined) plain.cause = redactValue(error.cause, depth + 1);
  for (const [name, value] of Object.entries(error)) {
    if (!(name in plain)) plain[name] = isSecretName(name) ? CENSORED : redactValue(value, depth + 1);
  }
  return plain;
}

/** A copy fit for the log. Deep structures are cut, so a cycle ends; bytes are named by their length only. */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "[deep]";
  if (value instanceof Error) return redactError(value, depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  return redactFields(value as Record<string, unknown>, depth + 1);
}

/** The same for the members of an object. */
export function redactFields(fields: Record<string, unknown>, depth = 0): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    const secret = isSecretName(name) && value !== "" && value !== null && value !== undefined;
    clean[name] = secret ? CENSORED : redactValue(value, depth);
  }
  return clean;
}
