import { type Failure, failure } from "../errors.js";

/** The request's deadline has passed: whoever notices, callers read the same. */
export function timeOver(): Failure {
  return failure("timeout", "The request's time is over.");
}
