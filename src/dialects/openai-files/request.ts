/** Requests for files, batches and fine-tuning jobs: which provider they concern, and what it gets. */
import { isUtf8 } from "node:buffer";
import { type Failure, failure, isFailure } from "../../errors.js";
import type { KeyedPlace, KeyedRequest, RequestView } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import type { Edit } from "../json-splice.js";
import { decodeString, keyTable } from "../json-text.js";
import { keyedView, NO_EDITS, Origins, pathBelow, restoreQuery } from "../keyed-request.js";
import { fieldOf, fieldText, type Form, isFormType, readForm } from "../multipart.js";
import { MAX_MODEL_LENGTH } from "../request-fields.js";
import { findCarriedIds } from "../restored-ids.js";

const MODEL = keyTable(["model"]);
const NO_BYTES = Buffer.alloc(0);
const LINE_END = 2;
/** The field of an upload that names a model only to say which provider is meant. */
const TARGET_MODEL = "target_model";

interface ReadBody {
  readonly view: RequestView;
  readonly targetModel: string | null;
  readonly edits: readonly Edit[];
}

export function readFilesRequest(request: KeyedRequest): KeyedPlace | Failure {
  const origins = new Origins();
  const path = pathBelow(request, origins);
  if (typeof path !== "string") return path;
  const { query, model } = restoreQuery(request.query, origins);
  const body = readBody(request, origins);
  if (isFailure(body)) return body;
  const { carried } = origins;
  if (isFailure(carried)) return carried;
  return { view: body.view, carried, targetModel: body.targetModel ?? model, path, query, edits: body.edits };
}

function readBody(
  { operation, method, routePath, body, contentType }: KeyedRequest,
  origins: Origins,
): ReadBody | Failure {
  const uploads = operation === "files" && method === "post" && !routePath.includes("{");
  if (uploads) return readUpload(body, contentType);
  if (body.length === 0) {
    if (method === "post" && !routePath.includes("{")) {
      return failure("invalid_request_error", "The request has no body.");
    }
    return { view: keyedView(""), targetModel: null, edits: NO_EDITS };
  }
  if (!isUtf8(body)) return failure("invalid_request_error", "The body is not valid UTF-8.");
  const scan = scanTopLevel(body, MODEL);
  if (scan.brokenAt >= 0) return failure("invalid_request_error", "The body must be one JSON object.");
  if (scan.duplicate >= 0)
    return failure("invalid_request_error", 'The field "model" stands in the body twice.', "model");
  const start = scan.starts[0] ?? -1;
  const model = start < 0 ? "" : decodeString(body, start, scan.ends[0] as number);
  if (model === null || model.length > MAX_MODEL_LENGTH) {
    return failure(
      "invalid_request_error",
      `model must be a string of at most ${MAX_MODEL_LENGTH} characters.`,
      "model",
    );
  }
  const edits = findCarriedIds(body);
  for (const { carried } of edits) origins.add(carried);
  return { view: keyedView(model), targetModel: null, edits };
}

function readUpload(body: Buffer, contentType: string): ReadBody | Failure {
  if (!isFormType(contentType)) {
    return failure("invalid_request_error", "The content-type must be multipart/form-data.", "content-type");
  }
  const form = readForm(body, contentType);
  if (isFailure(form)) return form;
  const part = fieldOf(form, TARGET_MODEL);
  if (isFailure(part)) return part;
  const view = keyedView("", { form });
  if (part === null) return { view, targetModel: null, edits: NO_EDITS };
  const targetModel = fieldText(body, part, MAX_MODEL_LENGTH * 4);
  if (targetModel === null) {
    return failure("invalid_request_error", `${TARGET_MODEL} must be the name of a model.`, TARGET_MODEL);
  }
  return { view, targetModel, edits: [withoutPart(form, form.parts.indexOf(part))] };
}

/** Takes a part out, from its delimiter to the next one. */
function withoutPart({ parts, firstAt }: Form, index: number): Edit {
  const before = parts[index - 1];
  const start = before === undefined ? firstAt : before.end + LINE_END;
  return { start, end: (parts[index]?.end ?? start) + LINE_END, bytes: NO_BYTES };
}
