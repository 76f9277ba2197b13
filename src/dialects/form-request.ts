/** Reading and splicing of requests that are forms, and of those that may be a form or JSON. */
import { type Failure, failure, isFailure } from "../errors.js";
import type { RequestView } from "./dialect.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { fieldOf, fieldText, type Form, insertedField, isFormType, readForm } from "./multipart.js";
import { fieldEdits, MAX_MODEL_LENGTH, type RequestShape, readFields } from "./request-fields.js";

const JSON_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json[ \t]*(?:;|$)/i;
/** A content type goes on to the upstream with the form: it must be able to stand in a header. */
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;
/** Line ends in a model's name would be parts of a form. */
const CONTROL = /\p{Cc}/u;
/** Longer than any field that is read here but the texts, and those are not. */
const MAX_FIELD_BYTES = 4_096;

/** What an operation takes: a form where `form` is set, JSON where `json` is. */
export interface MediaShape {
  readonly json: RequestShape | null;
  readonly form: FormShape | null;
}

export interface FormShape {
  /** A file must come under one of these names; the first is named in the refusal. */
  readonly files: readonly string[];
  /** A field that may stand in for the file; "" = none. */
  readonly orField: string;
  readonly streams: boolean;
}

/** What a request comes with, beside its body. */
export interface BodyFacts {
  readonly modelOverride: string | null;
  /** "" = not said. */
  readonly contentType: string;
}

/** Finds what the gateway needs in a body that is what its content type says; see `Dialect.readRequest`. */
export function readMedia(body: Buffer, shape: MediaShape, facts: BodyFacts): RequestView | Failure {
  const { contentType, modelOverride } = facts;
  if (isFormType(contentType)) {
    return shape.form === null ? wrongType(shape) : readFormFields(body, shape.form, facts);
  }
  if (shape.json === null || (contentType !== "" && !JSON_TYPE.test(contentType))) return wrongType(shape);
  return readFields(body, shape.json, modelOverride);
}

function wrongType({ json, form }: MediaShape): Failure {
  const taken = [json === null ? [] : ["application/json"], form === null ? [] : ["multipart/form-data"]].flat();
  return failure("invalid_request_error", `The content-type must be ${taken.join(" or ")}.`, "content-type");
}

function readFormFields(body: Buffer, shape: FormShape, facts: BodyFacts): RequestView | Failure {
  const { contentType, modelOverride } = facts;
  if (!HEADER_VALUE.test(contentType)) {
    return failure("invalid_request_error", "The content-type holds characters that it may not.", "content-type");
  }
  const form = readForm(body, contentType);
  if (isFailure(form)) return form;
  const missing = missingFile(form, shape);
  if (missing !== null) return missing;
  const part = fieldOf(form, "model");
  if (part !== null && isFailure(part)) return part;
  const named = part === null || part.start === part.end ? null : fieldText(body, part, MAX_FIELD_BYTES);
  if (named === null && modelOverride === null) {
    return part === null || part.start === part.end
      ? failure("invalid_request_error", "model is required.", "model")
      : badModel();
  }
  const model = modelOverride ?? (named as string);
  if (model.length === 0 || model.length > MAX_MODEL_LENGTH || CONTROL.test(model)) return badModel();
  const stream = shape.streams ? readFlag(body, form, "stream") : false;
  if (typeof stream !== "boolean") return stream;
  const modelSpan = part === null ? null : { start: part.start, end: part.end };
  return { model, modelSpan, stream, usageAsked: true, streamOptionsSpan: null, maxOutputTokens: -1, form };
}

function missingFile(form: Form, { files, orField }: FormShape): Failure | null {
  const has = form.parts.some(({ name, isFile }) => (isFile ? files.includes(name) : name === orField));
  const [file = ""] = files;
  return has ? null : failure("invalid_request_error", `${file} is required and must be a file.`, file);
}

function badModel(): Failure {
  const message = `model must be a valid text of 1 to ${MAX_MODEL_LENGTH} characters without line ends.`;
  return failure("invalid_request_error", message, "model");
}

/** Servers take several spellings of yes; of anything else the upstream will say what it thinks. */
const YES = new Set(["true", "1", "yes", "on", "t", "y"]);

function readFlag(body: Buffer, form: Form, name: string): boolean | Failure {
  const part = fieldOf(form, name);
  if (part === null || isFailure(part)) return part ?? false;
  return YES.has((fieldText(body, part, MAX_FIELD_BYTES) ?? "").trim().toLowerCase());
}

/** The text of a field that is there once; "" = it is not, or is no text. */
export function textField(body: Buffer, form: Form, name: string): string {
  const part = fieldOf(form, name);
  return part === null || isFailure(part) ? "" : (fieldText(body, part, MAX_FIELD_BYTES) ?? "").trim();
}

/** What `spliceMedia` changes. */
export function mediaEdits(body: Buffer, view: RequestView, targetModel: string): readonly Edit[] {
  const { form, modelSpan } = view;
  if (form === undefined) return fieldEdits(body, view, targetModel);
  if (modelSpan === null) return [insertedField(form, "model", targetModel)];
  const bytes = Buffer.from(targetModel);
  return bytes.equals(body.subarray(modelSpan.start, modelSpan.end)) ? [] : [{ ...modelSpan, bytes }];
}

/** The body for an upstream of the same dialect; see `Dialect.spliceRequest`. */
export function spliceMedia(body: Buffer, view: RequestView, targetModel: string): Buffer {
  return applyEdits(body, mediaEdits(body, view, targetModel));
}
