/** The surfaces that guardrails are tried on: what is sent, what an upstream answers, and what a caller reads of it. */
import { expect } from "vitest";

export type Way = "chat" | "messages" | "responses" | "completions";

export interface Surface {
  readonly path: string;
  readonly family: "gpt" | "claude";
  body(text: string): Record<string, unknown>;
  /** The upstream's answer that says this, whole and streamed. */
  whole(text: string): unknown;
  stream(pieces: readonly string[]): string;
  /** What the caller reads of a stream. */
  said(bytes: string): string;
}

const event = (data: unknown, name = ""): string =>
  `${name === "" ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
const dataOf = (bytes: string): Record<string, never>[] =>
  [...bytes.matchAll(/^data: (\{.*)$/gm)].map((match) => JSON.parse(match[1]!));
const usage = { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 };
const place = { item_id: "i1", output_index: 0, content_index: 0 };
const response = (text: string) => ({
  id: "r1",
  object: "response",
  model: "m",
  status: "completed",
  output: [{ type: "message", id: "i1", role: "assistant", content: [{ type: "output_text", text, annotations: [] }] }],
  usage: { input_tokens: 7, output_tokens: 9, total_tokens: 16 },
});

export const SURFACES: Record<Way, Surface> = {
  chat: {
    path: "/v1/chat/completions",
    family: "gpt",
    body: (content) => ({ messages: [{ role: "user", content }] }),
    whole: (content) => ({
      id: "c",
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content } }],
      usage,
    }),
    stream: (pieces) =>
      pieces.map((content) => event({ id: "c", choices: [{ index: 0, delta: { content } }] })).join("") +
      event({ id: "c", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }) +
      "data: [DONE]\n\n",
    said: (bytes) =>
      dataOf(bytes)
        .map((data) => data.choices?.[0]?.["delta"]?.["content"] ?? "")
        .join(""),
  },
  completions: {
    path: "/v1/completions",
    family: "gpt",
    body: (prompt) => ({ prompt }),
    whole: (text) => ({ id: "c", model: "m", choices: [{ index: 0, text, finish_reason: "stop" }], usage }),
    stream: (pieces) =>
      pieces.map((text) => event({ id: "c", choices: [{ index: 0, text, finish_reason: null }] })).join("") +
      "data: [DONE]\n\n",
    said: (bytes) =>
      dataOf(bytes)
        .map((data) => data.choices?.[0]?.["text"] ?? "")
        .join(""),
  },
  messages: {
    path: "/v1/messages",
    family: "claude",
    body: (content) => ({ max_tokens: 64, messages: [{ role: "user", content }] }),
    whole: (text) => ({
      id: "m1",
      type: "message",
      role: "assistant",
      model: "m",
      content: [{ type: "text", text }],
      stop_reason: "end_turn",
      usage: { input_tokens: 7, output_tokens: 9 },
    }),
    stream: (pieces) =>
      event(
        { type: "message_start", message: { id: "m1", content: [], usage: { input_tokens: 7 } } },
        "message_start",
      ) +
      event(
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
        "content_block_start",
      ) +
      pieces
        .map((text) =>
          event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }, "content_block_delta"),
        )
        .join("") +
      event({ type: "content_block_stop", index: 0 }, "content_block_stop") +
      event(
        { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } },
        "message_delta",
      ) +
      event({ type: "message_stop" }, "message_stop"),
    said: (bytes) =>
      dataOf(bytes)
        .map((data) => data.delta?.["text"] ?? "")
        .join(""),
  },
  responses: {
    path: "/v1/responses",
    family: "gpt",
    body: (input) => ({ input }),
    whole: response,
    stream: (pieces) => {
      const whole = response(pieces.join(""));
      const named = (data: { type: string }) => event(data, data.type);
      return (
        named({ type: "response.created", response: { ...whole, output: [] } } as never) +
        pieces.map((delta) => named({ type: "response.output_text.delta", ...place, delta } as never)).join("") +
        named({ type: "response.output_text.done", ...place, text: pieces.join("") } as never) +
        named({ type: "response.output_item.done", output_index: 0, item: whole.output[0] } as never) +
        named({ type: "response.completed", response: whole } as never)
      );
    },
    said: (bytes) => {
      const events = dataOf(bytes);
      const done = events.find((data) => data.type === ("response.output_text.done" as never));
      const said = events
        .map((data) => (data.type === ("response.output_text.delta" as never) ? data.delta : ""))
        .join("");
      expect(done?.text ?? said).toBe(said);
      return said;
    },
  },
};
export const WAYS = Object.keys(SURFACES) as Way[];
