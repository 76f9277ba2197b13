/** Writes JSON text piece by piece: several times cheaper than JSON.stringify for lines of a known shape. */

/** Anything that is not printable ASCII, plus the two characters JSON must escape. */
const NEEDS_ESCAPE = /[^\x20-\x21\x23-\x5b\x5d-\x7e]/;
/**
 * What JSON leaves as it is and a terminal or a line-based reader does not: control characters of the
 * second kind, line separators, and the marks that reverse the reading direction.
 */
const INVISIBLE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The JSON string literal of `text`, one physical line whatever is in it. */
export function quote(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(INVISIBLE, escapeCharacter);
}

/** The same for text of foreign origin: cut to `limit` UTF-16 units first. */
export function quoteCut(text: string, limit: number): string {
  return quote(text.length > limit ? text.slice(0, limit) : text);
}

/** The JSON array of these texts. */
export function quoteList(texts: readonly string[]): string {
  return texts.length === 0 ? "[]" : `[${texts.map(quote).join(",")}]`;
}

/** A JSON number; what JSON cannot say (NaN, infinities) becomes 0, so that the line stays readable. */
export function number(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

/** ".001" for 1, ".5" for 500, "" for 0. */
const DECIMALS = Array.from({ length: 1000 }, (_, thousandths) => String(thousandths / 1000).slice(1));
/** Up to here, whole parts and thousandths are told apart exactly, and no number is spelled with an exponent. */
const MOST_MILLISECONDS = 1e9;

/** Milliseconds with three decimals at most. From whole numbers: making the text of a fraction is much dearer. */
export function milliseconds(value: number): string | number {
  if (!(value >= 0 && value < MOST_MILLISECONDS)) return Number.isFinite(value) ? Math.round(value * 1000) / 1000 : 0;
  const thousandths = Math.round(value * 1000);
  const whole = Math.floor(thousandths / 1000);
  return `${whole}${DECIMALS[thousandths - whole * 1000] as string}`;
}

/** Texts kept of each kind; past it all are forgotten, and made again. */
const MOST_TEXTS = 1_000;
/** UTF-16 units that a field of foreign origin may have to be kept: fields that were cut may hold on to all they were. */
const SHORT = 255;

/** Fields that many lines share, as those of a key or a model are. */
export interface SharedFields<Fields> {
  /** Their text. */
  write(fields: Fields): string;
  /** Do two lines share it? */
  same(kept: Fields, fields: Fields): boolean;
  /** UTF-16 units of its longest field of foreign origin. */
  longest(fields: Fields): number;
}

/** Makes the text of shared fields once for as long as they are the same. */
export class SharedText<Fields> {
  readonly #shared: SharedFields<Fields>;
  readonly #kept = new Map<string, { readonly fields: Fields; readonly text: string }>();

  constructor(shared: SharedFields<Fields>) {
    this.#shared = shared;
  }

  /** `name`: the one field that tells most texts apart. */
  of(name: string, fields: Fields): string {
    const kept = this.#kept.get(name);
    if (kept !== undefined && this.#shared.same(kept.fields, fields)) return kept.text;
    const written = this.#shared.write(fields);
    if (this.#shared.longest(fields) > SHORT) return written;
    if (this.#kept.size >= MOST_TEXTS) this.#kept.clear();
    // Through bytes: a text that was put together would be put together again in every line.
    const text = Buffer.from(written).toString("utf8");
    this.#kept.set(name, { fields, text });
    return text;
  }
}
