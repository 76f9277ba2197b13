import { describe, expect, it } from "vitest";
import { targetCodec } from "../../../../src/dialects/gemini/codec.js";
import { type JsonObject, LossList, type SemanticRequest } from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import { assistant, call, encode, image, request, result, text, thinking, traits, user } from "./semantic.js";

const G25 = "gemini-2.5-flash";
const G3 = "gemini-3-flash-preview";

const made = (model: string, fields: Partial<SemanticRequest>) => encode(targetCodec, model, fields);

describe("gemini requests: contents", () => {
  it("has roles user and model, merges turns of one role, and puts the system text beside them", () => {
    const { body, losses } = made(G25, {
      system: [text("be brief"), text("be kind")],
      turns: [user(text("a")), user(text("b")), assistant(text("c")), user(text("d"))],
    });
    expect(body).toEqual({
      systemInstruction: { parts: [{ text: "be brief" }, { text: "be kind" }] },
      contents: [
        { role: "user", parts: [{ text: "a" }, { text: "b" }] },
        { role: "model", parts: [{ text: "c" }] },
        { role: "user", parts: [{ text: "d" }] },
      ],
    });
    expect(losses).toEqual([]);
  });

  it("takes a system text alone as the user's, and refuses nothing at all", () => {
    expect(made(G25, { system: [text("go")], turns: [] }).body.contents).toEqual([
      { role: "user", parts: [{ text: "go" }] },
    ]);
    const refused = targetCodec.encodeRequest(request({ turns: [user(text(""))] }), traits(G25), new LossList());
    expect(isFailure(refused) && refused.param).toBe("messages");
  });

  it("sends data inline and addresses as files with a media type", () => {
    const { body, losses } = made(G25, {
      turns: [
        user(
          image({ data: "AAAA", mediaType: "image/png" }),
          image({ url: "data:image/webp;base64,BBBB" }),
          image({ url: "https://x.example/cat.GIF?size=2" }),
          image({ url: "gs://bucket/thing" }),
          image({ fileId: "files/abc" }),
          image({ fileId: "file-of-another-vendor" }),
          { kind: "audio", source: { data: "CCCC", url: null, fileId: null, mediaType: "audio/mpeg" } },
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { inlineData: { mimeType: "image/png", data: "AAAA" } },
      { inlineData: { mimeType: "image/webp", data: "BBBB" } },
      { fileData: { mimeType: "image/gif", fileUri: "https://x.example/cat.GIF?size=2" } },
      { fileData: { mimeType: "image/jpeg", fileUri: "gs://bucket/thing" } },
      { fileData: { mimeType: "image/jpeg", fileUri: "files/abc" } },
      { inlineData: { mimeType: "audio/mpeg", data: "CCCC" } },
    ]);
    expect(losses).toEqual(["image"]);
  });

  it("sends documents by value or as text, and reports what describes them", () => {
    const source = { data: "JVBE", url: null, fileId: null, mediaType: "" };
    const document = {
      kind: "document",
      source,
      text: null,
      title: "t",
      context: null,
      citations: true,
      cache: null,
    } as const;
    const { body, losses } = made(G25, {
      turns: [user(document, { ...document, text: "plain", title: null, citations: false })],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { inlineData: { mimeType: "application/pdf", data: "JVBE" } },
      { text: "plain" },
    ]);
    expect(losses).toEqual(["document_title", "citations"]);
  });

  it("names the function of a result by the call, in the calls' order and before the rest of the turn", () => {
    const { body } = made(G25, {
      turns: [
        user(text("go")),
        assistant(call("c1", "first", '{"a":1}'), call("c2", "second")),
        user(text("and?"), result("c2", "two", { isError: true }), result("c1", "one")),
      ],
    });
    expect((body.contents as JsonObject[]).slice(1)).toEqual([
      {
        role: "model",
        parts: [
          { functionCall: { id: "c1", name: "first", args: { a: 1 } } },
          { functionCall: { id: "c2", name: "second", args: {} } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { id: "c1", name: "first", response: { output: "one" } } },
          { functionResponse: { id: "c2", name: "second", response: { error: "two" } } },
          { text: "and?" },
        ],
      },
    ]);
  });

  it("keeps images of results: inside for generation 3, beside for older ones", () => {
    const picture = image({ data: "AA", mediaType: "image/png" });
    const turns = [assistant(call("c", "look")), user(result("c", "", { content: [text("see"), picture as never] }))];
    const inline = { inlineData: { mimeType: "image/png", data: "AA" } };
    const response = { id: "c", name: "look", response: { output: "see" } };
    expect((made(G25, { turns }).body.contents as JsonObject[])[1]?.parts).toEqual([
      { functionResponse: response },
      inline,
    ]);
    expect((made(G3, { turns }).body.contents as JsonObject[])[1]?.parts).toEqual([
      { functionResponse: { ...response, parts: [inline] } },
    ]);
  });

  it("says so when a result answers no call", () => {
    const { body, losses } = made(G25, { turns: [user(result("lost", "x"))] });
    expect(JSON.stringify(body)).toContain('"name":"unknown_function"');
    expect(losses).toEqual(["tool_result_name"]);
  });

  it("returns signatures with the calls and thoughts they came with", () => {
    const { body, losses } = made(G3, {
      turns: [
        user(text("go")),
        assistant(
          thinking({ text: "hm", signature: "S1", origin: "gemini" }),
          text("answer"),
          thinking({ signature: "S2", origin: "gemini" }),
          call("c", "f", "{}", { signature: "S3" }),
          call("d", "f"),
        ),
      ],
    });
    expect((body.contents as JsonObject[])[1]?.parts).toEqual([
      { text: "hm", thought: true, thoughtSignature: "S1" },
      { text: "answer" },
      { text: "", thoughtSignature: "S2" },
      { functionCall: { id: "c", name: "f", args: {} }, thoughtSignature: "S3" },
      { functionCall: { id: "d", name: "f", args: {} } },
    ]);
    expect(losses).toEqual([]);
  });

  it("stands in for a missing signature where the model checks it, on the first call of a step only", () => {
    const turns = [user(text("go")), assistant(call("c", "f"), call("d", "f"))];
    const newer = made(G3, { turns });
    expect(JSON.stringify(newer.body).match(/thoughtSignature/g)).toHaveLength(1);
    expect(newer.losses).toEqual(["thought_signature"]);
    expect(JSON.stringify(made("gemini-flash-latest", { turns }).body)).toContain("skip_thought_signature_validator");
    expect(JSON.stringify(made(G25, { turns }).body)).not.toContain("thoughtSignature");
  });

  it("drops other vendors' thinking with a loss and keeps unclaimed thinking", () => {
    const { body, losses } = made(G25, {
      turns: [
        assistant(
          thinking({ text: "theirs", signature: "x", origin: "anthropic-messages" }),
          thinking({ text: "whose", signature: "y" }),
          text("ok"),
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([{ text: "whose", thought: true }, { text: "ok" }]);
    expect(losses).toEqual(["thinking", "thinking_signature"]);
  });

  it("sends arguments that are no object under a name, and ids it made up itself not at all", () => {
    const { body } = made(G25, {
      turns: [
        assistant(
          call("call_unnamed_r_0", "f", "[1]"),
          call("b", "f", "not json"),
          call("c", "f", "free", { flavour: "custom" }),
          call("d", "f", ""),
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { functionCall: { name: "f", args: { input: [1] } } },
      { functionCall: { id: "b", name: "f", args: { input: "not json" } } },
      { functionCall: { id: "c", name: "f", args: { input: "free" } } },
      { functionCall: { id: "d", name: "f", args: {} } },
    ]);
  });

  it("returns its own foreign parts, forgets its metadata, and reports other wires' parts", () => {
    const own = { executableCode: { code: "1+1", language: "PYTHON" } };
    const { body, losses } = made(G25, {
      turns: [
        assistant(
          { kind: "foreign", wire: "gemini", type: "executableCode", raw: own },
          { kind: "foreign", wire: "gemini", type: "groundingMetadata", raw: { groundingMetadata: {} } },
          { kind: "foreign", wire: "anthropic-messages", type: "server_tool_use", raw: {} },
          { kind: "foreign", wire: "x", type: "text of the client's\r\n", raw: {} },
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([own]);
    expect(losses).toEqual(["server_tool_use", "foreign_block"]);
  });
});
