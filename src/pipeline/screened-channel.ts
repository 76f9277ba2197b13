/** One text of a streamed answer, as the guardrails see it: what of it is cleared, and with which masks. */
import { askAll, type RemoteAnswer } from "../guardrails/ask-remote.js";
import type { HookPlan } from "../guardrails/plan.js";
import { combined, mergedMasks, replaced, TextScreen } from "../guardrails/text-screen.js";
import type { Replacement } from "../guardrails/rule.js";
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
  /** Hears that what they said could not be used. */
  failed(error: unknown): void;
}

export class ScreenedChannel {
  /** The text so far; kept only where remote rules want it. */
  full = "";
  closed = false;
  readonly #parts: ChannelParts;
  readonly #local: TextScreen;
  readonly #remote: boolean;
  /** Masks of all rules in the text that the remote ones have cleared. */
  readonly #masks: Replacement[] = [];
  /** The text before it has been sent to the remote rules, and what of it they have answered about. */
  #asked = 0;
  #answered = 0;
  #underWay = false;
  /** Local masks that have been sent. */
  #sent = 0;
  /** Masks that have been written into events. */
  #written = 0;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.#local = new TextScreen(parts.hook.finders, parts.findings.add);
    this.#remote = parts.hook.remote.length > 0;
  }

  /** The text before it may be shown. */
  get cleared(): number {
    return this.#remote ? this.#answered : this.#local.cleared;
  }

  /** The whole text has been cleared. */
  get done(): boolean {
    return this.closed && this.cleared >= this.#local.length;
  }

  /** Length of the text so far. */
  get length(): number {
    return this.#local.length;
  }

  append(text: string): void {
    this.#local.append(text);
    if (this.#remote) this.full += text;
  }

  /** Clears what can be cleared; `ended`: what there is counts as all there will be. */
  advance(ended: boolean): void {
    this.#local.advance(ended);
    if (this.#remote && !this.#underWay) this.#ask(ended);
  }

  /** The text as it is shown; only where it is kept, and cleared. */
  shown(): string {
    return replaced(this.full, this.#masks);
  }

  /** A cleared piece as it is shown: a mask stands where its match began. null = nothing in it is masked. */
  pieceShown(text: string, from: number, to: number): string | null {
    const masks = this.#remote ? this.#masks : this.#local.replacements;
    while ((masks[this.#written]?.end ?? Number.POSITIVE_INFINITY) <= from) this.#written++;
    let out: string | null = null;
    let at = from;
    for (let index = this.#written; index < masks.length; index++) {
      const { start, end, text: instead } = masks[index] as Replacement;
      if (start >= to) break;
      out = (out ?? "") + text.slice(at - from, Math.max(at, start) - from) + (start >= from ? instead : "");
      at = Math.min(end, to);
    }
    return out === null ? null : out + text.slice(at - from);
  }

  /** Sends what the local rules have cleared, as they have masked it. */
  #ask(ended: boolean): void {
    const [from, to] = [this.#asked, this.#local.cleared];
    const text = this.full.slice(from, to);
    const enough = text.length >= BATCH_CHARACTERS || (text.length >= SENTENCE_CHARACTERS && SENTENCE_END.test(text));
    if (text === "" || !(ended || enough)) return;
    this.#underWay = true;
    this.#asked = to;
    const local = this.#local.replacements.slice(this.#sent).map((one) => moved(one, -from));
    this.#sent = this.#local.replacements.length;
    const shown = replaced(text, local);
    const { hook, screening } = this.#parts;
    const take = (answers: readonly RemoteAnswer[]) => {
      const later = mergedMasks(shown, remoteMasks(hook, answers), 0);
      for (const mask of combined(local, later)) this.#masks.push(moved(mask, from));
      this.#underWay = false;
      this.#answered = to;
      this.#parts.answered(answers);
    };
    askAll(hook.remote, screening.question(hook, [shown]), screening.signal)
      .then(take)
      .catch((error: unknown) => this.#parts.failed(error));
  }
}

function moved({ start, end, text }: Replacement, by: number): Replacement {
  return { start: start + by, end: end + by, text };
}
