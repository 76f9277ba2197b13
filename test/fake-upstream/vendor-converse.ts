/** Converse and ConverseStream, with a Claude that thinks and signs its thoughts. */
import type { JsonObject } from "../../src/dialects/semantic.js";
import { sentBySdk } from "../unit/dialects/bedrock-converse/sdk.js";
import { eventFrame, exceptionFrame } from "../unit/providers/framing/frames.js";
import {
  type Cast,
  demandResults,
  type Heard,
  type HeardStep,
  objectOf,
  objectsOf,
  type Piece,
  Refused,
  type Said,
  text,
  textOf,
  wordsOf,
} from "./vendor-talk.js";
import type { VendorWire } from "./vendor-upstream.js";

/** Tokens beside a budget for thinking that an answer wants. */
const LEAST_ROOM = 500;

export const MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

const CAST: Cast = {
  loop: [
    [
      { kind: "thought", text: "First the time.", signature: "c2lnbmVkIG5vdw==", encrypted: "" },
      { kind: "call", id: "tooluse_a", name: "now", args: {}, signature: "" },
    ],
    [
      { kind: "thought", text: "", signature: "", encrypted: "aGlkZGVuIHRob3VnaHQ=" },
      text("Both cities, then."),
      { kind: "call", id: "tooluse_b", name: "weather", args: { city: "Vienna" }, signature: "" },
      { kind: "call", id: "tooluse_c", name: "weather", args: { city: "Rome" }, signature: "" },
    ],
    [
      { kind: "thought", text: "That is all.", signature: "c2lnbmVkIGVuZA==", encrypted: "" },
      text("It is noon; Vienna 21, Rome 21."),
    ],
  ],
  placeholder: "",
  countsReasoning: false,
  countsCacheWrites: true,
};

const STREAMED: ReadonlyMap<string, boolean> = new Map([
  [`/model/${encodeURIComponent(MODEL)}/converse`, false],
  [`/model/${encodeURIComponent(MODEL)}/converse-stream`, true],
]);

// ---- requests --------------------------------------------------------------------------------------

function hear(body: JsonObject): Heard {
  const steps: HeardStep[] = [];
  const images: string[] = [];
  let prompt = "";
  let before = "assistant";
  for (const { role, content } of objectsOf(body.messages)) {
    if (role === before || (role !== "user" && role !== "assistant")) throw new Refused(`${role} after ${before}`);
    before = role;
    if (role === "assistant") steps.push({ pieces: objectsOf(content).map(pieceOf), results: [] });
    for (const block of role === "user" ? objectsOf(content) : []) {
      prompt = textOf(block.text) || prompt;
      const image = objectOf(block.image);
      if (image.format !== undefined) images.push(`image/${image.format} ${objectOf(image.source).bytes}`);
      if (block.toolResult !== undefined) readResult(objectOf(block.toolResult), steps.at(-1));
    }
  }
  demandResults(steps);
  const config = objectOf(body.toolConfig);
  const declared = objectsOf(config.tools).map((tool) => objectOf(tool.toolSpec));
  const called = steps.some(({ pieces }) => pieces.some(({ kind }) => kind === "call"));
  if (called && declared.length === 0) throw new Refused("The toolConfig field must be defined when using toolUse.");
  const { type, budget_tokens: budget } = objectOf(objectOf(body.additionalModelRequestFields).thinking);
  const thinks = type === "enabled";
  if (thinks) demandThoughts(steps, before);
  // The vendor would take it, and then stop before it has answered.
  const room = Number(objectOf(body.inferenceConfig).maxTokens) - Number(budget);
  if (thinks && !(room >= LEAST_ROOM)) throw new Refused(`${room} tokens are left for the answer`);
  const choice = objectOf(config.toolChoice);
  const forced = choice.any !== undefined || choice.tool !== undefined;
  const [only] = declared;
  return {
    system: objectsOf(body.system)
      .map((block) => textOf(block.text))
      .join(""),
    prompt,
    images,
    tools: declared.map(({ name }) => textOf(name)),
    forced: forced ? { name: textOf(only?.name), schema: objectOf(only?.inputSchema).json } : null,
    schema: schemaOf(body),
    thinks,
    steps,
  };
}

function pieceOf(block: JsonObject): Piece {
  if (block.text !== undefined) return text(textOf(block.text));
  const { toolUseId, name, input } = objectOf(block.toolUse);
  if (toolUseId !== undefined) {
    return { kind: "call", id: textOf(toolUseId), name: textOf(name), args: objectOf(input), signature: "" };
  }
  const { reasoningText, redactedContent } = objectOf(block.reasoningContent);
  const { text: thought, signature } = objectOf(reasoningText);
  return { kind: "thought", text: textOf(thought), signature: textOf(signature), encrypted: textOf(redactedContent) };
}

function readResult({ toolUseId, content }: JsonObject, step: HeardStep | undefined): void {
  const id = textOf(toolUseId);
  const call = step?.pieces.find((piece) => piece.kind === "call" && piece.id === id);
  if (step === undefined || call?.kind !== "call") throw new Refused(`there was no call ${id}`);
  const said = objectsOf(content).map((part) => textOf(part.text));
  step.results.push({ id, name: call.name, text: said.join("") });
}

/** A thinking model goes on only from calls that it thought about. */
function demandThoughts(steps: readonly HeardStep[], lastRole: string): void {
  const last = lastRole === "user" ? steps.at(-1) : undefined;
  if (last === undefined || last.results.length === 0 || last.pieces[0]?.kind === "thought") return;
  throw new Refused("Expected `thinking` or `redacted_thinking`, but found `tool_use`.");
}

function schemaOf(body: JsonObject): unknown {
  const format = objectOf(objectOf(body.outputConfig).textFormat);
  const { schema } = objectOf(objectOf(format.structure).jsonSchema);
  return format.type === "json_schema" ? JSON.parse(textOf(schema)) : undefined;
}

// ---- answers ---------------------------------------------------------------------------------------

function blockOf(piece: Piece): JsonObject {
  if (piece.kind === "text" || piece.kind === "plan") return { text: piece.text };
  if (piece.kind === "call") return { toolUse: { toolUseId: piece.id, name: piece.name, input: piece.args } };
  const { text: thought, signature, encrypted } = piece;
  if (encrypted !== "") return { reasoningContent: { redactedContent: encrypted } };
  return { reasoningContent: { reasoningText: { text: thought, signature } } };
}

function stopOf({ pieces }: Said): string {
  return pieces.some(({ kind }) => kind === "call") ? "tool_use" : "end_turn";
}

function usageOf({ usage }: Said): JsonObject {
  const { input, output, cacheRead, cacheWrite } = usage;
  return {
    inputTokens: input - cacheRead - cacheWrite,
    outputTokens: output,
    totalTokens: input + output,
    cacheReadInputTokens: cacheRead,
    cacheWriteInputTokens: cacheWrite,
  };
}

function whole(said: Said): JsonObject {
  const message = { role: "assistant", content: said.pieces.map(blockOf) };
  return { output: { message }, stopReason: stopOf(said), usage: usageOf(said), metrics: { latencyMs: 7 } };
}

/** What the deltas of a block say; a call's arguments come in two pieces, or not at all. */
function deltasOf(piece: Piece): JsonObject[] {
  if (piece.kind === "text" || piece.kind === "plan") return wordsOf(piece.text).map((word) => ({ text: word }));
  if (piece.kind === "call") {
    const written = Object.keys(piece.args).length === 0 ? "" : JSON.stringify(piece.args);
    return [written.slice(0, 5), written.slice(5)].map((input) => ({ toolUse: { input } }));
  }
  const { text: thought, signature, encrypted } = piece;
  if (encrypted !== "") return [{ reasoningContent: { redactedContent: encrypted } }];
  const words = wordsOf(thought).map((word) => ({ reasoningContent: { text: word } }));
  return [...words, { reasoningContent: { signature } }];
}

function framesOf(piece: Piece, contentBlockIndex: number): Buffer[] {
  const deltas = deltasOf(piece).map((delta) => eventFrame("contentBlockDelta", { contentBlockIndex, delta }));
  const stop = eventFrame("contentBlockStop", { contentBlockIndex });
  if (piece.kind !== "call") return [...deltas, stop];
  const start = { toolUse: { toolUseId: piece.id, name: piece.name } };
  return [eventFrame("contentBlockStart", { contentBlockIndex, start }), ...deltas, stop];
}

function frames(said: Said): Buffer[] {
  return [
    eventFrame("messageStart", { role: "assistant" }),
    ...said.pieces.flatMap(framesOf),
    eventFrame("messageStop", { stopReason: stopOf(said) }),
    eventFrame("metadata", { usage: usageOf(said), metrics: { latencyMs: 7 } }),
  ];
}

const TYPES: Readonly<Record<number, string>> = { 400: "ValidationException", 429: "ThrottlingException" };

export const CONVERSE: VendorWire = {
  cast: CAST,
  route: ({ path, headers }) => {
    if (!headers.authorization?.startsWith("AWS4-HMAC-SHA256 ")) return "the request is not signed";
    return STREAMED.get(path) ?? `there is no ${path}`;
  },
  sentByVendor: sentBySdk,
  hear,
  whole,
  streamType: "application/vnd.amazon.eventstream",
  frames,
  failureFrame: (message) => exceptionFrame("modelStreamErrorException", { message, originalStatusCode: 500 }),
  error: (status, message) => ({
    headers: {
      "x-amzn-errortype": TYPES[status] ?? "InternalServerException",
      ...(status === 429 ? { "retry-after": "7" } : {}),
    },
    body: { message },
  }),
};
