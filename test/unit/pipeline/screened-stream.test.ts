import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DialectId } from "../../../src/dialects/dialect.js";
import { parseSse } from "../../../src/dialects/sse.js";
import { textsOfDialect } from "../../../src/dialects/texts.js";
import { ScreenPlans } from "../../../src/guardrails/plan.js";
import { screenWhole } from "../../../src/guardrails/text-screen.js";
import type { PlainCall } from "../../../src/providers/plain-call.js";
import type { Exchange } from "../../../src/pipeline/exchange.js";
import type { Node } from "../../../src/pipeline/node.js";
import { ScreenedStream } from "../../../src/pipeline/screened-stream.js";
import { Screening } from "../../../src/pipeline/screening.js";
import { guardrail, MASK_MAILS, trafficWith, WEBHOOK, words } from "../guardrails/samples.js";

type Judge = (texts: string[]) => unknown;

function streamOf(
  dialect: DialectId,
  guardrails: Parameters<typeof trafficWith>[0],
  judge: Judge = () => ({ action: "pass" }),
) {
  const post = async ({ body }: PlainCall) => ({
    status: 200,
    body: Buffer.from(JSON.stringify(judge(JSON.parse(body.toString()).texts))),
  });
  const plans = new ScreenPlans(trafficWith(guardrails), "r", { post, credential: () => undefined });
  const plan = plans.planFor({ apiKey: "a", team: null, model: "m", entry: "m" })!;
  const exchange = { id: "req", view: { model: "m" }, keyResource: null } as unknown as Exchange;
  const node = { guards: { actions: () => ({ add() {} }) }, warn() {} } as unknown as Node;
  const screening = new Screening(exchange, node, plan);
  return { stream: new ScreenedStream(textsOfDialect(dialect).frame!, plan.output!, screening), screening, plan };
}

const MASKS = [guardrail("mask", MASK_MAILS)];
const TEXT = "Mail ann@example.com or card 4111 1111 1111 1111, then bob@example.org";

function event(data: unknown, name = ""): string {
  return `${name === "" ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
}

function cut(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const size = sizes[pieces.length % sizes.length]!;
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

/** A stream of a text in pieces, and how to read it back. */
const DIALECTS: Partial<Record<DialectId, { events: (pieces: string[]) => string; said: (bytes: string) => string }>> =
  {
    "openai-chat": {
      events: (pieces) =>
        pieces.map((content) => event({ choices: [{ index: 0, delta: { content } }] })).join("") +
        event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }) +
        "data: [DONE]\n\n",
      said: (bytes) =>
        dataOf(bytes)
          .map((data) => (data.choices as { delta: { content?: string } }[])[0]?.delta.content ?? "")
          .join(""),
    },
    "openai-completions": {
      events: (pieces) =>
        pieces.map((text) => event({ choices: [{ index: 0, text, finish_reason: null }] })).join("") +
        "data: [DONE]\n\n",
      said: (bytes) =>
        dataOf(bytes)
          .map((data) => (data.choices as { text: string }[])[0]?.text)
          .join(""),
    },
    "anthropic-messages": {
      events: (pieces) =>
        event(
          { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
          "content_block_start",
        ) +
        pieces
          .map((text) => event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }))
          .join("") +
        event({ type: "content_block_stop", index: 0 }, "content_block_stop") +
        event({ type: "message_stop" }, "message_stop"),
      said: (bytes) =>
        dataOf(bytes)
          .map((data) => (data.delta as { text?: string } | undefined)?.text ?? "")
          .join(""),
    },
    "openai-responses": {
      events: (pieces) => {
        const place = { item_id: "i", output_index: 0, content_index: 0 };
        const text = pieces.join("");
        const output = [{ type: "message", content: [{ type: "output_text", text }] }];
        return (
          pieces.map((delta) => event({ type: "response.output_text.delta", ...place, delta })).join("") +
          event({ type: "response.output_text.done", ...place, text }) +
          event({ type: "response.output_item.done", item: output[0] }) +
          event({ type: "response.completed", response: { output } })
        );
      },
      said: (bytes) => {
        const events = dataOf(bytes);
        const said = events.map((data) => (data.type === "response.output_text.delta" ? data.delta : "")).join("");
        // What is told again is told alike.
        for (const data of events) if (data.type === "response.output_text.done") expect(data.text).toBe(said);
        expect(bytes.split(JSON.stringify(said).slice(1, -1)).length).toBeGreaterThan(3);
        return said;
      },
    },
  };

function dataOf(bytes: string): Record<string, unknown>[] {
  return parseSse(Buffer.from(bytes))
    .filter(({ data }) => data !== "[DONE]")
    .map(({ data }) => JSON.parse(data) as Record<string, unknown>);
}

describe.each(Object.entries(DIALECTS))("a masked stream of %s", (id, { events, said }) => {
  const { plan } = streamOf(id as DialectId, MASKS);
  const wanted = screenWhole(TEXT, plan.output!.finders, () => {});

  it("says the same as the whole text masked, whatever the pieces", () => {
    expect(wanted).toBe("Mail [EMAIL] or card [CREDIT_CARD], then [EMAIL]");
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 }), (sizes) => {
        const bytes = events(cut(TEXT, sizes));
        const { stream } = streamOf(id as DialectId, MASKS);
        let out = "";
        for (const frame of bytes.split(/(?<=\n\n)/)) {
          stream.take(Buffer.from(frame));
          out += stream.drain()?.toString() ?? "";
        }
        stream.close();
        out += stream.drain()?.toString() ?? "";
        expect(stream.empty).toBe(true);
        expect(said(out)).toBe(wanted);
        // Not an event more or less, and those without text byte for byte.
        const textless = (all: string) => all.split("\n\n").filter((one) => !/ann|bob|\[|4111|text|content/.test(one));
        expect(out.split("\n\n").length).toBe(bytes.split("\n\n").length);
        expect(textless(out)).toEqual(textless(bytes));
      }),
      { numRuns: 200 },
    );
  });

  it("waits for remote rules, piece by piece, and shows what they mask", async () => {
    const judge = (texts: string[]) => ({
      action: "mask",
      texts: texts.map((text) => text.replaceAll("card", "CARD")),
    });
    const { stream } = streamOf(id as DialectId, [...MASKS, guardrail("judge", WEBHOOK)], judge);
    stream.take(Buffer.from(events(cut(TEXT, [7]))));
    stream.close();
    let out = "";
    while (!stream.empty) {
      const ready = new Promise<void>((done) => {
        stream.onReady = done;
      });
      out += stream.drain()?.toString() ?? "";
      if (!stream.empty) await ready;
    }
    expect(said(out)).toBe(wanted?.replace("card", "CARD"));
  });
});

describe("a stream that is blocked", () => {
  const block = [guardrail("words", words("falcon")), ...MASKS];
  const chat = (content: string) => event({ choices: [{ index: 0, delta: { content } }] });

  it("gives nothing of the event in which the match ends, nor anything after it", () => {
    const { stream, screening } = streamOf("openai-chat", block);
    stream.take(Buffer.from(chat("about the ")));
    expect(stream.drain()).not.toBeNull();
    stream.take(Buffer.from(chat("fal")));
    expect(stream.drain()).toBeNull();
    stream.take(Buffer.from(chat("CON project")));
    expect(stream.drain()).toBeNull();
    expect(stream.refusal).toMatchObject({
      code: "content_filter",
      message: 'The guardrail "words" blocked the answer.',
    });
    expect(screening.actions).toEqual([{ name: "words", action: "block", hook: "output" }]);
    stream.take(Buffer.from(chat("more")));
    expect(stream.drain()).toBeNull();
  });

  it("goes on where it is only watched", () => {
    const { stream, screening } = streamOf("openai-chat", [guardrail("words", words("falcon"), { mode: "monitor" })]);
    const bytes = chat("falcon ") + chat("and falcon ");
    stream.take(Buffer.from(bytes));
    expect(stream.drain()?.toString()).toBe(bytes);
    expect(screening.actions).toEqual([{ name: "words", action: "monitor", hook: "output" }]);
  });

  it("tells texts of different choices apart", () => {
    const { stream } = streamOf("openai-chat", block);
    const piece = (index: number, content: string) => event({ choices: [{ index, delta: { content } }] });
    stream.take(Buffer.from(piece(0, "fal") + piece(1, "con ") + piece(0, "se ")));
    expect(stream.drain()?.toString()).toContain('"con "');
    expect(stream.refusal).toBeNull();
  });

  it("holds no more than its bound", () => {
    const { stream } = streamOf("openai-chat", MASKS);
    stream.take(Buffer.from(chat("ann@")));
    const other = event({ choices: [{ index: 1, delta: { content: `${"x ".repeat(5_000)}` } }] });
    let out = 0;
    for (let count = 0; count < 200; count++) {
      stream.take(Buffer.from(other));
      out += stream.drain()?.length ?? 0;
    }
    expect(out).toBeGreaterThan(0);
  });
});
