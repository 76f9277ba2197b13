/**
 * The texts of a JSON body where they stand: which members hold text is told by a shape, and each text comes with
 * the bytes of its string, so that another text can be spliced in and everything else stays as it was sent. A key
 * that comes twice is read twice: parsers disagree on which one counts.
 */
import { MAX_DEPTH, skipValue } from "./json-scan.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { JsonText, type KeyTable, keyTable } from "./json-text.js";

/** One text and the bytes [start, end) of its JSON string, quotes included. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** The bytes are the text itself: a field of a form. */
  readonly plain?: true;
}

/** A text with the way to it: member names and positions. */
export interface PlacedText extends TextSpan {
  readonly path: readonly (string | number)[];
}

/** Everything a model would read, or has written, in one body. */
export interface Texts {
  readonly spans: readonly TextSpan[];
  /** Text is there in a form that cannot be read here (token numbers). */
  readonly unreadable: boolean;
}

/** Where texts stand below a value. What a shape does not name holds none. */
export interface TextShape {
  /** The value is a text where it is a string. */
  readonly text: boolean;
  /** Shape of the items where the value is an array. */
  items: TextShape | null;
  /** Shapes of members where the value is an object. */
  members: { readonly keys: KeyTable; readonly shapes: readonly TextShape[] } | null;
  /** Every string below is a text. */
  readonly deep: boolean;
  /** Numbers stand for text that cannot be read here. */
  readonly tokens: boolean;
  /** Where an object's `type` decides on its shape; an object of another type holds no text. */
  readonly byType: Readonly<Record<string, TextShape>> | null;
  /** Where no text stands in its place, every string counts: an upstream may answer in a form of its own. */
  readonly orAnything: boolean;
}

interface ShapeParts {
  readonly text?: boolean;
  readonly items?: TextShape;
  readonly members?: Readonly<Record<string, TextShape>>;
  readonly tokens?: boolean;
  readonly byType?: Readonly<Record<string, TextShape>>;
  readonly orAnything?: boolean;
}

/** Builds a shape from what it has. */
export function shapeOf(parts: ShapeParts): TextShape {
  return {
    text: parts.text === true,
    items: parts.items ?? null,
    members: parts.members === undefined ? null : keyed(parts.members),
    deep: false,
    tokens: parts.tokens === true,
    byType: parts.byType ?? null,
    orAnything: parts.orAnything === true,
  };
}

/** Members and their shapes, for a shape that is completed later because it holds itself. */
export function keyed(members: Readonly<Record<string, TextShape>>): NonNullable<TextShape["members"]> {
  return { keys: keyTable(Object.keys(members)), shapes: Object.values(members) };
}

/** A string. */
export const TEXT: TextShape = shapeOf({ text: true });
/** Every string below: arguments given as an object. */
export const DEEP: TextShape = { ...shapeOf({ text: true }), deep: true };
/** A string, strings, or numbers that stand for text. */
export const PROMPT: TextShape = shapeOf({
  text: true,
  items: shapeOf({ text: true, tokens: true, items: shapeOf({ tokens: true }) }),
});
/** An object whose `description` is shown to the model. */
export const DESCRIBED: TextShape = shapeOf({ members: { description: TEXT } });

/** A list of values of one shape. */
export function listOf(items: TextShape): TextShape {
  return shapeOf({ items });
}

const TYPE_KEY = keyTable(["type"]);
/** Nobody means what is nested deeper in objects that tell their types. */
const MAX_TYPED_DEPTH = 24;
const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** Finds the texts of a body; null when it is no JSON (or nested deeper than anything is). */
export function textsOf(bytes: Buffer, shape: TextShape): Texts | null {
  const walk = new Walk(bytes, null);
  const readable = walk.run(shape);
  if (readable && walk.found.length === 0 && shape.orAnything) return textsOf(bytes, DEEP);
  return readable ? { spans: walk.found, unreadable: walk.unreadable } : null;
}

/** The same with the way to each text. */
export function placedTextsOf(bytes: Buffer, shape: TextShape): readonly PlacedText[] | null {
  const walk = new Walk(bytes, []);
  return walk.run(shape) ? (walk.found as PlacedText[]) : null;
}

/** Puts other texts in place of some: `texts` by the index of their span; null = as it was. */
export function spliceTexts(bytes: Buffer, spans: readonly TextSpan[], texts: readonly (string | null)[]): Buffer {
  const edits: Edit[] = [];
  for (const [index, text] of texts.entries()) {
    const span = spans[index];
    if (text === null || span === undefined) continue;
    const { start, end, plain } = span;
    edits.push({ start, end, bytes: Buffer.from(plain === true ? text : JSON.stringify(text)) });
  }
  return applyEdits(bytes, edits);
}

/** One pass over a body. Its methods give the offset after what they read, or a negative number where it breaks. */
class Walk {
  readonly found: TextSpan[] = [];
  unreadable = false;
  readonly #json: JsonText;
  readonly #path: (string | number)[] | null;
  #depth = 0;

  constructor(bytes: Buffer, path: (string | number)[] | null) {
    this.#json = JsonText.of(bytes);
    this.#path = path;
  }

  run(shape: TextShape): boolean {
    const json = this.#json;
    const end = this.#value(json.space(0), shape);
    return end >= 0 && json.space(end) === json.length;
  }

  #value(at: number, shape: TextShape): number {
    const first = this.#json.code(at);
    if (first === QUOTE) return this.#string(at, shape);
    if (first === OPEN_BRACE) {
      const meant = shape.byType === null ? shape : this.#shapeByType(at, shape.byType);
      if (meant !== undefined && (meant.members !== null || meant.deep)) return this.#nested(at, meant, true);
    }
    if (first === OPEN_BRACKET && (shape.items !== null || shape.deep)) return this.#nested(at, shape, false);
    if (shape.tokens && first !== OPEN_BRACE && first !== OPEN_BRACKET && first !== 0x6e) this.unreadable = true;
    return skipValue(this.#json, at);
  }

  #string(at: number, shape: TextShape): number {
    const json = this.#json;
    const end = json.string(at);
    if (end < 0 || !shape.text) return end;
    const text = json.read(at, end) ?? loosely(json.bytes.toString("utf8", at + 1, end - 1));
    const span = { start: at, end, text };
    this.found.push(this.#path === null ? span : ({ ...span, path: [...this.#path] } as PlacedText));
    return end;
  }

  #nested(at: number, shape: TextShape, object: boolean): number {
    if (this.#depth === MAX_DEPTH) return -1;
    this.#depth++;
    const end = object ? this.#object(at, shape) : this.#array(at, shape);
    this.#depth--;
    return end;
  }

  #array(from: number, shape: TextShape): number {
    const json = this.#json;
    const items = shape.deep ? shape : (shape.items as TextShape);
    let at = json.space(from + 1);
    if (json.code(at) === CLOSE_BRACKET) return at + 1;
    for (let position = 0; ; position++) {
      this.#path?.push(position);
      at = this.#value(at, items);
      this.#path?.pop();
      if (at < 0) return at;
      at = json.space(at);
      const next = json.code(at);
      if (next === CLOSE_BRACKET) return at + 1;
      if (next !== COMMA) return -1;
      at = json.space(at + 1);
    }
  }

  #object(from: number, shape: TextShape): number {
    const json = this.#json;
    let at = json.space(from + 1);
    if (json.code(at) === CLOSE_BRACE) return at + 1;
    for (;;) {
      at = this.#member(at, shape);
      if (at < 0) return at;
      at = json.space(at);
      const next = json.code(at);
      if (next === CLOSE_BRACE) return at + 1;
      if (next !== COMMA) return -1;
      at = json.space(at + 1);
    }
  }

  #member(from: number, shape: TextShape): number {
    const json = this.#json;
    if (json.code(from) !== QUOTE) return -1;
    const keyEnd = json.string(from);
    if (keyEnd < 0) return keyEnd;
    const index = shape.members === null ? -1 : json.match(from + 1, keyEnd - 1, shape.members.keys);
    const colon = json.space(keyEnd);
    if (json.code(colon) !== COLON) return -1;
    const value = json.space(colon + 1);
    if (index < 0 && !shape.deep) return skipValue(json, value);
    this.#path?.push(index < 0 ? "*" : (shape.members?.keys.names[index] as string));
    const end = this.#value(value, shape.deep ? shape : (shape.members?.shapes[index] as TextShape));
    this.#path?.pop();
    return end;
  }

  /** Asking for a type reads the object to its end: so deep, every string is taken for a text. */
  #shapeByType(at: number, byType: NonNullable<TextShape["byType"]>): TextShape | undefined {
    if (this.#depth > MAX_TYPED_DEPTH) return DEEP;
    const type = this.#typeOf(at);
    return Object.hasOwn(byType, type) ? byType[type] : undefined;
  }

  /** The `type` of the object at `from`; "" when it says none. */
  #typeOf(from: number): string {
    const json = this.#json;
    let at = json.space(from + 1);
    while (json.code(at) === QUOTE) {
      const keyEnd = json.string(at);
      if (keyEnd < 0) return "";
      const value = json.space(json.space(keyEnd) + 1);
      const end = skipValue(json, value);
      if (end < 0) return "";
      if (json.match(at + 1, keyEnd - 1, TYPE_KEY) === 0) return json.decode(value, end) ?? "";
      at = json.space(end);
      if (json.code(at) === COMMA) at = json.space(at + 1);
    }
    return "";
  }
}

/** A string that is not quite JSON (raw line ends, unknown escapes): an upstream may read it all the same. */
function loosely(raw: string): string {
  let out = "";
  for (let at = 0; at < raw.length; at++) {
    const unit = raw.charCodeAt(at);
    if (unit !== BACKSLASH) {
      out += raw[at];
      continue;
    }
    at++;
    const escaped = raw[at] ?? "";
    const hex = escaped === "u" ? raw.slice(at + 1, at + 5) : "";
    if (/^[0-9a-fA-F]{4}$/.test(hex)) {
      out += String.fromCharCode(Number.parseInt(hex, 16));
      at += 4;
    } else out += ESCAPES[escaped] ?? escaped;
  }
  return out;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" };
