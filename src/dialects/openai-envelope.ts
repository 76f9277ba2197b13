/** The error envelope that the OpenAI-shaped dialects share. */
import { type BudgetState, ERRORS, type Failure } from "../errors.js";

interface OpenAiError {
  message: string;
  type: string;
  param: string | null;
  code: string;
  policy?: { readonly id: string; readonly name: string };
  budget?: BudgetState;
}

/** The `error` object of a failure. */
export function openAiError(failure: Failure): OpenAiError {
  const error: OpenAiError = {
    message: failure.message,
    type: ERRORS[failure.code].type,
    param: failure.param,
    code: failure.code,
  };
  if (failure.policy !== null) error.policy = failure.policy;
  if (failure.budget !== null) error.budget = failure.budget;
  return error;
}

/** `{"error":{…}}` as JSON text. */
export function renderOpenAiError(failure: Failure): string {
  return JSON.stringify({ error: openAiError(failure) });
}

/** The same as an event without a name, as chat and completions streams have it. JSON text holds no raw line end. */
export function renderOpenAiStreamError(failure: Failure): string {
  return `data: ${renderOpenAiError(failure)}\n\n`;
}
