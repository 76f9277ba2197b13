/**
 * Finding the parts of a form (multipart/form-data, RFC 7578 and RFC 2046 §5.1) in its bytes, without copying them.
 * Only what every reader of forms understands in the same way is taken: a body in which two readers could see
 * different parts is refused, because the upstream must see the model that the gateway has seen.
 */
import { isUtf8 } from "node:buffer";
import { type Failure, failure } from "../errors.js";
import type { Span } from "./dialect.js";
import type { Edit } from "./json-splice.js";

/** One part; the span is its content. */
export interface FormPart extends Span {
  readonly name: string;
  /** It came with a file name: a file, not a field. */
  readonly isFile: boolean;
}

export interface Form {
  readonly boundary: string;
  /** Where the first delimiter begins: a part can be put in before it. */
  readonly firstAt: number;
  readonly parts: readonly FormPart[];
}

const MAX_PARTS = 128;
const MAX_HEADER_BYTES = 16_384;
/** RFC 2046 §5.1.1. */
const MAX_BOUNDARY = 70;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const DASH = 0x2d;
const LINE_END = "\r\n";
const BLANK_LINE = Buffer.from("\r\n\r\n");

/** A token, or a quoted text in which nothing is escaped but a quote or a backslash. */
const PARAMETER = /;[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))[ \t]*/y;
const FORM_DATA = /^form-data[ \t]*/i;
const MULTIPART = /^multipart\/form-data[ \t]*/i;
/** What may stand in a boundary; a space only inside. */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]$/;
/** Encodings that change nothing. */
const IDENTITY = /^(?:7bit|8bit|binary)$/i;

/** Does this content type announce a form? */
export function isFormType(contentType: string): boolean {
  return MULTIPART.test(contentType);
}

/** The parts of a form; a Failure says what is wrong with it. */
export function readForm(body: Buffer, contentType: string): Form | Failure {
  const boundary = boundaryOf(contentType);
  if (boundary === null) {
    const message = "The content-type of a form must name one boundary of 1 to 70 characters.";
    return failure("invalid_request_error", message, "content-type");
  }
  const scan = new FormScan(body, boundary);
  const problem = scan.run();
  return problem === null ? { boundary, firstAt: scan.firstAt, parts: scan.parts } : broken(problem);
}

function broken(problem: string): Failure {
  return failure("invalid_request_error", `The body is not a form that can be read: ${problem}.`);
}

function boundaryOf(contentType: string): string | null {
  const parameters = parametersOf(contentType, MULTIPART);
  const boundary = parameters?.get("boundary");
  return boundary !== undefined && boundary.length <= MAX_BOUNDARY && BOUNDARY.test(boundary) ? boundary : null;
}

/** The parameters of a header value behind what `head` matches; null: it is malformed, or names one of them twice. */
function parametersOf(value: string, head: RegExp): ReadonlyMap<string, string> | null {
  const start = head.exec(value)?.[0].length ?? -1;
  if (start < 0) return null;
  const found = new Map<string, string>();
  PARAMETER.lastIndex = start;
  let at = start;
  while (at < value.length) {
    const match = PARAMETER.exec(value);
    if (match === null) return null;
    const name = (match[1] as string).toLowerCase();
    if (found.has(name)) return null;
    found.set(name, match[2] ?? (match[3] as string));
    at = PARAMETER.lastIndex;
  }
  return found;
}

/** One pass over a form. */
class FormScan {
  readonly parts: FormPart[] = [];
  firstAt = 0;
  readonly #body: Buffer;
  readonly #dashBoundary: Buffer;
  /** Just after the delimiter found last. */
  #at = 0;
  /** The delimiter found last was the closing one. */
  #closed = false;

  constructor(body: Buffer, boundary: string) {
    this.#body = body;
    this.#dashBoundary = Buffer.from(`--${boundary}`, "latin1");
  }

  /** What is wrong with the form; null = nothing. */
  run(): string | null {
    const body = this.#body;
    this.firstAt = body[0] === CR && body[1] === LF ? 2 : 0;
    const behind = this.firstAt + this.#dashBoundary.length;
    if (!this.#dashBoundary.equals(body.subarray(this.firstAt, behind))) return "it does not begin with its boundary";
    const first = this.#readTail(behind);
    if (first !== null) return first;
    while (!this.#closed) {
      if (this.parts.length === MAX_PARTS) return `it has more than ${MAX_PARTS} parts`;
      const problem = this.#readPart();
      if (problem !== null) return problem;
    }
    return isBlank(body, this.#at) ? null : "something follows its closing boundary";
  }

  /** Reads what stands behind a boundary: the closing dashes, or blanks and the line's end. */
  #readTail(from: number): string | null {
    const body = this.#body;
    if (body[from] === DASH && body[from + 1] === DASH) {
      this.#closed = true;
      this.#at = from + 2;
      return null;
    }
    let at = from;
    while (body[at] === SPACE || body[at] === TAB) at++;
    if (body[at] !== CR || body[at + 1] !== LF) {
      return at >= body.length ? "it ends within a boundary" : `its boundary is followed by something at byte ${at}`;
    }
    this.#at = at + 2;
    return null;
  }

  #readPart(): string | null {
    const body = this.#body;
    const headersAt = this.#at;
    // The blank line may follow the delimiter at once: then the part has no headers, and so no name.
    const blank = body.indexOf(BLANK_LINE, headersAt - 2);
    if (blank < 0) return "it ends within the headers of a part";
    if (blank - headersAt > MAX_HEADER_BYTES) return "the headers of a part are too large";
    const headers = readPartHeaders(body.toString("latin1", headersAt, Math.max(blank, headersAt)));
    if (typeof headers === "string") return headers;
    const start = blank + BLANK_LINE.length;
    const end = this.#findEnd(start);
    if (typeof end === "string") return end;
    this.parts.push({ ...headers, start, end });
    return null;
  }

  /** Where the part that begins at `start` ends; reads the delimiter behind it. */
  #findEnd(start: number): number | string {
    const body = this.#body;
    // The line end before a delimiter belongs to it, and cannot also be the one that ends the headers.
    let at = body.indexOf(this.#dashBoundary, start);
    while (at >= 0) {
      const before = body[at - 1];
      if (before === LF || before === CR) {
        if (before !== LF || body[at - 2] !== CR || at - 2 < start) {
          return `a boundary at byte ${at} does not stand on a line of its own`;
        }
        const problem = this.#readTail(at + this.#dashBoundary.length);
        return problem ?? at - 2;
      }
      at = body.indexOf(this.#dashBoundary, at + 1);
    }
    return "its closing boundary is missing";
  }
}

/** RFC 2046 lets anything follow; nobody means it, and readers disagree about it. */
function isBlank(body: Buffer, from: number): boolean {
  for (let at = from; at < body.length; at++) {
    const byte = body[at];
    if (byte !== CR && byte !== LF && byte !== SPACE && byte !== TAB) return false;
  }
  return true;
}

type PartHeaders = Pick<FormPart, "name" | "isFile">;

/** What a part's headers say, or what is wrong with them. `text`: latin1, the names in it UTF-8. */
function readPartHeaders(text: string): PartHeaders | string {
  let disposition: string | null = null;
  for (const line of text.split(LINE_END)) {
    const colon = line.indexOf(":");
    if (colon <= 0 || line.includes("\r") || line.includes("\n") || /[\s]/.test(line.slice(0, colon))) {
      return "a part has a header that is none";
    }
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "content-disposition") {
      if (disposition !== null) return "a part has two content-dispositions";
      disposition = value;
    } else if (name === "content-transfer-encoding" && !IDENTITY.test(value)) {
      return "a part has a content-transfer-encoding";
    }
  }
  return disposition === null ? "a part has no content-disposition" : readDisposition(disposition);
}

function readDisposition(value: string): PartHeaders | string {
  const parameters = parametersOf(value, FORM_DATA);
  if (parameters === null) return "the content-disposition of a part is not that of a form's";
  const raw = parameters.get("name");
  if (raw === undefined) return "a part has no name";
  // Readers disagree about an escape in a name, and about names in other alphabets given beside it.
  if (raw.includes("\\") || parameters.has("name*")) return "the name of a part cannot be read";
  const name = Buffer.from(raw, "latin1").toString("utf8");
  return { name, isFile: parameters.has("filename") || parameters.has("filename*") };
}

/** The part of this name; null = none. A Failure: it stands there twice, or is a file. */
export function fieldOf(form: Form, name: string): FormPart | Failure | null {
  let found: FormPart | null = null;
  for (const part of form.parts) {
    if (part.name !== name) continue;
    if (found !== null) {
      return failure("invalid_request_error", `The field "${name}" stands in the form twice.`, name);
    }
    if (part.isFile) return failure("invalid_request_error", `${name} must be a field, not a file.`, name);
    found = part;
  }
  return found;
}

/** A field's text; null: it is longer than `maxBytes`, or not UTF-8. */
export function fieldText(body: Buffer, part: Span, maxBytes: number): string | null {
  if (part.end - part.start > maxBytes) return null;
  const bytes = body.subarray(part.start, part.end);
  return isUtf8(bytes) ? bytes.toString("utf8") : null;
}

/** The first file under this name; null = none. */
export function fileOf(form: Form, name: string): FormPart | null {
  return form.parts.find((part) => part.name === name && part.isFile) ?? null;
}

/** Puts a field in before all others. The value must hold no line end. */
export function insertedField(form: Form, name: string, value: string): Edit {
  const text = `--${form.boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  return { start: form.firstAt, end: form.firstAt, bytes: Buffer.from(text) };
}
