/**
 * The golden matrix: no cell is empty, and each is exact or lists its losses. The expected cells are read by
 * people; GOLDEN_UPDATE=1 writes them anew, for the next reading.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { bridgeFor } from "../../src/dialects/bridge.js";
import { decodeStream, decodeWhole, encodeAsStream, encodeWhole, translateError } from "../../src/dialects/hub.js";
import { type JsonObject, LossList } from "../../src/dialects/semantic.js";
import {
  bodyOf,
  CASES,
  type Case,
  type Cell,
  CLIENTS,
  type Client,
  contextOf,
  expectedCells,
  expectedPath,
  json,
  translated,
  upstreamAnswer,
  type Wire,
  WIRE_NAMES,
} from "./cells.js";
import { dataOf, folded, sequenceOf } from "./folding.js";

const OPERATIONS = {
  "openai-chat": "chat",
  "anthropic-messages": "messages",
  "openai-responses": "responses",
  "openai-completions": "completions",
} as const;

/** What may differ between a request that is streamed and one that is not. */
const STREAM_FIELDS = ["stream", "stream_options"];

function withoutStreamFields(body: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !STREAM_FIELDS.includes(name)));
}

interface Made {
  readonly cell: Cell;
  readonly sse: string;
}

function make(client: Client, wire: Wire, name: Case): Made {
  const body = json(`${client}/${name}.json`);
  const whole = translated(client, wire, body);
  const streamed = translated(client, wire, body, true);
  expect(withoutStreamFields(bodyOf(streamed))).toEqual(withoutStreamFields(bodyOf(whole)));
  expect(streamed.losses).toEqual(whole.losses);
  const upstream = upstreamAnswer(wire, name);
  const streamLosses = new LossList();
  const sse = encodeAsStream(streamed, decodeStream(streamed, upstream.events), contextOf(streamed), streamLosses);
  const wholeLosses = new LossList();
  const bytes = Buffer.from(JSON.stringify(upstream.body));
  const answer =
    name === "error"
      ? translateError(whole, { status: upstream.status, body: bytes, headers: [] }, "req-1").body
      : encodeWhole(whole, decodeWhole(whole, upstream.body), contextOf(whole), wholeLosses);
  // An error answer has nothing to lose.
  if (name === "error") expect(streamLosses.names).toEqual([]);
  else expect(streamLosses.names.toSorted()).toEqual(wholeLosses.names.toSorted());
  const cell = {
    request: bodyOf(whole),
    losses: whole.losses,
    answerLosses: wholeLosses.names.toSorted(),
    answer: JSON.parse(answer) as JsonObject,
    stream: sequenceOf(sse),
  };
  return { sse, cell: name === "error" ? { ...cell, failure: dataOf(sse).at(-1) as JsonObject } : cell };
}

const update = process.env.GOLDEN_UPDATE === "1";

describe.each(CLIENTS)("%s callers", (client) => {
  describe.each(WIRE_NAMES)("on %s", (wire) => {
    const expected = expectedCells(client, wire);
    const made: Partial<Record<Case, Cell>> = {};

    it("are served", () => {
      expect(bridgeFor(OPERATIONS[client], client, wire)?.kind).toBe(client === wire ? "passthrough" : "hub");
    });

    it.each(CASES)("%s", async (name) => {
      const { cell, sse } = make(client, wire, name);
      made[name] = cell;
      if (!update) expect(cell).toEqual(expected[name]);
      if (name === "error") await expect(folded(client, sse)).rejects.toThrow();
      else expect(comparable(client, await folded(client, sse))).toEqual(comparable(client, cell.answer));
    });

    afterAll(() => {
      if (!update) return;
      const path = expectedPath(client, wire);
      mkdirSync(new URL(".", path), { recursive: true });
      writeFileSync(path, `${JSON.stringify(made, null, 2)}\n`);
    });
  });
});

const FOLDED_BY_VENDOR = new Set(["role", "content", "refusal", "tool_calls"]);

/** An answer as far as the vendor's client folds streams: it keeps the last piece only of fields it does not know. */
function comparable(client: Client, answer: JsonObject): JsonObject {
  if (client === "anthropic-messages") {
    const { parsed_output: _, ...rest } = answer;
    return rest;
  }
  if (client !== "openai-chat") return answer;
  const choices = answer.choices as { message: JsonObject }[];
  return {
    ...answer,
    choices: choices.map((choice) => {
      const message = Object.entries(choice.message).filter(([name]) => FOLDED_BY_VENDOR.has(name));
      // The vendor's client makes no difference between empty content and none.
      return { ...choice, message: { ...Object.fromEntries(message), content: choice.message.content || null } };
    }),
  };
}

afterAll(() => {
  if (!update) return;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  execFileSync("npx", ["biome", "format", "--write", "test/golden/expected"], { cwd: root, stdio: "ignore" });
});
