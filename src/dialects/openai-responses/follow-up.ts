/** Requests about a response that is there already: read again, deleted, cancelled, its input listed. */
import { type Failure, failure, isFailure } from "../../errors.js";
import type { KeyedPlace, KeyedRequest } from "../dialect.js";
import { keyedView, NO_EDITS, Origins, pathBelow, restoreQuery } from "../keyed-request.js";

export function readFollowUp(request: KeyedRequest): KeyedPlace | Failure {
  const origins = new Origins();
  const path = pathBelow(request, origins);
  if (typeof path !== "string") return path;
  const { query, model, stream } = restoreQuery(request.query, origins);
  const { carried } = origins;
  if (isFailure(carried)) return carried;
  if (request.method === "delete" && stream) {
    return failure("invalid_request_error", "A deletion has no stream.", "stream");
  }
  const view = keyedView(carried?.model ?? "", { stream });
  return { view, carried, targetModel: model, path, query, edits: NO_EDITS };
}
