import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { carryId, readCarriedId } from "../../../../src/dialects/carried-id.js";
import { CarriedStream, CarriedWhole, carryResponse, carryThings } from "../../../../src/dialects/carried-answer.js";
import { findCarriedIds, withRestoredIds } from "../../../../src/dialects/restored-ids.js";

const ORIGIN = { providerKey: "main", model: "" };
const carried = (id: string) => carryId({ ...ORIGIN, id });
const name = fc.string({ unit: "grapheme", maxLength: 60 }).filter((text) => !text.includes("\0"));
const vendorId = fc.stringMatching(/^(?:file-|batch_|resp_|)[A-Za-z0-9]{1,48}$/);

describe("an id that carries its provider", () => {
  it("is read again, whatever the names are, and keeps the vendor's first word", () => {
    fc.assert(
      fc.property(name, name, vendorId, (providerKey, model, id) => {
        const made = carryId({ providerKey: providerKey, model: model, id });
        expect(readCarriedId(made)).toEqual({
          providerKey: providerKey,
          model: model,
          id,
        });
        expect(made).toMatch(/^[a-z]+[-_]wr1[A-Za-z0-9_-]+$/);
      }),
    );
    expect(carried("file-abc")).toMatch(/^file-wr1/);
    expect(carried("resp_abc")).toMatch(/^resp_wr1/);
    expect(carried("0123-4567")).toMatch(/^id-wr1/);
  });

  it("is not made of one that carries something already, of none, or of one too long", () => {
    expect(carried(carried("file-abc"))).toBe(carried("file-abc"));
    expect(carried("")).toBe("");
    expect(carried("x".repeat(300))).toBe("x".repeat(300));
  });

  it("is not seen in a vendor's own, nor in one that was changed", () => {
    for (const id of ["file-abc", "file-wr1abcdefghijkl", "", "wr1", `${carried("file-abc")}x`]) {
      expect(readCarriedId(id)).toBeNull();
    }
    const made = carried("file-abc");
    const at = made.length - 6;
    const other = made.slice(0, at) + (made[at] === "A" ? "B" : "A") + made.slice(at + 1);
    expect(readCarriedId(other)).toBeNull();
  });
});

describe("ids in requests", () => {
  it("become the upstream's, and every other byte stays", () => {
    const body = (file: string, response: string) =>
      `{"previous_response_id" : "${response}","input":[{"file_id":"${file}","text":"say -wr1 and _wr1 \\" ok"}]}`;
    const sent = Buffer.from(body(carried("file-a"), carried("resp_b")));
    const found = findCarriedIds(sent);
    expect(found.map((one) => one.carried.id)).toEqual(["resp_b", "file-a"]);
    expect(withRestoredIds(sent, found).toString()).toBe(body("file-a", "resp_b"));
  });

  it("are left alone where there are none", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const body = Buffer.from(text);
        expect(withRestoredIds(body, findCarriedIds(body))).toBe(body);
      }),
    );
  });

  it("are no reason to fall over bytes that look like them", () => {
    for (const text of ["-wr1", '"-wr1', '"file-wr1', '"file-wr1"', `"file-wr1${"a".repeat(3000)}"`, "_wr1_wr1_wr1"]) {
      expect(findCarriedIds(Buffer.from(text))).toEqual([]);
    }
  });
});

describe("ids in answers about things", () => {
  it("become the gateway's, of the thing and of a list's, and every other byte stays", () => {
    const thing = (map: (id: string) => string) =>
      `{ "id": "${map("batch_1")}", "object":"batch","input_file_id":"${map("file-1")}","output_file_id":null,` +
      `"metadata":{"id":"kept"},"n":1.50,"result_files":["${map("file-2")}", "${map("file-3")}"]}`;
    const same = (id: string) => id;
    expect(carryThings(Buffer.from(thing(same)), ORIGIN).toString()).toBe(thing(carried));
    const list = (map: (id: string) => string) =>
      `{"object":"list","data":[${thing(map)} , ${thing(map)}],"first_id":"${map("batch_1")}","has_more":false}`;
    expect(carryThings(Buffer.from(list(same)), ORIGIN).toString()).toBe(list(carried));
  });

  it("stay where the answer is no JSON object", () => {
    for (const text of ["", "x", "[1]", '{"id":"a"', '{"data":[{]}']) {
      expect(carryThings(Buffer.from(text), ORIGIN).toString()).toBe(text);
    }
    expect(carryThings(Buffer.from('{"data":[]}'), ORIGIN).toString()).toBe('{"data":[]}');
  });

  it("wait for the whole answer, and no longer than its bound", () => {
    const filter = new CarriedWhole("application/json", (body) => carryThings(body, ORIGIN), 20);
    expect(filter.push(Buffer.from('{"id":'))).toBeNull();
    expect(filter.push(Buffer.from('"a"}'))).toBeNull();
    expect(filter.end()?.toString()).toBe(`{"id":"${carried("a")}"}`);
    expect(() => filter.push(Buffer.alloc(30))).toThrow(RangeError);
  });
});

describe("a response's id", () => {
  it("is changed at the top only, with the one before it", () => {
    const body = (map: (id: string) => string, before: string) =>
      `{"id":"${map("resp_1")}","previous_response_id":"${before}","output":[{"id":"msg_1"}]}`;
    const known = new Map([["resp_0", "as-the-caller-has-it"]]);
    const changed = carryResponse(Buffer.from(body((id) => id, "resp_0")), { ...ORIGIN, known });
    expect(changed.toString()).toBe(body(carried, "as-the-caller-has-it"));
  });

  const stream = (map: (id: string) => string, end: string) =>
    [
      `: a comment${end}${end}`,
      `event: response.created${end}data: {"type":"response.created","response":{"id":"${map("resp_1")}"}}${end}${end}`,
      `data: {"delta":"she said \\"resp_1\\" aloud","item_id":"resp_12"}${end}${end}`,
      `data: {"type":"response.completed","response":{"id":"${map("resp_1")}","x":["${map("resp_1")}"]}}${end}${end}`,
    ].join("");

  it.each(["\n", "\r\n"])("is changed in every event of a stream, wherever it is cut", (end) => {
    const bytes = Buffer.from(stream((id) => id, end));
    for (let size = 1; size <= bytes.length; size++) {
      const filter = new CarriedStream("text/event-stream", ORIGIN);
      let out = "";
      for (let at = 0; at < bytes.length; at += size) out += filter.push(bytes.subarray(at, at + size)) ?? "";
      out += filter.end() ?? "";
      expect(out).toBe(stream(carried, end));
    }
  });

  it("holds nothing back but what may be an id's beginning", () => {
    const filter = new CarriedStream("text/event-stream", ORIGIN);
    filter.push(Buffer.from('data: {"response":{"id":"resp_1"}}\n\n'));
    expect(filter.push(Buffer.from("data: {}\n\n"))?.toString()).toBe("data: {}\n\n");
  });

  it("leaves streams that name none as they are", () => {
    for (const text of ["data: [DONE]\n\n", 'data: {"error":{}}\n\ndata: {"id":"resp_1"}\n\n', "no event at all"]) {
      const filter = new CarriedStream("text/event-stream", ORIGIN);
      expect(`${filter.push(Buffer.from(text)) ?? ""}${filter.end() ?? ""}`).toBe(text);
    }
  });
});
