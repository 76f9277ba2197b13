import { describe, expect, it } from "vitest";
import { carryId } from "../../../../src/dialects/carried-id.js";
import type { KeyedRequest } from "../../../../src/dialects/dialect.js";
import { applyEdits } from "../../../../src/dialects/json-splice.js";
import { readFilesRequest } from "../../../../src/dialects/openai-files/request.js";
import { readFollowUp } from "../../../../src/dialects/openai-responses/follow-up.js";
import { isFailure } from "../../../../src/errors.js";

const FILE = carryId({ providerKey: "main", model: "", id: "file-1" });
const BASE: KeyedRequest = {
  operation: "batches",
  method: "get",
  routePath: "/v1/batches",
  id: "",
  query: "",
  body: Buffer.alloc(0),
  contentType: "",
};

function read(more: Partial<KeyedRequest>) {
  const place = readFilesRequest({ ...BASE, ...more });
  if (isFailure(place)) throw new Error(place.message);
  return place;
}

describe("requests for files and jobs", () => {
  it("restore the ids of path, query and body", () => {
    expect(read({ operation: "files", routePath: "/v1/files/{id}/content", id: FILE })).toMatchObject({
      path: "/file-1/content",
      carried: { providerKey: "main" },
    });
    expect(read({ query: `limit=2&after=${FILE}&model=fast&x` })).toMatchObject({
      query: "limit=2&after=file-1&x",
      targetModel: "fast",
      carried: { providerKey: "main" },
    });
    const body = Buffer.from(`{"model":"gpt-x","training_file":"${FILE}"}`);
    const place = read({ operation: "fine_tuning", method: "post", routePath: "/v1/fine_tuning/jobs", body });
    expect(applyEdits(body, place.edits).toString()).toBe('{"model":"gpt-x","training_file":"file-1"}');
    expect(place.view.model).toBe("gpt-x");
  });

  it.each([
    [{ operation: "files", method: "post", routePath: "/v1/files", body: Buffer.from("{}") }, "multipart/form-data"],
    [{ method: "post" }, "no body"],
    [{ method: "post", body: Buffer.from("[]") }, "JSON object"],
    [{ method: "post", body: Buffer.from([0x7b, 0xff, 0x7d]) }, "UTF-8"],
    [{ method: "post", body: Buffer.from('{"model":1}') }, "model must be"],
    [{ method: "post", body: Buffer.from('{"model":"a","model":"b"}') }, "twice"],
    [{ routePath: "/v1/batches/{id}", id: ".." }, "id in the path"],
    [{ routePath: "/v1/batches/{id}", id: "a/b" }, "id in the path"],
    [{ routePath: "/v1/batches/{id}", id: carryId({ providerKey: "k", model: "", id: "../x" }) }, "id in the path"],
  ] as const)("that cannot be passed on are refused: %o", (more, message) => {
    const place = readFilesRequest({ ...BASE, ...more });
    expect(isFailure(place) && place.message).toContain(message);
  });

  it("that name ids of two providers are refused", () => {
    const other = carryId({ providerKey: "other", model: "", id: "file-2" });
    const body = Buffer.from(`{"training_file":"${FILE}","validation_file":"${other}"}`);
    expect(isFailure(readFilesRequest({ ...BASE, method: "post", body }))).toBe(true);
  });

  it("lose the field that was for the gateway, wherever it stands in the form", () => {
    const part = (name: string, text: string) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
    const [purpose, target, file] = [part("purpose", "batch"), part("target_model", "fast"), part("x", "y")];
    const contentType = "multipart/form-data; boundary=b";
    for (const parts of [
      [target, purpose, file],
      [purpose, target, file],
      [purpose, file, target],
    ]) {
      const body = Buffer.from(`${parts.join("")}--b--\r\n`);
      const place = read({ operation: "files", method: "post", routePath: "/v1/files", body, contentType });
      expect(place.targetModel).toBe("fast");
      expect(applyEdits(body, place.edits).toString()).toBe(`${purpose}${file}--b--\r\n`);
    }
  });
});

describe("follow-ups of responses", () => {
  const request = { ...BASE, operation: "responses_items", routePath: "/v1/responses/{id}/input_items" } as const;

  it("go to whoever made the response, for the model it was made with", () => {
    const id = carryId({ providerKey: "main", model: "fast", id: "resp_1" });
    expect(readFollowUp({ ...request, id, query: "include[]=a&stream=true" })).toMatchObject({
      path: "/resp_1/input_items",
      query: "include[]=a&stream=true",
      carried: { providerKey: "main", model: "fast" },
      view: { model: "fast", stream: true },
    });
  });

  it("of plain ids go where the query says", () => {
    expect(readFollowUp({ ...request, id: "resp_1", query: "model=a%2Fb" })).toMatchObject({
      carried: null,
      targetModel: "a/b",
      query: "",
    });
  });
});
