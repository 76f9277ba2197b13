/**
 * One spelling for every JSON text that means the same: members sorted at every depth, no white space, strings and
 * numbers spelled one way. Made from the bytes, without building the values: twice as fast as parsing, and numbers
 * that a double cannot hold stay apart. Members that come twice stay in their order, as parsers disagree on them.
 *
 * The order is the shorter name first, and of equally long ones the later in the alphabet: so stand "role" and
 * "content", "type" and "text", "id", "type" and "function" in what clients send, and most conversations are
 * canonical as they come.
 */
import { canonicalEnd, compareNames, scalarEnd, stringEnd } from "./canonical-end.js";
import { isDecodable, JsonText } from "../dialects/json-text.js";
import { canonicalScalar, NotJson } from "./canonical-number.js";

/** Deeper nesting is nobody's request. */
const MAX_DEPTH = 512;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Escapes of which JSON has a second spelling; of the others it has none. */
const SOLIDUS = "\\/";
const UNICODE = "\\u";

/** One member of an object: its name as canonical JSON text, quotes included, and its value. */
export interface Member {
  readonly name: string;
  readonly value: string;
}

/**
 * The members of the JSON object in `body`, sorted by name, names and values canonical. A byte is a character of
 * the texts (latin1). null: this is no JSON object, or one that is nested too deeply.
 */
export function canonicalMembers(body: Buffer): readonly Member[] | null {
  const reading = new Reading(body);
  try {
    return reading.whole();
  } catch (error) {
    if (error instanceof NotJson) return null;
    throw error;
  }
}

class Reading {
  readonly #body: Buffer;
  readonly #text: string;
  /** Does any string hold an escape that can be spelled in two ways? Asked once: mostly none does. */
  readonly #respells: boolean;
  #at = 0;
  #depth = 0;

  constructor(body: Buffer) {
    this.#body = body;
    const { text } = JsonText.of(body);
    this.#text = text.length === body.length ? text : body.toString("latin1");
    this.#respells = this.#text.includes(SOLIDUS) || this.#text.includes(UNICODE);
  }

  whole(): Member[] {
    this.#space();
    if (this.#text.charCodeAt(this.#at) !== OPEN_BRACE) throw new NotJson();
    const members = this.#members();
    this.#space();
    if (this.#at !== this.#text.length) throw new NotJson();
    return members;
  }

  #space(): void {
    let code = this.#text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = this.#text.charCodeAt(++this.#at);
  }

  #value(): string {
    switch (this.#text.charCodeAt(this.#at)) {
      case QUOTE:
        return this.#string();
      case OPEN_BRACE:
        return this.#asItStands() ?? joined(this.#members());
      case OPEN_BRACKET:
        return this.#asItStands() ?? this.#array();
      default:
        return this.#scalar();
    }
  }

  /** A value of the outermost object that is canonical already; null = it is not, or lies deeper. */
  #asItStands(): string | null {
    if (this.#depth !== 1 || this.#respells) return null;
    const start = this.#at;
    const end = canonicalEnd(this.#text, start);
    if (end < 0) return null;
    this.#at = end;
    return this.#text.slice(start, end);
  }

  #members(): Member[] {
    if (++this.#depth > MAX_DEPTH) throw new NotJson();
    const members: Member[] = [];
    this.#at += 1;
    this.#space();
    if (this.#text.charCodeAt(this.#at) !== CLOSE_BRACE) {
      do {
        this.#space();
        if (this.#text.charCodeAt(this.#at) !== QUOTE) throw new NotJson();
        const name = this.#string();
        this.#space();
        if (this.#text.charCodeAt(this.#at) !== COLON) throw new NotJson();
        this.#at += 1;
        this.#space();
        members.push({ name, value: this.#value() });
      } while (this.#goesOn());
    }
    this.#close(CLOSE_BRACE);
    return sorted(members);
  }

  #array(): string {
    if (++this.#depth > MAX_DEPTH) throw new NotJson();
    this.#at += 1;
    this.#space();
    let text = "[";
    if (this.#text.charCodeAt(this.#at) !== CLOSE_BRACKET) {
      text += this.#item();
      while (this.#goesOn()) text += `,${this.#item()}`;
    }
    this.#close(CLOSE_BRACKET);
    return `${text}]`;
  }

  #item(): string {
    this.#space();
    return this.#value();
  }

  /** True: a comma was there, and is behind us. */
  #goesOn(): boolean {
    this.#space();
    if (this.#text.charCodeAt(this.#at) !== COMMA) return false;
    this.#at += 1;
    return true;
  }

  #close(bracket: number): void {
    if (this.#text.charCodeAt(this.#at) !== bracket) throw new NotJson();
    this.#at += 1;
    this.#depth -= 1;
  }

  #string(): string {
    const start = this.#at;
    const end = stringEnd(this.#text, start);
    if (end < 0) throw new NotJson();
    this.#at = end;
    const slice = this.#text.slice(start, end);
    const respell = this.#respells && (slice.includes(SOLIDUS) || slice.includes(UNICODE));
    return respell ? this.#respelled(start, slice) : slice;
  }

  #respelled(start: number, slice: string): string {
    if (!isDecodable(slice)) return slice;
    try {
      const value: unknown = JSON.parse(this.#body.toString("utf8", start, this.#at));
      return Buffer.from(JSON.stringify(value)).toString("latin1");
    } catch {
      // Not quite JSON: upstreams may read it all the same, and it is equal to itself alone.
      return slice;
    }
  }

  #scalar(): string {
    const start = this.#at;
    this.#at = scalarEnd(this.#text, start);
    return canonicalScalar(this.#text.slice(start, this.#at));
  }
}

/** More members than this are no longer few. */
const FEW = 16;

/** In place; those of one name keep their order. Few are sorted here: the library's sort needs memory of its own. */
function sorted(members: Member[]): Member[] {
  if (members.length > FEW) return members.sort(byName);
  for (let index = 1; index < members.length; index += 1) {
    const member = members[index] as Member;
    let to = index;
    for (; to > 0 && byName(members[to - 1] as Member, member) > 0; to -= 1) members[to] = members[to - 1] as Member;
    members[to] = member;
  }
  return members;
}

function byName(left: Member, right: Member): number {
  return compareNames(left.name, right.name);
}

/** The object of these members as JSON text. */
function joined(members: readonly Member[]): string {
  let text = "";
  for (const { name, value } of members) text += text === "" ? `${name}:${value}` : `,${name}:${value}`;
  return `{${text}}`;
}
