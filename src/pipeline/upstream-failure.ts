/** What callers hear of an upstream that failed below HTTP. */
import { type Failure, failure } from "../errors.js";
import type { UpstreamFailureKind } from "../providers/upstream.js";

/** `detail` names no address and no secret. */
export function failureOf(kind: UpstreamFailureKind, detail: string): Failure {
  if (kind === "timeout") return failure("timeout", `The upstream did not answer in time (${detail}).`);
  if (kind === "decode")
    return failure("upstream_decode_error", `The upstream's answer could not be read (${detail}).`);
  return failure("transport_error", `The upstream could not be reached or broke off (${detail}).`);
}
