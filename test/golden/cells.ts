/** The matrix of dialects as data: every client dialect × every target wire × every case, and where its files are. */
import { existsSync, readFileSync } from "node:fs";
import type { CodecContext, TargetTraits, WireEvent } from "../../src/dialects/codec.js";
import type { DialectId, WireId } from "../../src/dialects/dialect.js";
import { type Translation, translateRequest } from "../../src/dialects/hub.js";
import type { JsonObject } from "../../src/dialects/semantic.js";
import { parseSse } from "../../src/dialects/sse.js";
import { isFailure } from "../../src/errors.js";

export const CLIENTS = ["openai-chat", "anthropic-messages", "openai-responses", "openai-completions"] as const;
export type Client = (typeof CLIENTS)[number];

/** The wires, each with the model that the requests are for. */
export const WIRES = {
  "openai-chat": traits("openai", "gpt-5.1", "max_completion_tokens"),
  "openai-responses": traits("openai", "gpt-5.1", "max_completion_tokens"),
  "anthropic-messages": traits("anthropic", "claude-sonnet-4-5-20250929"),
  gemini: traits("gemini", "gemini-2.5-pro"),
  "bedrock-converse": traits("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
  "cohere-chat": traits("cohere", "command-a-03-2025"),
} as const satisfies Partial<Record<WireId, TargetTraits>>;
export type Wire = keyof typeof WIRES;
export const WIRE_NAMES = Object.keys(WIRES) as Wire[];

export const CASES = [
  "text",
  "multi-turn",
  "system",
  "image",
  "document",
  "tools",
  "parallel-tools",
  "tool-result-image",
  "reasoning-signature",
  "structured-output",
  "stop",
  "length",
  "refusal",
  "error",
] as const;
export type Case = (typeof CASES)[number];

function traits(
  provider: string,
  model: string,
  maxTokensField: TargetTraits["maxTokensField"] = "max_tokens",
): TargetTraits {
  return { provider, model, defaultMaxTokens: 4096, maxTokensField, structuredOutput: "native" };
}

const FIXTURES = new URL("../fixtures/", import.meta.url);

function text(path: string): string {
  return readFileSync(new URL(path, FIXTURES), "utf8");
}

export function json(path: string): JsonObject {
  return JSON.parse(text(path)) as JsonObject;
}

export interface UpstreamAnswer {
  readonly status: number;
  readonly body: JsonObject;
  readonly events: readonly WireEvent[];
}

/** What the upstream answers in a case; the whole answer of "error" says its status. */
export function upstreamAnswer(wire: Wire, name: Case): UpstreamAnswer {
  const whole = json(`answers/${wire}/${name}.whole.json`);
  const events = parseSse(Buffer.from(text(`answers/${wire}/${name}.stream.txt`)));
  if (name !== "error") return { status: 200, body: whole, events };
  return { status: whole.status as number, body: whole.body as JsonObject, events };
}

/** A client's request translated for a wire; throws when it is refused. */
export function translated(client: Client, wire: Wire, body: JsonObject, stream = false): Translation {
  const bytes = Buffer.from(JSON.stringify({ ...body, ...(stream ? { stream } : {}) }));
  const dialect: DialectId = client;
  const job = { client: dialect, wire, body: bytes, traits: WIRES[wire], stream };
  const translation = translateRequest(job);
  if (isFailure(translation)) throw new Error(`${translation.code}: ${translation.message} (${translation.param})`);
  return translation;
}

export function bodyOf(translation: Translation): JsonObject {
  return JSON.parse(Buffer.from(translation.body).toString("utf8")) as JsonObject;
}

export function contextOf({ request }: Translation): CodecContext {
  return { model: "asked-model", requestId: "req-1", created: 1_700_000_000, usageAsked: true, request };
}

// ---- the expected cells ------------------------------------------------------------------------------

/** One cell: what the upstream is sent, what the caller gets, whole and as a stream, and what either loses. */
export interface Cell {
  readonly request: JsonObject;
  readonly losses: readonly string[];
  /** Sorted; the same whole and streamed. */
  readonly answerLosses: readonly string[];
  readonly answer: JsonObject;
  /** The events of the stream by type, runs of one type counted. Folded they are the answer. */
  readonly stream: string;
  /** The last event of a stream that failed. */
  readonly failure?: JsonObject;
}

export function expectedPath(client: Client, wire: Wire): URL {
  return new URL(`expected/${client}/${wire}.json`, import.meta.url);
}

export function expectedCells(client: Client, wire: Wire): Partial<Record<Case, Cell>> {
  const path = expectedPath(client, wire);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Partial<Record<Case, Cell>>) : {};
}
