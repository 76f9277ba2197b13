/** The error event of a responses stream. Whole answers carry the envelope that the family shares. */
import type { Failure } from "../../errors.js";
import { openAiError } from "../openai-envelope.js";

/**
 * An `error` event. Clients read it in two shapes (flat, and under `error`), so it carries both. They
 * insist on a sequence number; the gateway does not count the upstream's events, so it says 0. JSON text holds no raw line end.
 */
export function renderResponsesStreamError(failure: Failure): string {
  const error = openAiError(failure);
  const { code, message, param } = error;
  return `event: error\ndata: ${JSON.stringify({ type: "error", sequence_number: 0, code, message, param, error })}\n\n`;
}
