/**
 * What an upstream with a wire of its own hears and says, in no vendor's words, and the scenes it plays: the first
 * words of the last prompt choose one, and what is heard must be what that scene needs, to the letter.
 */
import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "../../src/dialects/semantic.js";

/** A piece of a model's turn, in the order in which it stands there. */
export type Piece =
  | { readonly kind: "thought"; readonly text: string; readonly signature: string; readonly encrypted: string }
  | { readonly kind: "plan"; readonly text: string }
  | { readonly kind: "text"; readonly text: string; readonly signature: string }
  | {
      readonly kind: "call";
      readonly id: string;
      readonly name: string;
      readonly args: JsonObject;
      readonly signature: string;
    };
export type CallPiece = Extract<Piece, { readonly kind: "call" }>;

export interface HeardResult {
  readonly id: string;
  readonly name: string;
  readonly text: string;
}

/** A turn of the model's that came back as history, and the results of its calls. */
export interface HeardStep {
  readonly pieces: Piece[];
  readonly results: HeardResult[];
}

/** A request as its vendor would understand it. */
export interface Heard {
  readonly system: string;
  /** Text of the last turn of the user's that has any. */
  readonly prompt: string;
  /** "image/png iVBOR…" for every image, in order. */
  readonly images: readonly string[];
  readonly tools: readonly string[];
  /** The only tool there is, where one must be called. */
  readonly forced: { readonly name: string; readonly schema: unknown } | null;
  /** The form of the answer, where the wire has a place for it. */
  readonly schema: unknown;
  /** Was thinking asked for? */
  readonly thinks: boolean;
  readonly steps: readonly HeardStep[];
}

/** Tokens in words that all wires share: cached ones are part of the input, reasoning is part of the output. */
export interface Dealt {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly reasoning: number;
}

export interface Said {
  readonly pieces: readonly Piece[];
  readonly usage: Dealt;
}

/** How a vendor's models play the scenes. */
export interface Cast {
  /** The turns of the loop of tools: a call without arguments, two calls at once, the answer. */
  readonly loop: readonly (readonly Piece[])[];
  /** Stands on a turn's first call where its signature is not to be had; "" = nothing does. */
  readonly placeholder: string;
  readonly countsReasoning: boolean;
  readonly countsCacheWrites: boolean;
}

/** What the upstream does with a request. */
export type Played =
  | { readonly kind: "answer"; readonly said: Said }
  /** It is not what the scene needs. */
  | { readonly kind: "refusal"; readonly reason: string }
  | { readonly kind: "failure"; readonly status: number }
  /** Says something, then tells of a failure, or is cut off. */
  | { readonly kind: "broken"; readonly said: Said; readonly cut: boolean };

export const TOOL_NAMES = ["now", "weather"];
export const IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const CITY = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
} as const;
export const FAILURE = "The fake vendor fails as told.";

/** What the caller's tools answer. */
export function resultOf(name: string, args: JsonObject): string {
  return name === "now" ? "noon" : `${String(args.city)}: 21 degrees`;
}

export function text(said: string, signature = ""): Piece {
  return { kind: "text", text: said, signature };
}

function said(pieces: readonly Piece[], heard: Heard, cast: Cast): Said {
  const usage = {
    input: 60 + heard.steps.length * 10,
    output: 12,
    cacheRead: 16,
    cacheWrite: cast.countsCacheWrites ? 3 : 0,
    reasoning: cast.countsReasoning ? 5 : 0,
  };
  return { pieces, usage };
}

/** Plays the scene that the prompt names. */
export function playScene(heard: Heard, cast: Cast): Played {
  const { prompt } = heard;
  const answer = (...pieces: Piece[]): Played => ({ kind: "answer", said: said(pieces, heard, cast) });
  const refusal = (reason: string): Played => ({ kind: "refusal", reason });
  const failing = /^Fail (\d{3})\.$/.exec(prompt);
  if (failing !== null) return { kind: "failure", status: Number(failing[1]) };
  switch (prompt) {
    case "Say hello.":
      if (heard.system !== "Be brief.") return refusal(`the system is "${heard.system}"`);
      return answer(text("Grüß Gott, hello there, 世界."));
    case "Look.":
      if (!isDeepStrictEqual(heard.images, [`image/png ${IMAGE}`])) return refusal("the image is not the image");
      return answer(text("A small square."));
    case "Where?":
      return placeOf(heard, answer, refusal);
    case "Break.":
    case "Cut.":
      return { kind: "broken", said: said([text("This much came.")], heard, cast), cut: prompt === "Cut." };
    default:
      return loopOf(heard, cast, { answer, refusal });
  }
}

type Answer = (...pieces: Piece[]) => Played;
type Refusal = (reason: string) => Played;

function placeOf(heard: Heard, answer: Answer, refusal: Refusal): Played {
  const place = { city: "Vienna" };
  if (isDeepStrictEqual(heard.schema, CITY)) return answer(text(JSON.stringify(place)));
  const { forced } = heard;
  if (!isDeepStrictEqual(forced?.schema, CITY)) return refusal(`the form is ${JSON.stringify(heard.schema ?? forced)}`);
  return answer({ kind: "call", id: "form_1", name: forced?.name ?? "", args: place, signature: "" });
}

/** What the caller's client keeps of an answer's thoughts and signatures. */
export type Kept = "everything" | "nothing";

const LOOP = /^(Loop|Thanks)(?: \(keeping (nothing)\))?\.$/;

/** The prompt of the loop of tools, or of the turn behind it. */
export function loopPrompt(word: "Loop" | "Thanks", kept: Kept): string {
  return kept === "everything" ? `${word}.` : `${word} (keeping ${kept}).`;
}

function loopOf(heard: Heard, cast: Cast, say: { answer: Answer; refusal: Refusal }): Played {
  const { prompt, steps } = heard;
  const [, word, kept = "everything"] = LOOP.exec(prompt) ?? [];
  if (word === undefined) return say.refusal(`nobody knows the scene "${prompt}"`);
  if (!isDeepStrictEqual([...heard.tools].sort(), TOOL_NAMES)) return say.refusal(`the tools are ${heard.tools}`);
  // Where thoughts do not come back, a thinking model may refuse to think on.
  if (kept !== "nothing" && !heard.thinks) return say.refusal("thinking was not asked for");
  for (const [index, step] of steps.entries()) {
    const turn = keptOf(cast.loop[index] ?? [], kept as Kept, cast);
    const calls = turn.filter((piece) => piece.kind === "call");
    const results = calls.map(({ id, name, args }) => ({ id, name, text: resultOf(name, args) }));
    if (isDeepStrictEqual(step, { pieces: turn, results })) continue;
    const words = (value: unknown) => JSON.stringify(value);
    return say.refusal(`turn ${index} came back as ${words(step)}, and was ${words({ pieces: turn, results })}`);
  }
  const whole = steps.length === cast.loop.length;
  if (word === "Thanks") return whole ? say.answer(text("You are welcome.")) : say.refusal("turns are missing");
  const next = cast.loop[steps.length];
  return next === undefined ? say.refusal("the loop is over") : say.answer(...next);
}

function keptOf(turn: readonly Piece[], kept: Kept, { placeholder }: Cast): readonly Piece[] {
  if (kept === "everything") return turn;
  let signature = placeholder;
  const pieces: Piece[] = [];
  for (const piece of turn) {
    if (piece.kind === "text") pieces.push({ ...piece, signature: "" });
    if (piece.kind !== "call") continue;
    pieces.push({ ...piece, signature });
    signature = "";
  }
  return pieces;
}

// ---- what the wires' readers share -----------------------------------------------------------------

/** Thrown for what the vendor would refuse; the message says why. */
export class Refused extends Error {}

export function objectOf(value: unknown): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

export function objectsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.map(objectOf) : [];
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Words with the space behind them: a text as streams bring it. */
export function wordsOf(said: string): string[] {
  return said.match(/\S+\s*/g) ?? [];
}

/** Every call of a turn has its result in the next one, in any order where calls have ids; refuses anything else. */
export function demandResults(steps: readonly HeardStep[]): void {
  for (const { pieces, results } of steps) {
    const calls = pieces.filter((piece) => piece.kind === "call");
    const place = (id: string) => calls.findIndex((call) => call.id === id);
    results.sort((left, right) => place(left.id) - place(right.id));
    const names = (list: readonly { id: string; name: string }[]) => list.map(({ id, name }) => `${id} ${name}`);
    if (isDeepStrictEqual(names(calls), names(results))) continue;
    throw new Refused(`calls [${names(calls)}] have results [${names(results)}]`);
  }
}
