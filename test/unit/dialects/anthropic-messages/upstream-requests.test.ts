import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AcceptedNames } from "../../../../src/dialects/accepted-names.js";
import type { Block, FunctionTool, JsonObject, Tool } from "../../../../src/dialects/semantic.js";
import { assistant, encode, request, text, traits, user } from "./support.js";

const NO_SOURCE = { data: null, url: null, fileId: null, mediaType: "" };

function tool(name: string, changes: Partial<FunctionTool> = {}): FunctionTool {
  return {
    kind: "function",
    name,
    description: null,
    parameters: { type: "object", properties: {} },
    strict: null,
    cache: null,
    ...changes,
  };
}

function call(id: string, name: string, args = "{}"): Block {
  return { kind: "tool_call", id, name, arguments: args, signature: "", flavour: "function", cache: null };
}

function result(callId: string, ...content: (Block & { kind: "text" | "image" | "document" })[]): Block {
  return { kind: "tool_result", callId, name: "", content, isError: false, cache: null };
}

function image(changes: Partial<typeof NO_SOURCE> | { data: string; mediaType: string } | { url: string }): Block & {
  kind: "image";
} {
  return { kind: "image", source: { ...NO_SOURCE, ...changes }, detail: null, cache: null } as Block & {
    kind: "image";
  };
}

function contentOf(blocks: Block[]): { content: JsonObject[]; losses: readonly string[] } {
  const { body, losses } = encode(request({ turns: [user(...blocks)] }));
  const messages = body.messages as { content: JsonObject[] }[];
  return { content: messages[0]?.content ?? [], losses };
}

describe("max_tokens", () => {
  it("is the caller's, else the model's", () => {
    expect(encode(request({ maxOutputTokens: 7 })).body.max_tokens).toBe(7);
    expect(encode(request()).body.max_tokens).toBe(4096);
  });
});

describe("turns", () => {
  it("merge where one role speaks twice, results of tools first", () => {
    const { body } = encode(
      request({
        system: [{ ...text("one"), cache: { ttl: null } }, text("two")],
        turns: [
          user(text("a")),
          user(text("b")),
          assistant(call("c1", "f", '{"x":1}')),
          assistant(call("c2", "f", "")),
          user(text("and then")),
          user(result("c1", text("1"))),
          user({ ...result("c2", image({ data: "aGk=", mediaType: "image/png" })), isError: true } as Block),
        ],
      }),
    );
    expect(body.system).toEqual([
      { type: "text", text: "one", cache_control: { type: "ephemeral" } },
      { type: "text", text: "two" },
    ]);
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "tool_use", id: "c1", name: "f", input: { x: 1 } },
          { type: "tool_use", id: "c2", name: "f", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "1" }] },
          {
            type: "tool_result",
            tool_use_id: "c2",
            content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }],
            is_error: true,
          },
          { type: "text", text: "and then" },
        ],
      },
    ]);
  });

  it("leave out what the wire refuses: empty turns and blank text", () => {
    const { body, losses } = encode(request({ turns: [user(text("a")), assistant(text("")), user(text(" \n"))] }));
    expect(body.messages).toEqual([{ role: "user", content: [{ type: "text", text: "a" }] }]);
    expect(losses).toEqual(["blank_text"]);
  });

  it("let the user say what would otherwise be a system text without messages", () => {
    const { body, losses } = encode(request({ system: [text("do it")], turns: [] }));
    expect(body.messages).toEqual([{ role: "user", content: [{ type: "text", text: "do it" }] }]);
    expect([body.system, losses]).toEqual([undefined, ["system"]]);
  });

  it("put arguments that are no object under a name", () => {
    const turns = [assistant(call("c", "f", '{"cut":'), call("d", "f", "null"))];
    const { body, losses } = encode(request({ turns }));
    expect(body.messages).toMatchObject([{ content: [{ input: { raw_arguments: '{"cut":' } }, { input: {} }] }]);
    expect(losses).toEqual(["tool_arguments"]);
  });
});

describe("images and documents", () => {
  it.each(["image/jpeg", "image/png", "image/gif", "image/webp"])("%s goes by value", (mediaType) => {
    expect(contentOf([image({ data: "aGk=", mediaType })])).toEqual({
      content: [{ type: "image", source: { type: "base64", media_type: mediaType, data: "aGk=" } }],
      losses: [],
    });
  });

  it("goes by address", () => {
    expect(contentOf([image({ url: "https://e.x/a.png" })]).content).toEqual([
      { type: "image", source: { type: "url", url: "https://e.x/a.png" } },
    ]);
  });

  it("are a loss in other types, and as files of another vendor", () => {
    const file = { ...image({}), source: { ...NO_SOURCE, fileId: "file-1" } } as Block;
    const blocks = [text("x"), image({ data: "aGk=", mediaType: "image/tiff" }), file];
    expect(contentOf(blocks)).toMatchObject({ content: [{ type: "text" }], losses: ["image"] });
  });

  it("PDFs are documents, however they came", () => {
    const source = { ...NO_SOURCE, data: "JVBERg==", mediaType: "application/pdf" };
    const document: Block = {
      kind: "document",
      source,
      text: null,
      title: "t.pdf",
      context: null,
      citations: false,
      cache: null,
    };
    const pdf = { type: "base64", media_type: "application/pdf", data: "JVBERg==" };
    expect(contentOf([document, image({ data: "JVBERg==", mediaType: "application/pdf" })])).toEqual({
      content: [
        { type: "document", source: pdf, title: "t.pdf" },
        { type: "document", source: pdf },
      ],
      losses: [],
    });
  });

  it("text files are read, others are a loss", () => {
    const base = { kind: "document", text: null, title: null, context: null, citations: false, cache: null } as const;
    const csv = { ...NO_SOURCE, data: Buffer.from("a,b").toString("base64"), mediaType: "text/csv" };
    const zip = { ...NO_SOURCE, data: "aGk=", mediaType: "application/zip" };
    expect(
      contentOf([
        { ...base, source: csv },
        { ...base, source: zip },
      ]),
    ).toEqual({
      content: [{ type: "document", source: { type: "text", media_type: "text/plain", data: "a,b" } }],
      losses: ["document"],
    });
  });

  it("sound, other wires' blocks and details are losses", () => {
    const blocks: Block[] = [
      text("x"),
      { kind: "audio", source: { ...NO_SOURCE, data: "aGk=", mediaType: "audio/wav" } },
      { kind: "foreign", wire: "openai-responses", type: "web_search_call", raw: {} },
      { kind: "foreign", wire: "openai-responses", type: "Bad Name!", raw: {} },
      { ...image({ url: "https://e.x" }), detail: "high" } as Block,
    ];
    expect(contentOf(blocks).losses).toEqual(["audio", "web_search_call", "foreign_block", "image_detail"]);
  });

  it("pictures in the model's own turns are a loss, refusals are its words", () => {
    const turns = [user(text("q")), assistant(image({ url: "https://e.x" }), { kind: "refusal", text: "No." })];
    const { body, losses } = encode(request({ turns }));
    expect(body.messages).toMatchObject([{}, { content: [{ type: "text", text: "No." }] }]);
    expect(losses).toEqual(["image"]);
  });
});

describe("tools", () => {
  it("keep every key of their schema, and strict", () => {
    const parameters = {
      type: "object",
      properties: { a: { $ref: "#/$defs/x" } },
      $defs: { x: { type: "string" } },
      y: 1,
    };
    const tools = [
      tool("f", { description: "d", parameters, strict: true, cache: { ttl: "1h" } }),
      tool("g", { parameters: null }),
    ];
    expect(encode(request({ tools })).body.tools).toEqual([
      {
        name: "f",
        description: "d",
        input_schema: parameters,
        strict: true,
        cache_control: { type: "ephemeral", ttl: "1h" },
      },
      { name: "g", input_schema: { type: "object", properties: {} } },
    ]);
  });

  it.each([
    [{ kind: "auto" }, { type: "auto" }],
    [{ kind: "none" }, { type: "none" }],
    [{ kind: "any" }, { type: "any" }],
    [
      { kind: "tool", name: "f" },
      { type: "tool", name: "f" },
    ],
  ] as const)("are chosen: %j", (toolChoice, choice) => {
    expect(encode(request({ tools: [tool("f")], toolChoice })).body.tool_choice).toEqual(choice);
  });

  it("one at a time", () => {
    const one = { tools: [tool("f")], parallelToolCalls: false };
    expect(encode(request(one)).body.tool_choice).toEqual({ type: "auto", disable_parallel_tool_use: true });
    expect(encode(request({ ...one, toolChoice: { kind: "any" } })).body.tool_choice).toEqual({
      type: "any",
      disable_parallel_tool_use: true,
    });
    expect(encode(request({ parallelToolCalls: false })).body.tool_choice).toBeUndefined();
  });

  it("only the allowed ones are shown", () => {
    const { body, losses } = encode(
      request({ tools: [tool("f"), tool("g")], toolChoice: { kind: "allowed", names: ["g"], required: true } }),
    );
    expect(body).toMatchObject({ tools: [{ name: "g" }], tool_choice: { type: "any" } });
    expect((body.tools as unknown[]).length).toBe(1);
    expect(losses).toEqual([]);
  });

  it("are not forced on models that refuse it", () => {
    const { body, losses } = encode(
      request({ tools: [tool("f")], toolChoice: { kind: "any" } }),
      traits("claude-opus-5-5"),
    );
    expect([body.tool_choice, losses]).toEqual([{ type: "auto" }, ["tool_choice"]]);
  });

  it("whose names the wire refuses are renamed everywhere", () => {
    const tools = [tool("my.tool"), tool("my_tool"), tool("x".repeat(130))];
    const turns = [assistant(call("functions.f:0", "my.tool")), user(result("functions.f:0", text("r")))];
    const encoded = encode(request({ tools, turns, toolChoice: { kind: "tool", name: "my.tool" } }));
    expect(encoded.body).toMatchObject({
      tools: [{ name: "my_tool_2" }, { name: "my_tool" }, { name: "x".repeat(128) }],
      tool_choice: { name: "my_tool_2" },
      messages: [
        { content: [{ id: "functions_f_0", name: "my_tool_2" }] },
        { content: [{ tool_use_id: "functions_f_0" }] },
      ],
    });
    expect([...encoded.renamed]).toEqual([
      ["my_tool_2", "my.tool"],
      ["x".repeat(128), "x".repeat(130)],
    ]);
  });

  it("get names that are accepted, one each (property)", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 8 }), { maxLength: 12 }), (wanted) => {
        const names = new AcceptedNames(4);
        names.reserve(wanted);
        const given = wanted.map((name) => names.name(name));
        expect(new Set(given).size).toBe(wanted.length);
        for (const name of given) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,4}$/);
        expect(wanted.map((name) => names.name(name))).toEqual(given);
        for (const [index, name] of wanted.entries()) {
          if (/^[a-zA-Z0-9_-]{1,4}$/.test(name)) expect(given[index]).toBe(name);
        }
      }),
    );
  });

  it("that another vendor runs become this one's where it has the like, else a loss", () => {
    const hosted = (type: string, raw: JsonObject): Tool => ({
      kind: "hosted",
      wire: "openai-responses",
      type,
      name: "",
      raw,
    });
    const { body, losses } = encode(
      request({
        tools: [
          hosted("web_search_preview", {
            type: "web_search_preview",
            search_context_size: "low",
            user_location: { type: "approximate", city: "Rome" },
            filters: { allowed_domains: ["a.b"] },
          }),
          hosted("file_search", { type: "file_search" }),
        ],
      }),
    );
    expect(body.tools).toEqual([
      {
        type: "web_search_20250305",
        name: "web_search",
        allowed_domains: ["a.b"],
        user_location: { type: "approximate", city: "Rome" },
      },
    ]);
    expect(losses).toEqual(["web_search_options", "tool_file_search"]);
  });
});
