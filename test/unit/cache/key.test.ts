import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalMembers } from "../../../src/cache/canonical.js";
import { cacheKey, keyScope, MAX_KEYED_BYTES, readKeyedBody } from "../../../src/cache/key.js";
import type { CachePolicy } from "../../../src/config/traffic.js";

const PARTS = { scope: "s", operation: "chat", strict: false, headers: [] as string[] };

function keyOf(text: string, parts: Partial<typeof PARTS> = {}): string {
  const body = readKeyedBody(Buffer.from(text));
  if (body === null) throw new Error("the body has no key");
  return cacheKey({ ...PARTS, ...parts }, body).toString("hex");
}

function canonicalOf(text: string): string | null {
  const members = canonicalMembers(Buffer.from(text));
  return members && Buffer.from(members.map(({ name, value }) => `${name}:${value}`).join(), "latin1").toString();
}

/** Another spelling of the same value: members in another order, white space, escapes. */
function respelled(value: unknown, turn: number): string {
  const space = " \n\t".slice(0, turn % 4);
  if (typeof value === "string") {
    const escaped = [...value].map((unit, index) =>
      (index + turn) % 2 === 0 && unit.length === 1
        ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`
        : JSON.stringify(unit).slice(1, -1),
    );
    return `"${escaped.join("")}"`;
  }
  if (Array.isArray(value)) return `[${space}${value.map((item) => respelled(item, turn + 1)).join(`${space},`)}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(
      ([name, item]) => `${respelled(name, turn)}${space}: ${respelled(item, turn)}`,
    );
    return `{${space}${members.reverse().join(`,${space}`)}${space}}`;
  }
  return JSON.stringify(value);
}

const body = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6 }).map(
  // Members that mean something of their own have tests of their own.
  (value) => Object.fromEntries(Object.entries(value).map(([name, item]) => [`x${name}`, item])),
);

describe("the key", () => {
  it("does not depend on the order of members, white space or escapes", () => {
    fc.assert(
      fc.property(body, fc.nat(3), (value, turn) => {
        expect(keyOf(respelled(value, turn))).toBe(keyOf(JSON.stringify(value)));
      }),
    );
  });

  it("is different for different values", () => {
    fc.assert(
      fc.property(body, body, (left, right) => {
        const equal = respelledEqual(left, right);
        expect(keyOf(JSON.stringify(left)) === keyOf(JSON.stringify(right))).toBe(equal);
      }),
    );
  });

  it("changes with any one value deep inside", () => {
    fc.assert(
      fc.property(body, fc.jsonValue(), fc.jsonValue(), (value, before, after) => {
        const [left, right] = [before, after].map((inner) => JSON.stringify({ ...value, a: [{ b: [inner] }] }));
        expect(keyOf(left!) === keyOf(right!)).toBe(respelledEqual(before, after));
      }),
    );
  });

  it("tells numbers apart that a double cannot", () => {
    expect(keyOf('{"seed":9007199254740993}')).not.toBe(keyOf('{"seed":9007199254740992}'));
    expect(keyOf('{"x":1e400}')).not.toBe(keyOf('{"x":1e401}'));
    expect(keyOf('{"x":1e-400}')).not.toBe(keyOf('{"x":0}'));
    expect(keyOf('{"x":0.1}')).not.toBe(keyOf('{"x":0.10000000000000001}'));
  });

  it.each([
    ["1", "1.0"],
    ["100", "1e2"],
    ["0.5", "5E-1"],
    ["0", "-0.0"],
    ["-0", "0"],
  ])("takes %s and %s for one number", (left, right) => {
    expect(keyOf(`{"x":${left}}`)).toBe(keyOf(`{"x":${right}}`));
  });

  it("passes over how the answer is delivered, and the body's own name of the model", () => {
    const plain = keyOf('{"messages":[]}');
    expect(keyOf('{"stream":true,"messages":[],"stream_options":{"include_usage":true},"model":"m"}')).toBe(plain);
    expect(keyOf('{"messages":[{"stream":true}]}')).not.toBe(keyOf('{"messages":[{}]}'));
    expect(keyOf('{"messages":[],"unknown":1}')).not.toBe(plain);
  });

  it("is made in little time of texts that are no JSON", { timeout: 2_000 }, () => {
    const wrong = Buffer.from(`{"a":["\\u0041"${',"\\u"'.repeat(200_000)}]}`);
    expect(readKeyedBody(wrong)).not.toBeNull();
    expect(keyOf('{"a":"\\u"}')).not.toBe(keyOf('{"a":"\\u0041"}'));
    expect(keyOf('{"a":"\\\\u0041\\u0042"}')).toBe(keyOf('{"a":"\\\\u0041B"}'));
  });

  it("keeps members apart that come twice", () => {
    const keys = ['{"a":1,"a":2}', '{"a":2,"a":1}', '{"a":1}', '{"a":2}'].map((text) => keyOf(text));
    expect(new Set(keys).size).toBe(4);
  });

  it("depends on operation, strictness and the headers that change the answer, in any order", () => {
    const headers = ["a-version", "1", "b-beta", "x"];
    const keys = [{}, { operation: "messages" }, { strict: true }, { scope: "t" }, { headers }].map((parts) =>
      keyOf("{}", parts),
    );
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyOf("{}", { headers: ["b-beta", "x", "accept", "*/*", "a-version", "1", "traceparent", "00-1"] })).toBe(
      keys[4],
    );
    expect(keyOf("{}", { headers: ["a-version", '1"],["b-beta","x'] })).not.toBe(keys[4]);
  });

  it("is nobody's where the answer is more than its text", () => {
    for (const member of [
      '"store":true',
      '"background":true',
      '"previous_response_id":"r"',
      '"conversation":{"id":"c"}',
    ]) {
      expect(readKeyedBody(Buffer.from(`{${member}}`))).toBeNull();
    }
    for (const member of ['"store":false', '"background":null']) {
      expect(readKeyedBody(Buffer.from(`{${member}}`))).not.toBeNull();
    }
  });

  it("is not made of what is no object, too deep or too large", () => {
    for (const text of [
      "",
      "[]",
      "1",
      "{",
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{"a":1}x',
      '{"a":01x}',
      '{"a":"x}',
      '{"a":[1,]}',
    ]) {
      expect(readKeyedBody(Buffer.from(text)), text).toBeNull();
    }
    expect(readKeyedBody(Buffer.from(`{"a":${"[".repeat(600)}${"]".repeat(600)}}`))).toBeNull();
    expect(readKeyedBody(Buffer.from(`{"a":"${"x".repeat(MAX_KEYED_BYTES)}"}`))).toBeNull();
  });
});

describe("canonical members", () => {
  it("are sorted, whatever they hold", () => {
    expect(canonicalOf(' { "b" : [ 1.0 , {"z":null,"y":"\\u00e9\\/"} ], "a" : "\\n" } ')).toBe(
      '"b":[1,{"z":null,"y":"é/"}],"a":"\\n"',
    );
  });
});

describe("the scope of a key", () => {
  const policy = { id: "p", purgeGeneration: 0, scope: "api_key" } as CachePolicy;

  it("is the caller's own, or everybody's", () => {
    expect(keyScope(policy, "ann", "m")).not.toBe(keyScope(policy, "bob", "m"));
    const shared = { ...policy, scope: "env" as const };
    expect(keyScope(shared, "ann", "m")).toBe(keyScope(shared, "bob", "m"));
  });

  it("changes with model, policy and generation", () => {
    const scopes = [
      keyScope(policy, "ann", "m"),
      keyScope(policy, "ann", "n"),
      keyScope({ ...policy, id: "q" }, "ann", "m"),
      keyScope({ ...policy, purgeGeneration: 1 }, "ann", "m"),
    ];
    expect(new Set(scopes).size).toBe(4);
  });
});

/** Equal as JSON values; -0 is 0. */
function respelledEqual(left: unknown, right: unknown): boolean {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted);
    if (typeof value !== "object" || value === null) return value;
    return Object.entries(value)
      .map(([name, item]) => [name, sorted(item)] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1));
  };
  const text = (value: unknown) => JSON.stringify([typeof value, Array.isArray(value), sorted(value)]);
  return text(left) === text(right);
}
