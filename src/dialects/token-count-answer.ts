/** The answer to a question for a prompt's tokens, in the shapes that callers know. */
import type { DialectId } from "./dialect.js";

/** JSON text; `count`: tokens of the prompt. */
export function renderTokenCount(dialect: DialectId, count: number): string {
  if (dialect === "openai-responses") return JSON.stringify({ object: "response.input_tokens", input_tokens: count });
  return JSON.stringify({ input_tokens: count });
}
