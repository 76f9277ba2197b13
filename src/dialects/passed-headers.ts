/** Request headers that belong to a dialect's wire and go on to an upstream. Credentials never do. */
export const PASSED_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "anthropic-beta",
  "anthropic-version",
  "idempotency-key",
  "openai-beta",
  "traceparent",
  "tracestate",
]);
