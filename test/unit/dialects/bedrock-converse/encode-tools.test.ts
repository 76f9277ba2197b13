import { describe, expect, it } from "vitest";
import { call, encode, result, text, tool, turn } from "./requests.js";

describe("tools", () => {
  const tools = [tool("weather"), tool("clock", { description: "", parameters: null })];

  it("keep every key of their schema", () => {
    expect(encode({ tools }).body.toolConfig).toEqual({
      tools: [
        {
          toolSpec: {
            name: "weather",
            description: "Does weather.",
            inputSchema: {
              json: { type: "object", properties: { city: { type: "string" } }, additionalProperties: false },
            },
          },
        },
        { toolSpec: { name: "clock", inputSchema: { json: { type: "object", properties: {} } } } },
      ],
    });
  });

  it("are chosen by auto, any and name", () => {
    const choice = (toolChoice: never): unknown =>
      (encode({ tools, toolChoice }).body.toolConfig as { toolChoice?: unknown }).toolChoice;
    expect(choice({ kind: "auto" } as never)).toEqual({ auto: {} });
    expect(choice({ kind: "any" } as never)).toEqual({ any: {} });
    expect(choice({ kind: "tool", name: "clock" } as never)).toEqual({ tool: { name: "clock" } });
    expect(choice({ kind: "allowed", names: ["clock"], required: true } as never)).toEqual({ any: {} });
  });

  it("that are allowed are the only ones sent", () => {
    const toolChoice = { kind: "allowed", names: ["clock"], required: false } as const;
    expect(encode({ tools, toolChoice }).body.toolConfig).toMatchObject({
      tools: [{ toolSpec: { name: "clock" } }],
      toolChoice: { auto: {} },
    });
  });

  it("go away with the choice none, unless the history holds tool blocks", () => {
    const toolChoice = { kind: "none" } as const;
    const without = encode({ tools, toolChoice });
    expect(without.body.toolConfig).toBeUndefined();
    expect(without.losses).toEqual([]);
    const turns = [
      turn("user", text("a")),
      turn("assistant", call("a", "clock", "{}")),
      turn("user", result("a", "12")),
    ];
    const withHistory = encode({ tools, toolChoice, turns });
    expect(withHistory.body.toolConfig).not.toHaveProperty("toolChoice");
    expect(withHistory.body.toolConfig).toMatchObject({ tools: [{}, {}] });
    expect(withHistory.losses).toEqual(["tool_choice"]);
  });

  it("are made up when only the history knows them", () => {
    const turns = [
      turn("user", text("a")),
      turn("assistant", call("a", "clock", "{}")),
      turn("user", result("a", "12")),
    ];
    const { body, losses } = encode({ turns });
    expect(body.toolConfig).toEqual({
      tools: [{ toolSpec: { name: "clock", inputSchema: { json: { type: "object" } } } }],
    });
    expect(losses).toEqual(["tool_choice"]);
  });

  it("have names and ids that the wire takes, and one name stays one name", () => {
    const turns = [
      turn("assistant", call("id|1", "get.weather", "{}"), call("id_1", "get_weather", "{}")),
      turn("user", result("id|1", "a"), result("id_1", "b")),
    ];
    const long = "n".repeat(70);
    const { body, encoded } = encode({ turns, tools: [tool("get.weather"), tool("get_weather"), tool(long)] });
    expect([...encoded.renamed]).toEqual([
      ["get_weather_2", "get.weather"],
      ["n".repeat(64), long],
    ]);
    expect(body.messages).toMatchObject([
      {
        content: [
          { toolUse: { toolUseId: "id_1_2", name: "get_weather_2" } },
          { toolUse: { toolUseId: "id_1", name: "get_weather" } },
        ],
      },
      { content: [{ toolResult: { toolUseId: "id_1_2" } }, { toolResult: { toolUseId: "id_1" } }] },
    ]);
  });

  it("that vendors run, and the ban on parallel calls, are losses", () => {
    const hosted = {
      kind: "hosted",
      wire: "openai-responses",
      type: "web_search",
      name: "web_search",
      raw: {},
    } as const;
    expect(encode({ tools: [hosted] }).losses).toEqual(["web_search"]);
    expect(encode({ tools, parallelToolCalls: false }).losses).toEqual(["parallel_tool_calls"]);
    expect(encode({ tools, parallelToolCalls: true }).losses).toEqual([]);
  });
});

describe("structured output", () => {
  const schema = { type: "object", properties: { a: { type: "number" } } };
  const format = { kind: "schema", name: "out", description: null, schema, strict: true } as const;

  it("is the wire's own where the model has it", () => {
    expect(encode({ format }).body.outputConfig).toEqual({
      textFormat: { type: "json_schema", structure: { jsonSchema: { schema: JSON.stringify(schema), name: "out" } } },
    });
  });

  it("is a forced tool elsewhere", () => {
    const { body, encoded } = encode({ format }, { structuredOutput: "tool" });
    expect(encoded.formatTool).toBe("out");
    expect(body.toolConfig).toMatchObject({
      tools: [{ toolSpec: { name: "out", strict: true, inputSchema: { json: schema } } }],
      toolChoice: { tool: { name: "out" } },
    });
    const beside = encode({ format, tools: [tool("out")] }, { structuredOutput: "tool" });
    expect(beside.encoded.formatTool).toBe("out_2");
    expect(beside.body.toolConfig).toMatchObject({ toolChoice: { any: {} } });
    const insisting = encode({ format, tools: [tool("x")], toolChoice: { kind: "any" } }, { structuredOutput: "tool" });
    expect(insisting.encoded.formatTool).toBe("");
    expect(insisting.losses).toEqual(["response_format"]);
  });

  it("without a schema is asked for in words", () => {
    const { body, losses } = encode({ format: { kind: "json" } });
    expect(body.system).toEqual([{ text: expect.stringContaining("JSON") }]);
    expect(losses).toEqual(["response_format"]);
  });
});
