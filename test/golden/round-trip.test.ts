/** What an upstream answered and its caller sends back reaches that upstream again as it was. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeWhole, encodeWhole } from "../../src/dialects/hub.js";
import { type JsonObject, LossList } from "../../src/dialects/semantic.js";
import { bodyOf, contextOf, translated, type Wire, WIRE_NAMES } from "./cells.js";
import { CALLERS, type Caller, type Piece, type Result, type Said, VOICES, type Voice } from "./conversations.js";

const words = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }).filter((said) => said.trim() !== "");
const base64 = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString("base64"));
const id = fc.stringMatching(/^[a-zA-Z0-9_-]{4,12}$/);

const BLOCKS: { readonly [Kind in Said["kind"]]: fc.Arbitrary<Said> } = {
  thinking: fc.record({ kind: fc.constant("thinking" as const), text: words, proof: base64 }),
  redacted: fc.record({ kind: fc.constant("redacted" as const), data: base64 }),
  text: fc.record({ kind: fc.constant("text" as const), text: words }),
  call: fc.record({
    kind: fc.constant("call" as const),
    id,
    name: fc.constantFrom("look", "find"),
    city: fc.oneof(fc.constant(""), words),
    proof: fc.oneof(fc.constant(""), base64),
  }),
};

const ORDER: readonly Said["kind"][] = ["thinking", "redacted", "text", "call"];

/** Answers that the wire can give and the caller can keep; each says something. */
function answers(voice: Voice, caller: Caller): fc.Arbitrary<Said[]> {
  const kinds = voice.order ?? ORDER;
  const sorted = voice.order !== null || !caller.anyOrder;
  return fc
    .array(fc.oneof(...kinds.map((kind) => BLOCKS[kind])), { minLength: 1, maxLength: 5 })
    .map((blocks) => {
      const counts = new Map<string, number>();
      const kept = blocks.filter(({ kind }) => {
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
        // A caller that keeps one text for all cannot tell two from one.
        const most = voice.most[kind] ?? (kind === "text" && !caller.anyOrder ? 1 : Number.POSITIVE_INFINITY);
        return (counts.get(kind) ?? 0) <= most;
      });
      return sorted ? kept.toSorted((left, right) => kinds.indexOf(left.kind) - kinds.indexOf(right.kind)) : kept;
    })
    .filter((blocks) => blocks.some(({ kind }) => kind === "text" || kind === "call"));
}

/** Ids are unique in a conversation. */
function withIds(conversation: readonly Said[][]): Said[][] {
  let number = 0;
  return conversation.map((said) =>
    said.map((block) => (block.kind === "call" ? { ...block, id: `${block.id}_${number++}` } : block)),
  );
}

interface Played {
  readonly sent: Piece[];
  readonly expected: Piece[];
  readonly losses: readonly string[];
  readonly ids: string[];
}

function play(client: keyof typeof CALLERS, wire: Wire, conversation: readonly Said[][]): Played {
  const caller = CALLERS[client];
  const voice = VOICES[wire];
  const history: JsonObject[] = [caller.user("go")];
  const expected: Piece[] = [["user", "go"]];
  const ids: string[] = [];
  for (const [turn, said] of conversation.entries()) {
    const translation = translated(client, wire, caller.request(history));
    const events = decodeWhole(translation, voice.answer(said, turn));
    const answerLosses = new LossList();
    const answer = JSON.parse(encodeWhole(translation, events, contextOf(translation), answerLosses)) as JsonObject;
    expect(answerLosses.names).toEqual([]);
    const called = caller.callIds(answer);
    const results: Result[] = called.map((callId, place) => ({ callId, text: `result ${turn}.${place}` }));
    ids.push(...called);
    history.push(...caller.answered(answer));
    history.push(...(results.length > 0 ? caller.results(results) : [caller.user("go on")]));
    expected.push(...said.map((block) => voice.expected(block)));
    const calls = said.filter((block) => block.kind === "call");
    const named = calls.map((call, place) => [
      "result",
      wire === "gemini" ? call.name : call.id,
      results[place]?.text ?? "",
    ]);
    expected.push(...(results.length > 0 ? named : [["user", "go on"]]));
  }
  const last = translated(client, wire, caller.request(history));
  return { sent: voice.sent(bodyOf(last)), expected, losses: last.losses, ids };
}

describe.each(Object.keys(CALLERS) as (keyof typeof CALLERS)[])("a history of %s callers", (client) => {
  it.each(WIRE_NAMES)("comes back to %s with ids, signatures and order intact", (wire) => {
    const conversations = fc.array(answers(VOICES[wire], CALLERS[client]), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(conversations.map(withIds), (conversation) => {
        const { sent, expected, losses, ids } = play(client, wire, conversation);
        expect(sent).toEqual(expected);
        expect(losses).toEqual([]);
        expect(new Set(ids).size).toBe(ids.length);
      }),
      { numRuns: 100 },
    );
  });
});

it.each(Object.keys(CALLERS) as (keyof typeof CALLERS)[])(
  "thoughts without a proof come back from %s callers",
  (client) => {
    const said: Said[] = [
      { kind: "thinking", text: "hm", proof: "" },
      { kind: "text", text: "Yes." },
    ];
    const { sent, expected, losses } = play(client, "gemini", [said]);
    expect(expected[1]?.[0]).toBe("thinking");
    expect(sent).toEqual(expected);
    expect(losses).toEqual([]);
  },
);
