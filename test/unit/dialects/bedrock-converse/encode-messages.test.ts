import { describe, expect, it } from "vitest";
import { targetCodec } from "../../../../src/dialects/bedrock-converse/codec.js";
import { type Block, LossList } from "../../../../src/dialects/semantic.js";
import { call, document, encode, image, PNG, request, result, TRAITS, text, tool, turn } from "./requests.js";

const SOURCE = { data: null, url: null, fileId: null, mediaType: "" };

describe("messages", () => {
  it("of one role that stand side by side are one", () => {
    const { body } = encode({
      turns: [turn("user", text("a")), turn("user", text("b")), turn("assistant", text("c"))],
    });
    expect(body.messages).toEqual([
      { role: "user", content: [{ text: "a" }, { text: "b" }] },
      { role: "assistant", content: [{ text: "c" }] },
    ]);
  });

  it("hold tool results first, their status where it is an error, images in them kept", () => {
    const content = [text("see"), image(PNG, null)] as never;
    const { body, losses } = encode({
      turns: [
        turn("assistant", call("a", "x", "{}"), call("b", "x", "")),
        turn("user", text("and now?"), { ...result("a", ""), content } as Block),
        turn("user", result("b", "broken", true)),
      ],
      tools: [tool("x")],
    });
    expect(losses).toEqual([]);
    expect(body.messages).toEqual([
      {
        role: "assistant",
        content: [
          { toolUse: { toolUseId: "a", name: "x", input: {} } },
          { toolUse: { toolUseId: "b", name: "x", input: {} } },
        ],
      },
      {
        role: "user",
        content: [
          {
            toolResult: {
              toolUseId: "a",
              content: [{ text: "see" }, { image: { format: "png", source: { bytes: PNG } } }],
            },
          },
          { toolResult: { toolUseId: "b", content: [{ text: "broken" }], status: "error" } },
          { text: "and now?" },
        ],
      },
    ]);
  });

  it("hold no blank text, and no turn without content", () => {
    const { body, losses } = encode({
      turns: [turn("user", text("a")), turn("assistant", text("")), turn("user", text(" "))],
    });
    expect(body.messages).toEqual([{ role: "user", content: [{ text: "a" }] }]);
    expect(losses).toEqual(["blank_text"]);
  });

  it("keep arguments that are no object, and say so", () => {
    const { body, losses } = encode({ turns: [turn("assistant", call("a", "x", "[1"))] });
    expect(body.messages).toMatchObject([{ content: [{ toolUse: { input: { arguments: "[1" } } }] }]);
    expect(losses).toContain("tool_arguments");
  });

  it("carry foreign blocks of this wire, and lose those of another", () => {
    const raw = { searchResult: { source: "s", title: "t", content: [{ text: "x" }] } };
    const { body, losses } = encode({
      turns: [
        turn(
          "user",
          { kind: "foreign", wire: "bedrock-converse", type: "searchResult", raw },
          { kind: "foreign", wire: "anthropic-messages", type: "Server Tool\r\nUse", raw: {} },
        ),
      ],
    });
    expect(body.messages).toEqual([{ role: "user", content: [raw] }]);
    expect(losses).toEqual(["foreign_block"]);
  });
});

describe("media", () => {
  it("by address are refused, naming the field", () => {
    for (const block of [
      image(null, "https://example.com/a.png"),
      document(null, { source: { ...SOURCE, fileId: "f" } }),
    ]) {
      const refused = targetCodec.encodeRequest(request({ turns: [turn("user", block)] }), TRAITS, new LossList());
      expect(refused).toMatchObject({ code: "unsupported_operation", param: "messages" });
    }
    const said = request({
      origin: "openai-responses",
      turns: [turn("user", image(null, "https://example.com/a.png"))],
    });
    expect(targetCodec.encodeRequest(said, TRAITS, new LossList())).toMatchObject({
      param: "input",
      message: "input: the model takes no image by address; send its data in the request (base64 or a data: address).",
    });
    const inside = { ...result("a", "x"), content: [image(null, "https://example.com/a.png")] } as Block;
    const refused = targetCodec.encodeRequest(request({ turns: [turn("user", inside)] }), TRAITS, new LossList());
    expect(refused).toMatchObject({ code: "unsupported_operation" });
  });

  it("in S3 and in data URLs are taken", () => {
    const { body } = encode({
      turns: [turn("user", image(null, "s3://bucket/a.jpg", ""), image(null, `data:image/webp;base64,${PNG}`, ""))],
    });
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { image: { format: "jpeg", source: { s3Location: { uri: "s3://bucket/a.jpg" } } } },
          { image: { format: "webp", source: { bytes: PNG } } },
        ],
      },
    ]);
  });

  it("are recognised by their bytes, and lost when the format is unknown", () => {
    const { body, losses } = encode({
      turns: [turn("user", text("a"), image(PNG, null, ""), image("Qk0=", null, "image/bmp"))],
    });
    expect(body.messages).toMatchObject([{ content: [{}, { image: { format: "png" } }] }]);
    expect(losses).toEqual(["image"]);
  });

  it("documents have clean, unique names, and text beside them", () => {
    const plain = { source: { ...SOURCE, data: null }, text: "body" };
    const { body } = encode({
      turns: [turn("user", document("a/b..pdf"), document("a b pdf"), document(null, plain))],
    });
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { document: { format: "pdf", name: "a b pdf", source: { bytes: "JVBERi0xLjQK" } } },
          { document: { format: "pdf", name: "a b pdf 2", source: { bytes: "JVBERi0xLjQK" } } },
          { document: { format: "txt", name: "document", source: { text: "body" } } },
          { text: "a b pdf" },
        ],
      },
    ]);
  });
});

describe("thinking in the history", () => {
  const block = { kind: "thinking", id: "", text: "Hm.", signature: "c2ln", encrypted: "", origin: "" } as const;

  it("goes back with its signature, redacted thinking as it came", () => {
    const turns = [
      turn(
        "assistant",
        { ...block, origin: "bedrock-converse" },
        { ...block, text: "", signature: "", encrypted: "cmVk" },
      ),
    ];
    expect(encode({ turns }).body.messages).toEqual([
      {
        role: "assistant",
        content: [
          { reasoningContent: { reasoningText: { text: "Hm.", signature: "c2ln" } } },
          { reasoningContent: { redactedContent: "cmVk" } },
        ],
      },
    ]);
  });

  it("of another vendor, or without proof for Claude, is a loss", () => {
    for (const origin of ["gemini", "openai-responses"]) {
      expect(encode({ turns: [turn("assistant", { ...block, origin }, text("a"))] }).losses).toEqual(["thinking"]);
    }
    const bare = { ...block, signature: "", origin: "bedrock-converse" };
    expect(encode({ turns: [turn("assistant", bare, text("a"))] }).losses).toEqual(["thinking"]);
    expect(encode({ turns: [turn("assistant", bare)] }, { model: "openai.gpt-oss-120b-1:0" }).body.messages).toEqual([
      { role: "assistant", content: [{ reasoningContent: { reasoningText: { text: "Hm." } } }] },
    ]);
  });
});

describe("cache marks", () => {
  it("are cache points where the model has a cache, else a loss", () => {
    const turns = [turn("user", text("a", null), text("b", "2h"))];
    const marked = encode({ turns });
    expect(marked.body.messages).toMatchObject([
      {
        content: [
          { text: "a" },
          { cachePoint: { type: "default" } },
          { text: "b" },
          { cachePoint: { type: "default" } },
        ],
      },
    ]);
    expect(marked.losses).toEqual(["cache_ttl"]);
    const plain = encode({ turns }, { model: "meta.llama3-1-8b-instruct-v1:0" });
    expect(plain.body.messages).toEqual([{ role: "user", content: [{ text: "a" }, { text: "b" }] }]);
    expect(plain.losses).toEqual(["cache_control"]);
  });
});
