/** What the simulator's images, sound and moderation have in common. */
import type { Operation } from "../../dialects/dialect.js";
import type { FrameList } from "./frames.js";
import { countOf, type JsonObject } from "./json.js";
import { countTokens, HIGHEST, type SimulatorKnobs } from "./prompt.js";
import type { SimulatedUnits } from "./turn.js";

/** What is made of a request. */
export interface MediaAnswer {
  readonly list: FrameList;
  readonly contentType: string;
  readonly streamed: boolean;
  /** The frames are bytes, one a character. */
  readonly binary: boolean;
  readonly inputTokens: number;
  readonly units: SimulatedUnits;
}

export interface MediaRequest {
  readonly operation: Operation;
  readonly fields: JsonObject;
  readonly model: string;
  readonly knobs: SimulatorKnobs;
  /** Bytes of each file of a form, by the names of their fields. */
  readonly files: ReadonlyMap<string, Buffer>;
}

export const EVENT_STREAM = "text/event-stream; charset=utf-8";
export const JSON_TYPE = "application/json";

/** How many of something were asked for: a number, or its text in a form. */
export function numberField(value: unknown, otherwise: number): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return Math.max(1, countOf(number, otherwise, HIGHEST.choices));
}

export function isYes(value: unknown): boolean {
  return value === true || value === "true";
}

/** The usage object of the operations that count tokens. */
export function tokenUsage(prompt: string, outputTokens: number): JsonObject {
  const input = countTokens(prompt);
  return { input_tokens: input, output_tokens: outputTokens, total_tokens: input + outputTokens };
}
