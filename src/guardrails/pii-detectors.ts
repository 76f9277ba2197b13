/**
 * The detectors of personal data. Each scans by hand or with expressions of bounded length, and holds a growing text
 * back only where its end may be the beginning of what it looks for.
 */
import { isIPv4, isIPv6 } from "node:net";
import type { PiiType } from "../config/traffic.js";
import { KEY_SHAPES } from "../providers/key-shapes.js";
import { ibanLength, isBankCard, isChinaIdCard, isCreditCard, isIban, isUsSsn } from "./pii-checks.js";

export interface PlainMatch {
  readonly start: number;
  readonly end: number;
}

export interface Detector {
  find(text: string, from: number): PlainMatch | null;
  open(text: string, from: number): number;
}

function classOf(characters: string): Uint8Array {
  const table = new Uint8Array(128);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

function has(table: Uint8Array, unit: number): boolean {
  return unit < 128 && table[unit] === 1;
}

const DIGITS = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = LOWER.toUpperCase();

/** Where the run of characters of a class begins that ends with the text; at most `most` characters long. */
function runAtEnd(text: string, from: number, table: Uint8Array, most: number): number {
  const least = Math.max(from, text.length - most);
  let at = text.length;
  while (at > least && has(table, text.charCodeAt(at - 1))) at--;
  return at;
}

/** The same, without what stands in the run before the first character of `starts`. */
function candidateAtEnd(text: string, from: number, run: Run): number {
  let at = runAtEnd(text, from, run.within, run.most);
  while (at < text.length && !has(run.starts, text.charCodeAt(at))) at++;
  return at;
}

interface Run {
  readonly within: Uint8Array;
  readonly starts: Uint8Array;
  /** Longest match, and the character that must not follow it. */
  readonly most: number;
}

const always = (): boolean => true;

/** Tries every match of an expression (global, of bounded length) until one holds. */
function searching(expression: RegExp, run: Run, holds: (match: RegExpExecArray) => boolean): Detector {
  return {
    find(text, from) {
      expression.lastIndex = from;
      for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
        const { index } = match;
        if (holds(match)) return { start: index, end: index + match[0].length };
        expression.lastIndex = index + 1;
      }
      return null;
    },
    open: (text, from) => candidateAtEnd(text, from, run),
  };
}

const EMAIL_LOCAL = classOf(`${LOWER}${UPPER}${DIGITS}.!#$%&'*+/=?^_{|}~-`);
const EMAIL_RUN = classOf(`${LOWER}${UPPER}${DIGITS}.!#$%&'*+/=?^_{|}~-@`);
const MAX_LOCAL = 64;
const DOMAIN = /(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])/y;
const MAX_EMAIL = 640;

const email: Detector = {
  find(text, from) {
    for (let at = text.indexOf("@", from); at >= 0; at = text.indexOf("@", at + 1)) {
      let start = at;
      const least = Math.max(from, at - MAX_LOCAL);
      while (start > least && has(EMAIL_LOCAL, text.charCodeAt(start - 1))) start--;
      // A dot does not begin the name before the sign.
      while (start < at && text[start] === ".") start++;
      DOMAIN.lastIndex = at + 1;
      if (start < at && DOMAIN.test(text)) return { start, end: DOMAIN.lastIndex };
    }
    return null;
  },
  open: (text, from) => runAtEnd(text, from, EMAIL_RUN, MAX_EMAIL),
};

const GROUPED: Run = { within: classOf(`${DIGITS} -`), starts: classOf(DIGITS), most: 48 };

/** Digits in groups: the longest number from each start on that passes, ending where no digit follows. */
function cards(isCard: (digits: string) => boolean): Detector {
  return {
    find(text, from) {
      const start = /[0-9]/g;
      start.lastIndex = from;
      for (let match = start.exec(text); match !== null; match = start.exec(text)) {
        const at = match.index;
        if (at > 0 && isDigit(text, at - 1)) continue;
        const end = cardEnd(text, at, isCard);
        if (end > 0) return { start: at, end };
      }
      return null;
    },
    open: (text, from) => candidateAtEnd(text, from, GROUPED),
  };
}

function isDigit(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 48 && unit <= 57;
}

/** The sum of check digits is kept while going on, for both ways of counting from the end: one look at each digit. */
function cardEnd(text: string, from: number, isCard: (digits: string) => boolean): number {
  const sums = [0, 0];
  let count = 0;
  let longest = 0;
  let at = from;
  while (count < 19 && isDigit(text, at)) {
    const digit = text.charCodeAt(at) - 48;
    const doubled = digit > 4 ? digit * 2 - 9 : digit * 2;
    const odd = count % 2;
    sums[odd] = (sums[odd] as number) + doubled;
    sums[1 - odd] = (sums[1 - odd] as number) + digit;
    count++;
    at++;
    const next = text.charCodeAt(at);
    const passes = count >= 13 && (sums[count % 2] as number) % 10 === 0 && !isDigit(text, at);
    if (passes && isCard(text.slice(from, at).replace(/[ -]/g, ""))) longest = at;
    if ((next === 32 || next === 45) && isDigit(text, at + 1)) at++;
  }
  return longest;
}

const SSN = /(?<![0-9-])(\d{3})([- ])(\d{2})\2(\d{4})(?![0-9]|-[0-9])/g;
const usSsn = searching(SSN, { ...GROUPED, most: 14 }, ([, area = "", , group = "", serial = ""]) =>
  isUsSsn(area, group, serial),
);

const PHONE =
  /(?<![0-9+])(?:\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}|(?:1[-. ])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-. ])[2-9][0-9]{2}[-. ][0-9]{4})(?![0-9])/g;
const PHONE_RUN: Run = { within: classOf(`${DIGITS} .()+-`), starts: classOf(`${DIGITS}(+`), most: 48 };
/** E.164 numbers in the spellings people use, and North American ones without their country. */
const phone = searching(PHONE, PHONE_RUN, always);

const IBAN_START = /(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}/g;
/** What may still become the start of one at the text's end. */
const IBAN_TAIL = /(?<![A-Za-z0-9])[A-Z](?:$|[A-Z](?:$|[0-9](?:$|[0-9])))/;
const IBAN_CHARACTERS = classOf(`${UPPER}${DIGITS} `);
const ALPHANUMERIC = classOf(`${LOWER}${UPPER}${DIGITS}`);
/** 34 characters in groups of four. */
const MAX_IBAN = 44;

const iban: Detector = {
  find(text, from) {
    IBAN_START.lastIndex = from;
    for (let match = IBAN_START.exec(text); match !== null; match = IBAN_START.exec(text)) {
      const end = ibanEnd(text, match.index);
      if (end > 0) return { start: match.index, end };
      IBAN_START.lastIndex = match.index + 1;
    }
    return null;
  },
  open(text, from) {
    const start = runAtEnd(text, from, IBAN_CHARACTERS, MAX_IBAN);
    // One more character in front, so that a word's end is not taken for a start.
    const before = Math.max(0, start - 1);
    const found = IBAN_TAIL.exec(text.slice(before));
    return found === null ? text.length : Math.max(from, before + found.index);
  },
};

function ibanEnd(text: string, from: number): number {
  const length = ibanLength(text.slice(from, from + 2));
  let characters = "";
  let at = from;
  while (characters.length < length) {
    const unit = text.charCodeAt(at);
    if (!has(IBAN_CHARACTERS, unit)) return 0;
    if (unit !== 32) characters += text[at];
    else if (text[at + 1] === " ") return 0;
    at++;
  }
  return length > 0 && !has(ALPHANUMERIC, text.charCodeAt(at)) && isIban(characters) ? at : 0;
}

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})";
const ADDRESS = new RegExp(
  `(?<![0-9A-Za-z_.:])(?:(?:${OCTET}\\.){3}${OCTET}(?![0-9A-Za-z_]|\\.[0-9])|[0-9A-Fa-f:]{2,45}(?:\\.[0-9]{1,3}){0,3}(?![0-9A-Za-z_:]))`,
  "g",
);
const ADDRESS_RUN: Run = {
  within: classOf(`${DIGITS}abcdefABCDEF.:`),
  starts: classOf(`${DIGITS}abcdefABCDEF:`),
  most: 64,
};
const ipAddress = searching(ADDRESS, ADDRESS_RUN, ([match]) => {
  if (!match.includes(":")) return isIPv4(match);
  // Without a digit it is somebody's name for a scope.
  return match.length > 2 && /[0-9]/.test(match) && isIPv6(match);
});

const TOKEN = classOf(`${LOWER}${UPPER}${DIGITS}_-.`);
const API_KEY = new RegExp(`(?<![A-Za-z0-9_-])(?:${KEY_SHAPES.join("|")})(?![A-Za-z0-9_-])`, "g");
const apiKey = searching(API_KEY, { within: TOKEN, starts: TOKEN, most: 320 }, always);

/** Three parts in base64url, of which the first says `{"`. */
const JWT =
  /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,1024}\.eyJ[A-Za-z0-9_-]{2,4096}\.[A-Za-z0-9_-]{8,1024}(?![A-Za-z0-9_-])/g;
const MAX_JWT = 6400;
const jwt: Detector = {
  ...searching(JWT, { within: TOKEN, starts: TOKEN, most: MAX_JWT }, always),
  open(text, from) {
    const start = runAtEnd(text, from, TOKEN, MAX_JWT);
    const head = text.slice(start, start + 3);
    return head === "eyJ".slice(0, head.length) ? start : tokenInside(text, start);
  },
};

/** Where in the token at the text's end another may begin, behind a dot. */
function tokenInside(text: string, from: number): number {
  const at = text.indexOf(".eyJ", from);
  if (at >= 0) return at + 1;
  return /\.(?:e|ey)?$/.test(text.slice(-3)) ? Math.max(from, text.length - 3) : text.length;
}

const KEY_BEGINS = "-----BEGIN ";
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
const KEY_END = /-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
/** A key of 16,384 bits has some 13,000 characters. */
const MAX_PRIVATE_KEY = 16_384;
const MAX_KEY_KIND = 96;

const privateKey: Detector = {
  find(text, from) {
    PRIVATE_KEY.lastIndex = from;
    const begins = PRIVATE_KEY.exec(text);
    if (begins === null) return null;
    KEY_END.lastIndex = PRIVATE_KEY.lastIndex;
    const ends = KEY_END.exec(text.slice(0, begins.index + MAX_PRIVATE_KEY));
    // A key whose end is not there is masked as far as it goes.
    const end = ends === null ? Math.min(text.length, begins.index + MAX_PRIVATE_KEY) : KEY_END.lastIndex;
    return { start: begins.index, end };
  },
  open(text, from) {
    const least = Math.max(from, text.length - MAX_PRIVATE_KEY);
    for (let at = text.indexOf(KEY_BEGINS, least); at >= 0; at = text.indexOf(KEY_BEGINS, at + 1)) {
      const kind = text.slice(at + KEY_BEGINS.length, at + KEY_BEGINS.length + MAX_KEY_KIND);
      // Something else begins here, or the key has come to its end.
      if (/^[^-]*-----/.test(kind) && !/^[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----/.test(kind)) continue;
      KEY_END.lastIndex = at;
      const ends = KEY_END.exec(text);
      if (ends === null) return at;
      at = ends.index;
    }
    for (let length = Math.min(KEY_BEGINS.length - 1, text.length - least); length > 0; length--) {
      if (text.endsWith(KEY_BEGINS.slice(0, length))) return text.length - length;
    }
    return text.length;
  },
};

const CHINA_MOBILE = /(?<![0-9])(?:\+?86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}(?![0-9])/g;
const CHINA_MOBILE_RUN: Run = { within: classOf(`${DIGITS} +-`), starts: classOf(`${DIGITS}+`), most: 24 };
const CHINA_ID = /(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])/g;
const CHINA_ID_RUN: Run = { within: classOf(`${DIGITS}Xx`), starts: classOf(DIGITS), most: 24 };

/** Every type that can be asked for. */
export const DETECTORS: Readonly<Record<PiiType, Detector>> = {
  email,
  phone,
  credit_card: cards(isCreditCard),
  us_ssn: usSsn,
  iban,
  ip_address: ipAddress,
  api_key: apiKey,
  jwt,
  private_key: privateKey,
  bank_card: cards(isBankCard),
  china_mobile: searching(CHINA_MOBILE, CHINA_MOBILE_RUN, always),
  china_id_card: searching(CHINA_ID, CHINA_ID_RUN, ([match]) => isChinaIdCard(match)),
};
