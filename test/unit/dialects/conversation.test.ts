import { describe, expect, it } from "vitest";
import { conversationOf } from "../../../src/dialects/conversation.js";
import type { DialectId } from "../../../src/dialects/dialect.js";
import type { JsonObject } from "../../../src/dialects/semantic.js";

function form(dialect: DialectId) {
  const found = conversationOf(dialect);
  if (found === null) throw new Error(`${dialect} holds no conversation`);
  return found;
}

const TURNS = ["openai-chat", "anthropic-messages"] as const;

describe("what the user said last", () => {
  it.each(TURNS)("%s", (dialect) => {
    const last = (...messages: JsonObject[]) => form(dialect).lastUserText({ messages });
    expect(last({ role: "user", content: "one" }, { role: "assistant", content: "two" })).toBe("one");
    const parts = [{ type: "text", text: "one" }, { type: "image" }, { type: "text", text: "two" }];
    expect(last({ role: "user", content: parts })).toBe("one\ntwo");
    const result = { role: "user", content: [{ type: "tool_result", content: "a tool's words" }] };
    expect(last({ role: "user", content: "asked" }, { role: "assistant", content: "" }, result)).toBe("asked");
    expect(last({ role: "system", content: "rules" })).toBe("");
    expect(form(dialect).lastUserText({ messages: "nonsense" })).toBe("");
  });

  it("openai-responses", () => {
    const { lastUserText } = form("openai-responses");
    expect(lastUserText({ input: "one" })).toBe("one");
    const input = [
      { role: "user", content: [{ type: "input_text", text: "two" }] },
      { type: "function_call_output", call_id: "c", output: "three" },
    ];
    expect(lastUserText({ input })).toBe("two");
  });

  it("openai-completions", () => {
    const { lastUserText } = form("openai-completions");
    expect([lastUserText({ prompt: "one" }), lastUserText({ prompt: ["one", "two"] })]).toEqual(["one", ""]);
  });
});

describe("an answer's text", () => {
  it.each<[DialectId, JsonObject, string]>([
    ["openai-chat", { choices: [{ message: { content: "one" } }, { message: { content: "two" } }] }, "one"],
    ["openai-chat", { choices: [{ message: { content: null, tool_calls: [{}] } }] }, ""],
    ["openai-chat", {}, ""],
    [
      "anthropic-messages",
      {
        content: [
          { type: "thinking", thinking: "hm" },
          { type: "text", text: "one" },
        ],
      },
      "one",
    ],
    ["openai-completions", { choices: [{ text: "one" }] }, "one"],
    [
      "openai-responses",
      {
        output: [
          { type: "reasoning", content: [{ type: "reasoning_text", text: "hm" }] },
          { type: "message", content: [{ type: "output_text", text: "one" }] },
        ],
      },
      "one",
    ],
  ])("%s", (dialect, answer, text) => expect(form(dialect).answerText(answer)).toBe(text));
});

describe("tools", () => {
  it.each<[DialectId, JsonObject, string | null]>([
    ["openai-chat", {}, null],
    ["openai-chat", { tools: [], tool_choice: null }, null],
    ["openai-chat", { tool_choice: "none" }, null],
    ["openai-chat", { tools: [{}], tool_choice: "none" }, "tools"],
    ["openai-chat", { functions: [{}] }, "functions"],
    ["openai-chat", { function_call: { name: "look" } }, "function_call"],
    ["openai-chat", { tool_choice: "required" }, "tool_choice"],
    ["anthropic-messages", { tool_choice: { type: "auto" } }, null],
    ["anthropic-messages", { tool_choice: { type: "none" } }, null],
    ["anthropic-messages", { tool_choice: { type: "any" } }, "tool_choice"],
    ["openai-responses", { tool_choice: { type: "web_search" } }, "tool_choice"],
    ["openai-responses", { tools: [{ type: "web_search" }] }, "tools"],
    ["openai-completions", { tools: [{}] }, null],
  ])("%s %j: %s", (dialect, body, field) => expect(form(dialect).toolField(body)).toBe(field));
});

describe("another turn", () => {
  const body = { model: "m", messages: [{ role: "user", content: "one" }], input: "one", prompt: "one" };

  it("stands last; what was there stays as it was", () => {
    for (const dialect of TURNS) {
      const turned = form(dialect).withUserTurn(body, "two");
      expect(turned).toMatchObject({ model: "m", messages: [body.messages[0], { role: "user" }] });
      expect(JSON.stringify(turned)).toContain("two");
    }
    expect(form("openai-responses").withUserTurn(body, "two")?.input).toEqual([
      { role: "user", content: "one" },
      { role: "user", content: "two" },
    ]);
    expect(form("openai-completions").withUserTurn(body, "two")?.prompt).toBe("one\n\ntwo\n\n");
    expect(form("openai-completions").withUserTurn({ prompt: ["one"] }, "two")).toBeNull();
    expect(form("openai-chat").withUserTurn({ messages: "one" }, "two")).toBeNull();
    expect(body.messages).toHaveLength(1);
  });

  it("may be the beginning of the answer, with the wish for its rest", () => {
    for (const dialect of TURNS) {
      const turns = form(dialect).continued(body, "the answer beg")?.messages;
      expect(turns).toMatchObject([
        { role: "user" },
        { role: "assistant", content: "the answer beg" },
        { role: "user" },
      ]);
    }
    expect(form("openai-responses").continued(body, "beg")?.input).toHaveLength(3);
    expect(form("openai-completions").continued(body, " beg")?.prompt).toBe("one beg");
  });
});

it("there is none in what is only counted or embedded", () => {
  expect(conversationOf("openai-embeddings")).toBeNull();
});
