/** JSON text as people and machines write it: odd numbers, escapes, white space, any order of keys. */
import fc from "fast-check";

const space = fc.constantFrom("", "", " ", "\n", "\t", " \r\n ");

const piece = fc.oneof(
  fc.constantFrom(
    "a",
    "é",
    "漢",
    "😀",
    "\\u0041",
    "\\/",
    "\\\\",
    '\\"',
    "\\n",
    "\\ud83d\\ude00",
    "{",
    "}",
    "[",
    ",",
    ":",
  ),
  fc.string({ maxLength: 40 }).map((text) => JSON.stringify(text).slice(1, -1)),
);

export const jsonString = fc.array(piece, { maxLength: 6 }).map((pieces) => `"${pieces.join("")}"`);

const number = fc.oneof(
  fc.constantFrom("0", "-0", "1e2", "1.0", "1E+5", "-1.5e-3", "123456789012345678901234567890", "0.10"),
  fc.integer().map(String),
);

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom("true", "false", "null"),
    number,
    jsonString,
    fc
      .array(fc.tuple(space, tie("value"), space), { maxLength: 4 })
      .map((items) => `[${items.map((i) => i.join("")).join(",")}]`),
    fc
      .array(fc.tuple(space, jsonString, space, tie("value"), space), { maxLength: 4 })
      .map((items) => `{${items.map(([a, key, b, item, c]) => `${a}${key}:${b}${item}${c}`).join(",")}}`),
  ),
}));

export const jsonValue = value;

export type Members = readonly (readonly [key: string, value: string])[];

/** The text of an object; `space` is put around every token of its top level. */
export function objectText(members: Members, around: string): string {
  const text = members.map(([key, item]) => `${around}${key}${around}:${around}${item}${around}`).join(",");
  return `${around}{${text}}${around}`;
}

export const whiteSpace = space;

/** Any object's text; some of its keys are the given ones, no key comes twice. */
export function jsonObjectText(names: readonly string[] = ["model", "stream", "messages"]): fc.Arbitrary<string> {
  const key = fc.oneof(
    jsonString,
    fc.constantFrom(...names).map((name) => JSON.stringify(name)),
  );
  const members = fc.uniqueArray(fc.tuple(key, value), { maxLength: 6, selector: ([name]) => JSON.parse(name) });
  return fc.tuple(members, space).map(([list, around]) => objectText(list, around));
}
