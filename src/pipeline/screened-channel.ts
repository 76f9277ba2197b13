/** One text of a streamed answer, as the guardrails see it: what of it is cleared, and with which masks. */
import { askAll, type RemoteAnswer } from "../guardrails/ask-remote.js";
import type { HookPlan } from "../guardrails/plan.js";
import { replaced, TextScreen } from "../guardrails/text-screen.js";
import type { Findings } from "../guardrails/screen-body.js";
import { remoteMasks, type Screening } from "./screening.js";

/** Remote rules get a stream's text in pieces: whole sentences of this length, or whatever reaches the other. */
const SENTENCE_CHARACTERS = 128;
const BATCH_CHARACTERS = 512;
const SENTENCE_END = /[.!?\n]["')\]]*\s*$/;

/** What channels share. */
export interface ChannelParts {
  readonly hook: HookPlan;
  readonly screening: Screening;
  readonly findings: Findings;
  /** Hears what remote rules said about a piece of text. */
  answered(answers: readonly RemoteAnswer[]): void;
}

export class ScreenedChannel {
  readonly screen: TextScreen;
  /** The text so far; kept only where remote rules want it. */
  full = "";
  closed = false;
  readonly #parts: ChannelParts;
  readonly #remote: boolean;
  /** The text before it has been sent to the remote rules. */
  #asked = 0;
  #underWay = false;
  /** How many replacements have been written into frames. */
  #written = 0;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.screen = new TextScreen(parts.hook.finders, parts.findings.add);
    this.#remote = parts.hook.remote.length > 0;
    if (this.#remote) this.screen.limit = 0;
  }

  /** Where a piece of text stands in the whole. */
  append(text: string): { readonly from: number; readonly to: number } {
    const from = this.screen.length;
    this.screen.append(text);
    if (this.#remote) this.full += text;
    return { from, to: from + text.length };
  }

  /** Clears what can be cleared; `ended`: what there is counts as all there will be. */
  advance(ended: boolean): void {
    if (this.#remote && !this.#underWay) this.#ask(ended);
    this.screen.advance(ended);
  }

  /** The whole text has been cleared. */
  get done(): boolean {
    return this.closed && this.screen.cleared >= this.screen.length;
  }

  /** The text as it is shown; only where it is kept. */
  shown(): string {
    return replaced(this.full, this.screen.replacements);
  }

  /** A cleared piece as it is shown: a mask stands where its match began. null = nothing in it is masked. */
  pieceShown(text: string, from: number, to: number): string | null {
    const { replacements } = this.screen;
    while ((replacements[this.#written]?.end ?? Number.POSITIVE_INFINITY) <= from) this.#written++;
    let out: string | null = null;
    let at = from;
    for (let index = this.#written; index < replacements.length; index++) {
      const { start, end, text: instead } = replacements[index] as (typeof replacements)[number];
      if (start >= to) break;
      out = (out ?? "") + text.slice(at - from, Math.max(at, start) - from) + (start >= from ? instead : "");
      at = Math.min(end, to);
    }
    return out === null ? null : out + text.slice(at - from);
  }

  #ask(ended: boolean): void {
    const text = this.full.slice(this.#asked);
    if (text === "") return;
    const enough = text.length >= BATCH_CHARACTERS || (text.length >= SENTENCE_CHARACTERS && SENTENCE_END.test(text));
    if (!ended && !enough) return;
    this.#underWay = true;
    const from = this.#asked;
    this.#asked += text.length;
    const { hook, screening } = this.#parts;
    void askAll(hook.remote, screening.question(hook, [text]), screening.signal).then((answers) => {
      this.#underWay = false;
      for (const { owner, verdict } of remoteMasks(hook, answers)) {
        if (verdict.action !== "mask") continue;
        for (const { start, end, text: instead } of verdict.replacements[0] ?? []) {
          this.screen.mask(owner, { start: from + start, end: from + end, text: instead });
        }
      }
      this.screen.limit = from + text.length;
      this.#parts.answered(answers);
    });
  }
}
