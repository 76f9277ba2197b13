/** The texts of a body that may be a form: its fields are texts under the same names as members of JSON. Files are none. */
import { isUtf8 } from "node:buffer";
import { isFailure } from "../errors.js";
import { isFormType, readForm } from "./multipart.js";
import { type Texts, type TextShape, type TextSpan, textsOf } from "./text-spans.js";

/** Finds the texts of a body; null when it is not what its content type says. `contentType`: "" = JSON. */
export function bodyTexts(bytes: Buffer, shape: TextShape, contentType: string): Texts | null {
  if (!isFormType(contentType)) return textsOf(bytes, shape);
  const form = readForm(bytes, contentType);
  if (isFailure(form)) return null;
  const spans: TextSpan[] = [];
  let unreadable = false;
  for (const { name, isFile, start, end } of form.parts) {
    if (isFile || !isText(shape, name)) continue;
    const field = bytes.subarray(start, end);
    if (isUtf8(field)) spans.push({ start, end, text: field.toString("utf8"), plain: true });
    else unreadable = true;
  }
  return { spans, unreadable };
}

function isText({ members }: TextShape, name: string): boolean {
  return members?.shapes[members.keys.names.indexOf(name)]?.text === true;
}
