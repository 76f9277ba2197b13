/** Reads the body of a simulated request that may be a form, by looking at it. */
import { readForm } from "../../dialects/multipart.js";
import { isFailure } from "../../errors.js";
import { isObject, type JsonObject } from "./json.js";

export interface MediaFields {
  readonly fields: JsonObject;
  readonly files: ReadonlyMap<string, Buffer>;
}

/** null: neither a JSON object nor a form. */
export function fieldsOf(body: Buffer): MediaFields | null {
  return body[0] === 0x2d ? formFields(body) : jsonFields(body);
}

function jsonFields(body: Buffer): MediaFields | null {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return isObject(value) ? { fields: value, files: new Map() } : null;
  } catch {
    return null;
  }
}

/** A form names its boundary in its first line. */
function formFields(body: Buffer): MediaFields | null {
  const end = body.indexOf("\r\n");
  const boundary = end < 2 ? "" : body.toString("latin1", 2, end);
  const form = readForm(body, `multipart/form-data; boundary="${boundary}"`);
  if (isFailure(form)) return null;
  const fields: Record<string, unknown> = {};
  const files = new Map<string, Buffer>();
  for (const { name, isFile, start, end: stop } of form.parts) {
    const bytes = body.subarray(start, stop);
    if (isFile) files.set(name, bytes);
    else fields[name] = bytes.toString("utf8");
  }
  return { fields, files };
}
