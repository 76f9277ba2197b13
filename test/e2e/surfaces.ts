/** The dialects that stream, as their callers see them: paths, bodies, terminators and errors. */
import { expect } from "vitest";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { chat } from "./wire.js";

export interface Surface {
  readonly name: string;
  readonly path: string;
  readonly terminator: string;
  body(stream: boolean, fake: Behaviour): object;
  /** What the envelope of a whole error says. */
  code(json: { error: { type: string; code?: string } }): string;
}

const PROMPT = [{ role: "user", content: "Tell me something." }];
export const SURFACES: readonly Surface[] = [
  {
    name: "chat",
    path: "/v1/chat/completions",
    terminator: "[DONE]",
    body: (stream, script) => chat(script, { stream }),
    code: (json) => json.error.code ?? "",
  },
  {
    name: "messages",
    path: "/v1/messages",
    terminator: "message_stop",
    body: (stream, script) => ({ model: "claude-test", max_tokens: 500, messages: PROMPT, stream, fake: script }),
    code: (json) => json.error.type,
  },
  {
    name: "responses",
    path: "/v1/responses",
    terminator: "response.completed",
    body: (stream, script) => ({ model: "gpt-test", input: "Tell me something.", stream, fake: script }),
    code: (json) => json.error.code ?? "",
  },
];

/** The gateway's code as this surface spells it in a whole answer. */
export function spelled(surface: Surface, code: string, status: number): string {
  return surface.name !== "messages" ? code : status === 504 ? "timeout_error" : "api_error";
}

/** The JSON of the stream's last event, when that is an error event of the surface's dialect. */
// biome-ignore lint/suspicious/noExplicitAny: an event is looked into field by field.
export function lastError(surface: Surface, text: string): any {
  const last =
    text
      .trimEnd()
      .split(/\r?\n\r?\n/)
      .at(-1) ?? "";
  if (surface.name !== "chat") expect(last.startsWith("event: error\n")).toBe(true);
  const data = JSON.parse(/^data: (.*)$/m.exec(last)?.[1] ?? "null");
  if (surface.name !== "chat") expect(data.type).toBe("error");
  return data;
}

/** Every event of the stream is a whole one. */
export function wholeEvents(text: string): number {
  const lines = text.split(/\r?\n/).filter((line) => line.startsWith("data: ") && line !== "data: [DONE]");
  for (const line of lines) JSON.parse(line.slice(6));
  return lines.length;
}
