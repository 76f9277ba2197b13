import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BodyEdit, editBody, planEdits } from "../../../src/dialects/body-edits.js";
import { isFailure } from "../../../src/errors.js";

function edited(body: string, edits: readonly BodyEdit[], headers: readonly string[] = []): string {
  const plan = planEdits(edits);
  if (plan === null) return body;
  const result = editBody(Buffer.from(body), plan, headers);
  if (isFailure(result)) throw new Error(`${result.code} ${result.param}`);
  return result.toString("utf8");
}

const remove = (path: string): BodyEdit => ({ kind: "remove", path });
const set = (path: string, value: string | number | null): BodyEdit => ({ kind: "set", path, value });

describe("edits of a body", () => {
  it("are nothing where there are none", () => {
    expect(planEdits([])).toBeNull();
  });

  it.each<[string, BodyEdit[], string]>([
    ['{"a":1,"b":2,"c":3}', [remove("a")], '{"b":2,"c":3}'],
    ['{"a":1,"b":2,"c":3}', [remove("b")], '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', [remove("c")], '{"a":1,"b":2}'],
    ['{"a":1,"b":2,"c":3}', [remove("c"), remove("b")], '{"a":1}'],
    ['{"a":1,"b":2,"c":3}', [remove("a"), remove("b")], '{"c":3}'],
    ['{"a":1,"b":2,"c":3}', [remove("a"), remove("c")], '{"b":2}'],
    ['{"a":1,"b":2}', [remove("a"), remove("b")], "{}"],
    ['{ "a" : 1 , "b" : 2 }', [remove("b")], '{ "a" : 1  }'],
    ['{ "a" : 1 , "b" : 2 }', [remove("a"), remove("b"), set("c", 3)], '{"c":3  }'],
    ['{"a":1}', [remove("z")], '{"a":1}'],
    ['{"a":1.50,"b":[ 1 ]}', [set("c", 2)], '{"c":2,"a":1.50,"b":[ 1 ]}'],
    ["{}", [set("c", "x"), set("d", null)], '{"c":"x","d":null}'],
    ['{"a":1.50}', [set("a", "x")], '{"a":"x"}'],
    ['{"\\u0061":1,"b":2}', [set("a", 5)], '{"\\u0061":5,"b":2}'],
    ['{"a\\"\\\\":1,"b":2}', [remove('a"\\')], '{"b":2}'],
    ['{"max_tokens":5,"b":2}', [{ kind: "rename", from: "max_tokens", to: "max" }], '{"max":5,"b":2}'],
    ['{"x":1,"y":2}', [{ kind: "rename", from: "x", to: "y" }], '{"y":2}'],
    ['{"x":1}', [{ kind: "rename", from: "x", to: "y" }, set("y", 3)], '{"y":3}'],
    ['{"x":1}', [{ kind: "rename", from: "x", to: "y" }, remove("y")], "{}"],
    ['{"t":2.0}', [{ kind: "bound", path: "t", least: 0, most: 1 }], '{"t":1}'],
    ['{"t":0.50}', [{ kind: "bound", path: "t", least: 0, most: 1 }], '{"t":0.50}'],
    ['{"t":null}', [{ kind: "bound", path: "t", least: 0, most: 1 }], '{"t":null}'],
    ['{"g":{"t":-3,"k":1}}', [{ kind: "bound", path: "g.t", least: 0, most: null }], '{"g":{"t":0,"k":1}}'],
    ['{"a":null,"b":false}', [{ kind: "default", path: "a", value: 1 }], '{"a":1,"b":false}'],
    ['{"a":null,"b":false}', [{ kind: "default", path: "b", value: 1 }], '{"a":null,"b":false}'],
    ['{"a":{"x": 1}}', [{ kind: "default", path: "a.x", value: 2 }], '{"a":{"x": 1}}'],
    ['{"a":{"x": 1}}', [{ kind: "default", path: "a.y.z", value: 2 }], '{"a":{"x":1,"y":{"z":2}}}'],
    ['{"a":{"x":1,"y":2}}', [remove("a.x")], '{"a":{"y":2}}'],
    ['{"a":{"y": 2}}', [remove("a.x")], '{"a":{"y": 2}}'],
    ['{"b":1}', [set("a.b.c", 2)], '{"a":{"b":{"c":2}},"b":1}'],
    ['{"a":7}', [set("a.b", 2)], '{"a":{"b":2}}'],
  ])("%s", (body, edits, expected) => {
    expect(edited(body, edits)).toBe(expected);
    expect(() => JSON.parse(edited(body, edits))).not.toThrow();
  });

  it("add a header's entries to a list", () => {
    const list: BodyEdit[] = [{ kind: "list", path: "betas", header: "x-beta" }];
    expect(edited('{"a":1}', list, ["x-beta", "one, two"])).toBe('{"betas":["one","two"],"a":1}');
    expect(edited('{"betas":["two","old"]}', list, ["x-beta", "one,two,"])).toBe('{"betas":["two","old","one"]}');
    expect(edited('{"a":1}', list, ["x-other", "one"])).toBe('{"a":1}');
  });

  it("give back the very body when nothing changes", () => {
    const body = Buffer.from('{"a": 1}');
    const plan = planEdits([remove("z"), { kind: "default", path: "a", value: 2 }]);
    expect(plan === null ? null : editBody(body, plan, [])).toBe(body);
  });

  it("refuse a member that stands there twice", () => {
    expect(() => edited('{"a":1,"b":2,"a":3}', [remove("a")])).toThrow("invalid_request_error a");
    expect(edited('{"b":1,"b":2,"a":3}', [remove("a")])).toBe('{"b":1,"b":2}');
  });

  it("mean what the same changes to the parsed object mean", () => {
    const name = fc.constantFrom("a", "b", "c", "d", "model", 'q"q');
    const body = fc.dictionary(name, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 6 });
    const edit = fc.oneof(
      name.map(remove),
      fc.tuple(name, fc.integer()).map(([path, value]) => set(path, value)),
      fc
        .tuple(name, name)
        .filter(([from, to]) => from !== to)
        .map(([from, to]): BodyEdit => ({ kind: "rename", from, to })),
      fc.tuple(name, fc.integer()).map(([path, value]): BodyEdit => ({ kind: "default", path, value })),
    );
    fc.assert(
      fc.property(body, fc.array(edit, { maxLength: 5 }), fc.constantFrom(0, 2), (object, edits, indent) => {
        const text = JSON.stringify(object, null, indent);
        expect(JSON.parse(edited(text, edits))).toEqual(onObject(JSON.parse(text), edits));
      }),
      { numRuns: 500 },
    );
  });
});

/** The edits as plain assignments. */
function onObject(object: Record<string, unknown>, edits: readonly BodyEdit[]): Record<string, unknown> {
  for (const edit of edits) {
    if (edit.kind === "remove") delete object[edit.path];
    else if (edit.kind === "set") object[edit.path] = edit.value;
    else if (edit.kind === "default") object[edit.path] ??= edit.value;
    else if (edit.kind === "rename" && Object.hasOwn(object, edit.from)) {
      if (!Object.hasOwn(object, edit.to)) object[edit.to] = object[edit.from];
      delete object[edit.from];
    }
  }
  return object;
}
