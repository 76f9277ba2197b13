/** JSON as people and libraries really write it: every legal spelling of the same values. For property tests. */
import fc from "fast-check";

/** A member of an object as it is spelled: its key in quotes, its value, the blanks around both. */
export interface Member {
  readonly key: string;
  readonly value: string;
  readonly blanks: readonly [string, string, string, string];
}

const blank = fc.oneof(
  { weight: 6, arbitrary: fc.constant("") },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "\r"), maxLength: 4 }) },
);

export const blanks = fc.tuple(blank, blank, blank, blank);

const NUMBERS = [
  "0",
  "-0",
  "-0.0",
  "1.50",
  "1e5",
  "1E+05",
  "1.0e-7",
  "0.1000",
  "9007199254740993",
  "123456789012345678901234567890",
  "1e400",
  "-1E-400",
] as const;

const number = fc.oneof(
  fc.constantFrom(...NUMBERS),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
);

/** One character of a string: itself, a short escape, or \u with digits of either case. */
const character = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(..."abcXYZ 019_:,{}[]/") },
  { weight: 2, arbitrary: fc.constantFrom("é", "ß", "水", "🌊", "\u2028", "\u007f") },
  { weight: 2, arbitrary: fc.constantFrom('\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t") },
  {
    weight: 2,
    arbitrary: fc.constantFrom("\\u0041", "\\u00e9", "\\u00E9", "\\ud83c\\udf0a", "\\uD800", "\\u0000", "\\u0022"),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '\\"model\\":',
      "data: [DONE]\\n\\n",
      '\\"usage\\":{',
      "event: error",
      "model",
      "stream_options",
    ),
  },
);

export const stringText = fc.array(character, { maxLength: 12 }).map((parts) => `"${parts.join("")}"`);

export const valueText: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom("null", "true", "false", "{}", "[]", "[ ]", '""'),
    number,
    stringText,
    fc
      .array(fc.tuple(tie("value"), blanks), { maxLength: 4 })
      .map((items) => `[${items.map(([text, space]) => space[0] + text + space[1]).join(",")}]`),
    fc
      .array(fc.tuple(stringText, tie("value"), blanks), { maxLength: 4 })
      .map((items) => objectText(items.map(([key, value, space]) => ({ key, value, blanks: space })))),
  ),
})).value;

/** An object of these members, in this order. */
export function objectText(members: readonly Member[]): string {
  const spelled = members.map(({ key, value, blanks: [a, b, c, d] }) => `${a}${key}${b}:${c}${value}${d}`);
  return `{${spelled.join(",")}}`;
}

/** A string spelled with some of its characters escaped. */
export function spellings(text: string): fc.Arbitrary<string> {
  const each = [...text].map((letter) => {
    const code = letter.charCodeAt(0).toString(16).padStart(4, "0");
    return fc.oneof(
      { weight: 12, arbitrary: fc.constant(letter === '"' ? '\\"' : letter) },
      { weight: 1, arbitrary: fc.constantFrom(`\\u${code}`, `\\u${code.toUpperCase()}`) },
    );
  });
  return fc.tuple(...each).map((letters) => `"${letters.join("")}"`);
}

/** Members that no dialect knows and the gateway must not touch. */
export const unknownMember: fc.Arbitrary<Member> = fc.record({
  key: stringText.map((text) => `"x_${text.slice(1)}`),
  value: valueText,
  blanks,
});
