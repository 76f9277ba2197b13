/** What a translated answer must say, whatever bytes it is spelled in. Pure. */
import type { ExpectedMessage } from "./plan.js";

interface Content {
  readonly type?: unknown;
  readonly text?: unknown;
}

interface Usage {
  readonly input_tokens?: unknown;
  readonly output_tokens?: unknown;
}

interface Message {
  readonly type?: unknown;
  readonly role?: unknown;
  readonly model?: unknown;
  readonly content?: readonly Content[];
  readonly stop_reason?: unknown;
  readonly usage?: Usage;
}

interface Frame {
  readonly type?: unknown;
  readonly message?: Message;
  readonly content_block?: Content;
  readonly delta?: Content & { readonly stop_reason?: unknown };
  readonly usage?: Usage;
}

/** Null when the body is the expected answer of the messages API, else what is wrong with it. */
export function messageProblem(body: string, expected: ExpectedMessage): string | null {
  try {
    return expected.streamed
      ? streamProblem(framesOf(body), expected)
      : wholeProblem(JSON.parse(body) as Message, expected);
  } catch (error) {
    return `unreadable answer (${error instanceof Error ? error.message : String(error)}): ${body.slice(0, 160)}`;
  }
}

function wholeProblem(message: Message, expected: ExpectedMessage): string | null {
  const said = (message.content ?? []).map((block) => [block.type, block.text]);
  return (
    different("head", headOf(message), headOf({ type: "message", role: "assistant", model: expected.model })) ??
    different("content", said, [["text", expected.texts.join("")]]) ??
    different("stop_reason", message.stop_reason, "end_turn") ??
    different("usage", countsOf(message.usage), [expected.inputTokens, expected.outputTokens])
  );
}

function streamProblem(frames: readonly Frame[], expected: ExpectedMessage): string | null {
  const order = [
    "message_start",
    "content_block_start",
    ...expected.texts.map(() => "content_block_delta"),
    "content_block_stop",
    "message_delta",
    "message_stop",
  ];
  // Pings may stand anywhere and say nothing.
  const said = frames.filter((frame) => frame.type !== "ping");
  const head = { type: "message", role: "assistant", model: expected.model };
  const end = said.at(-2);
  return (
    different(
      "order of events",
      said.map((frame) => frame.type),
      order,
    ) ??
    different("head", headOf(said[0]?.message ?? {}), headOf(head)) ??
    different("block", said[1]?.content_block?.type, "text") ??
    different(
      "texts",
      said.slice(2, -3).map(({ delta }) => [delta?.type, delta?.text]),
      expected.texts.map((text) => ["text_delta", text]),
    ) ??
    different("stop_reason", end?.delta?.stop_reason, "end_turn") ??
    different("usage", countsOf(end?.usage), [expected.inputTokens, expected.outputTokens])
  );
}

/** Every frame is an event line and a data line that name the same type. Throws for anything else. */
function framesOf(body: string): Frame[] {
  if (!body.endsWith("\n\n")) throw new Error("the stream ends inside an event");
  return body
    .slice(0, -2)
    .split("\n\n")
    .map((text) => {
      const lines = /^event: (\w+)\ndata: (\{.*\})$/.exec(text);
      if (lines === null) throw new Error(`not an event: ${text.slice(0, 80)}`);
      const frame = JSON.parse(lines[2] as string) as Frame;
      if (frame.type !== lines[1]) throw new Error(`event ${lines[1]} with data of type ${String(frame.type)}`);
      return frame;
    });
}

function headOf({ type, role, model }: Message): unknown[] {
  return [type, role, model];
}

function countsOf(usage: Usage | undefined): unknown[] {
  return [usage?.input_tokens, usage?.output_tokens];
}

function different(what: string, got: unknown, wanted: unknown): string | null {
  const [is, should] = [JSON.stringify(got), JSON.stringify(wanted)];
  return is === should ? null : `${what} is ${is?.slice(0, 200)}, not ${should.slice(0, 200)}`;
}
