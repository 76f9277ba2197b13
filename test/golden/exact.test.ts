/** A request without losses means the same on the other side, wherever the other side's requests can be read. */
import { describe, expect, it } from "vitest";
import { clientCodecOf } from "../../src/dialects/codecs.js";
import { type Block, type JsonObject, LossList, type Tool, type Turn } from "../../src/dialects/semantic.js";
import { isFailure } from "../../src/errors.js";
import { type Case, CASES, CLIENTS, type Client, expectedCells, json } from "./cells.js";

const READABLE = ["openai-chat", "anthropic-messages", "openai-responses"] as const;

/** Cells that say the same in other words, though nothing is lost. */
const OTHER_WORDS: Readonly<Record<(typeof READABLE)[number], Readonly<Partial<Record<Case, string>>>>> = {
  "openai-chat": {
    "parallel-tools": "an error of a tool is said in its text",
    "tool-result-image": "images of a result stand in a message behind it",
  },
  "anthropic-messages": {
    "reasoning-signature": "an effort is a budget for this model",
    "structured-output": "the format's description is its schema's, and it has no name",
    refusal: "a refusal is text",
    error: "the search for the web has another type",
  },
  "openai-responses": {},
};

function blockMeaning(block: Block): Block {
  if (block.kind === "image") return { ...block, detail: block.detail === "auto" ? null : block.detail };
  if (block.kind !== "tool_result") return block;
  return { ...block, content: block.content.map(blockMeaning) as typeof block.content };
}

/** Whether a tool that does not say so is strict is not left open on every wire. */
function toolMeaning(tool: Tool): Tool {
  return tool.kind === "function" ? { ...tool, strict: tool.strict === true } : tool;
}

/** Turns of one role side by side are one. */
function turnsMeaning(turns: readonly Turn[]): Turn[] {
  const merged: Turn[] = [];
  for (const { role, blocks, name } of turns) {
    const last = merged.at(-1);
    if (last?.role !== role) merged.push({ role, blocks: blocks.map(blockMeaning), name });
    else merged[merged.length - 1] = { ...last, blocks: [...last.blocks, ...blocks.map(blockMeaning)] };
  }
  return merged;
}

function meaningOf(dialect: Client, body: JsonObject) {
  const request = clientCodecOf(dialect).decodeRequest(body, new LossList());
  if (isFailure(request)) throw new Error(request.message);
  const { origin: _o, model: _m, extras: _e, answerHints: _a, system, turns, tools, ...rest } = request;
  const instructions = system.map(({ text }) => text).join("\n\n");
  return { ...rest, instructions, turns: turnsMeaning(turns), tools: tools.map(toolMeaning) };
}

describe.each(CLIENTS)("requests of %s callers", (client) => {
  describe.each(READABLE)("to %s", (wire) => {
    const cells = expectedCells(client, wire);
    const lossless = CASES.filter((name) => cells[name]?.losses.length === 0 && OTHER_WORDS[wire][name] === undefined);

    it.each(lossless)("%s", (name) => {
      expect(meaningOf(wire, cells[name]!.request)).toEqual(meaningOf(client, json(`${client}/${name}.json`)));
    });
  });
});
