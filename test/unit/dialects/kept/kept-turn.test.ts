import { describe, expect, it } from "vitest";
import { isKeptId, keptId } from "../../../../src/dialects/kept-id.js";
import {
  inputItems,
  inputItemsPage,
  keepableAnswer,
  readKeeping,
  withHistory,
  withoutStore,
} from "../../../../src/dialects/kept-turn.js";
import { isFailure } from "../../../../src/errors.js";

const ID = keptId("1-2");
const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const USER = { role: "user", content: "one" };
const SAID = { type: "message", role: "assistant", content: [{ type: "output_text", text: 'a "b" ]' }] };
const KEPT = { input: bytes([USER]), answer: bytes({ id: ID, output: [SAID], usage: null }) };

function expanded(body: unknown, kept = KEPT) {
  const result = withHistory(bytes(body), kept);
  if (isFailure(result)) throw new Error(result.message);
  return JSON.parse(result.toString());
}

describe("what a request says of keeping", () => {
  it.each([
    [{ input: "x" }, { previous: "", declined: false, demanded: false }],
    [
      { store: false, previous_response_id: ID },
      { previous: ID, declined: true, demanded: false },
    ],
    [
      { store: true, previous_response_id: "resp_1" },
      { previous: "", declined: false, demanded: true },
    ],
    [
      { store: null, previous_response_id: 7 },
      { previous: "", declined: false, demanded: false },
    ],
  ])("%j", (body, said) => expect(readKeeping(bytes(body))).toEqual(said));

  it("ids are told from an upstream's own, and from nothing that leads elsewhere", () => {
    expect(isKeptId(ID)).toBe(true);
    for (const id of ["resp_1", "", `${ID}/x`, `x${ID}`, `${ID}\n`, "resp_wrs_"]) expect(isKeptId(id)).toBe(false);
  });

  it("a demand to store is taken out, and nothing else", () => {
    expect(withoutStore(bytes('{"a":1, "store" : true,"b":2}')).toString()).toBe('{"a":1, "store" : null,"b":2}');
    expect(withoutStore(bytes('{"a":1}')).toString()).toBe('{"a":1}');
  });
});

describe("a follow-up", () => {
  const TEXT = { type: "message", role: "user", content: "two" };

  it.each([
    ["text", { input: "two" }, [USER, SAID, TEXT]],
    ["items", { input: [{ a: 1 }, { b: 2 }] }, [USER, SAID, { a: 1 }, { b: 2 }]],
    ["no items", { input: [] }, [USER, SAID]],
    ["null", { input: null }, [USER, SAID]],
    ["nothing", {}, [USER, SAID]],
  ])("%s stands behind what was kept", (_name, own, input) => {
    const rest = { model: "m", tools: [] };
    expect(expanded({ ...rest, previous_response_id: ID, ...own })).toEqual({
      ...rest,
      previous_response_id: null,
      input,
    });
    expect(expanded({ ...own, previous_response_id: ID, ...rest })).toEqual({
      ...rest,
      previous_response_id: null,
      input,
    });
  });

  it("to an empty conversation is itself", () => {
    const kept = { input: bytes(" [ ] ".trim()), answer: bytes({ id: ID }) };
    expect(expanded({ previous_response_id: ID, input: [] }, kept).input).toEqual([]);
    expect(expanded({ previous_response_id: ID, input: [1] }, kept).input).toEqual([1]);
  });

  it.each([[7], [{}], [true]])("with an input of %j is refused, naming it", (input) => {
    expect(withHistory(bytes({ previous_response_id: ID, input }), KEPT)).toMatchObject({ param: "input" });
    expect(inputItems(bytes({ input }))).toBeNull();
  });
});

describe("an answer", () => {
  const answer = JSON.stringify({ id: ID, output: [SAID] });

  it("is found whole, and in the last event of a stream", () => {
    expect(keepableAnswer(bytes(answer), false)).toEqual({ id: ID, body: bytes(answer) });
    const event = (type: string) => `event: ${type}\ndata: {"type":"${type}","response":${answer}}\n\n`;
    const found = keepableAnswer(bytes(event("response.created") + event("response.completed")), true);
    expect([found?.id, found?.body.toString()]).toEqual([ID, answer]);
    expect(keepableAnswer(bytes(event("response.created")), true)).toBeNull();
    expect(keepableAnswer(bytes(event("response.failed")), true)).toBeNull();
  });

  it("that somebody else keeps is not, though it speaks of one that is kept here", () => {
    expect(keepableAnswer(bytes({ id: "resp_1", previous_response_id: ID }), false)).toBeNull();
    expect(keepableAnswer(bytes({ id: "resp_1" }), false)).toBeNull();
    expect(keepableAnswer(bytes(`data: ${ID}`), false)).toBeNull();
  });
});

describe("the items that led to an answer", () => {
  const input = bytes([USER, SAID, { type: "function_call", id: "fc_1", name: "f" }]);
  const page = (query: string) => {
    const result = inputItemsPage(ID, input, query);
    if (isFailure(result)) throw new Error(result.message);
    return JSON.parse(result);
  };

  it("come by page, the last first", () => {
    const first = page("limit=2");
    expect(first).toMatchObject({ object: "list", first_id: "fc_1", last_id: "msg_1-2_1", has_more: true });
    const second = page(`after=${first.last_id}`);
    expect(second.data).toEqual([
      { type: "message", id: "msg_1-2_0", role: "user", content: [{ type: "input_text", text: "one" }] },
    ]);
    expect(second.has_more).toBe(false);
    expect(page("order=asc").data.map(({ id }: { id: string }) => id)).toEqual(["msg_1-2_0", "msg_1-2_1", "fc_1"]);
  });

  it.each(["0", "101", "x", "1.5"])("a limit of %s is refused", (limit) => {
    expect(inputItemsPage(ID, input, `limit=${limit}`)).toMatchObject({ param: "limit" });
  });
});
