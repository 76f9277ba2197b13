/**
 * A stream of events in the caller's dialect, held back as long as guardrails need it: events leave whole and in
 * their order, with masks where matches stood. Text is held only as far as a match could still reach, or until the
 * remote rules have answered.
 */
import { type FrameTexts, readFrame } from "../dialects/frame-texts.js";
import { applyEdits, type Edit } from "../dialects/json-splice.js";
import { LINE, nextEventEnd, sseDataBytes, sseEvent } from "../dialects/sse.js";
import type { TextSpan } from "../dialects/text-spans.js";
import { type Failure, failure } from "../errors.js";
import { askAll, type RemoteAnswer } from "../guardrails/ask-remote.js";
import type { HookPlan } from "../guardrails/plan.js";
import { Findings } from "../guardrails/screen-body.js";
import { maskedTexts, screenWhole } from "../guardrails/text-screen.js";
import { type ChannelParts, ScreenedChannel } from "./screened-channel.js";
import { remoteMasks, type Screening } from "./screening.js";

/** Held events beyond this: what is there of each text counts as all of it. */
const HELD_BYTES = 1024 * 1024;
/** Held events beyond this: the remote rules are too slow for this answer. */
const MOST_HELD_BYTES = 8 * 1024 * 1024;

/** A text of a held event: a piece of a channel, or one that stands for itself. */
interface HeldText {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly channel: ScreenedChannel | null;
  readonly from: number;
  readonly to: number;
  /** Of a text that stands for itself: what is shown instead, null = itself. */
  instead: string | null;
  /** Remote rules have not answered about it yet. */
  waiting: boolean;
}

interface HeldEvent {
  readonly bytes: Buffer;
  readonly texts: readonly HeldText[];
}

export class ScreenedStream {
  /** A guardrail blocks the answer: nothing more comes out. */
  refusal: Failure | null = null;
  /** Told when remote rules have answered, so that `drain` may have something. */
  onReady: () => void = () => {};
  readonly #dialect: FrameTexts;
  readonly #hook: HookPlan;
  readonly #screening: Screening;
  readonly #findings = new Findings();
  readonly #parts: ChannelParts;
  readonly #channels = new Map<string, ScreenedChannel>();
  #held: HeldEvent[] = [];
  #heldBytes = 0;
  #judged = 0;
  /** Some text has been cleared: what opens the stream waits for it, so that a block can still be the whole answer. */
  #begun = false;
  #closed = false;

  constructor(dialect: FrameTexts, hook: HookPlan, screening: Screening) {
    this.#dialect = dialect;
    this.#hook = hook;
    this.#screening = screening;
    this.#parts = {
      hook,
      screening,
      findings: this.#findings,
      answered: (answers) => this.#answered(answers),
      failed: (error) => this.#failed(error),
    };
  }

  /** Everything taken has come out. */
  get empty(): boolean {
    return this.#held.length === 0;
  }

  /** Takes whole events. */
  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.refusal === null; ) {
      const end = nextEventEnd(bytes, at, LINE.START);
      this.#takeEvent(bytes.subarray(at, end));
      at = end;
    }
  }

  /** Nothing more will come: every text ends where it is. */
  close(): void {
    for (const channel of this.#channels.values()) channel.closed = true;
    this.#closed = true;
  }

  /** The events that may leave now, or null. */
  drain(): Buffer | null {
    if (this.refusal !== null) return null;
    this.#advance(this.#heldBytes > HELD_BYTES);
    if (this.#judge()) return null;
    let count = 0;
    while (count < this.#held.length && this.#cleared(this.#held[count] as HeldEvent)) {
      if ((this.#held[count] as HeldEvent).texts.length > 0) this.#begun = true;
      count++;
    }
    // An answer without any text has nothing to wait for.
    if (this.#closed && count === this.#held.length) this.#begun = true;
    if (count === 0 || !this.#begun) {
      if (this.#heldBytes > MOST_HELD_BYTES) this.#refuse(failure("content_filter", TOO_SLOW));
      return null;
    }
    const out: Buffer[] = [];
    for (let index = 0; index < count; index++) {
      const event = this.#held[index] as HeldEvent;
      this.#heldBytes -= event.bytes.length;
      out.push(shown(event));
    }
    this.#held = this.#held.slice(count);
    return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
  }

  #takeEvent(bytes: Buffer): void {
    const { texts, closed } = readFrame(sseDataBytes(bytes), this.#dialect);
    const held: HeldText[] = [];
    for (const text of texts) {
      held.push(text.channel === null ? this.#whole(text) : this.#piece(text, this.#channelOf(text.channel)));
    }
    for (const name of closed) {
      for (const [known, channel] of this.#channels) if (known.startsWith(name)) channel.closed = true;
    }
    this.#held.push({ bytes, texts: held });
    this.#heldBytes += bytes.length;
  }

  #channelOf(name: string): ScreenedChannel {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = new ScreenedChannel(this.#parts);
      this.#channels.set(name, channel);
    }
    // Whoever said that it had ended was wrong.
    channel.closed = false;
    return channel;
  }

  #piece({ start, end, text }: TextSpan, channel: ScreenedChannel): HeldText {
    const from = channel.length;
    channel.append(text);
    return { start, end, text, channel, from, to: from + text.length, instead: null, waiting: false };
  }

  /** A text told as a whole; often one that has been told in pieces before. */
  #whole({ start, end, text }: TextSpan): HeldText {
    const asks = this.#hook.remote.length > 0;
    const held: HeldText = { start, end, text, channel: null, from: 0, to: 0, instead: null, waiting: asks };
    for (const channel of asks ? this.#channels.values() : []) if (channel.full === text) return { ...held, channel };
    held.instead = screenWhole(text, this.#hook.finders, this.#findings.add);
    if (!asks) return held;
    const question = this.#screening.question(this.#hook, [held.instead ?? text]);
    const take = (answers: readonly RemoteAnswer[]) => {
      const [masked = null] = maskedTexts([{ text: held.instead ?? text }], remoteMasks(this.#hook, answers));
      held.instead = masked ?? held.instead;
      held.waiting = false;
      this.#answered(answers);
    };
    askAll(this.#hook.remote, question, this.#screening.signal)
      .then(take)
      .catch((error: unknown) => this.#failed(error));
    return held;
  }

  #answered(answers: readonly RemoteAnswer[]): void {
    if (this.refusal !== null) return;
    const refusal = this.#screening.judgeRemote(this.#hook, answers);
    if (refusal !== null) this.#refuse(refusal);
    this.onReady();
  }

  /** Called where nobody else would catch anything. */
  #failed(error: unknown): void {
    try {
      const problem = this.#screening.fault(error);
      if (this.refusal === null) this.#refuse(problem);
      this.onReady();
    } catch (second) {
      this.#screening.fault(second);
    }
  }

  #advance(forced: boolean): void {
    for (const channel of this.#channels.values()) if (!channel.done) channel.advance(channel.closed || forced);
  }

  /** True: what the local rules have found by now blocks. */
  #judge(): boolean {
    const { list } = this.#findings;
    if (list.length === this.#judged) return false;
    const refusal = this.#screening.judge(this.#hook, list.slice(this.#judged));
    this.#judged = list.length;
    if (refusal !== null) this.#refuse(refusal);
    return refusal !== null;
  }

  #refuse(refusal: Failure): void {
    this.refusal = refusal;
    this.#held = [];
    this.#heldBytes = 0;
  }

  #cleared({ texts }: HeldEvent): boolean {
    for (const held of texts) {
      const { channel } = held;
      if (held.waiting && channel?.done === true) {
        held.instead = channel.shown();
        held.waiting = false;
      }
      if (held.waiting || (channel !== null && channel.cleared < held.to)) return false;
    }
    return true;
  }
}

const TOO_SLOW = "The answer could not be screened in time.";

/** The event as it leaves: its own bytes where nothing in it is masked. */
function shown({ bytes, texts }: HeldEvent): Buffer {
  const edits: Edit[] = [];
  for (const { start, end, text, channel, from, to, instead } of texts) {
    const piece = channel === null || to === 0 ? instead : channel.pieceShown(text, from, to);
    if (piece !== null && piece !== text) edits.push({ start, end, bytes: Buffer.from(JSON.stringify(piece)) });
  }
  return edits.length === 0 ? bytes : withData(bytes, edits);
}

function withData(frame: Buffer, edits: readonly Edit[]): Buffer {
  const data = sseDataBytes(frame);
  const offset = data.byteOffset - frame.byteOffset;
  if (data.buffer === frame.buffer && offset > 0 && offset + data.length <= frame.length) {
    return applyEdits(
      frame,
      edits.map(({ start, end, bytes }) => ({ start: start + offset, end: end + offset, bytes })),
    );
  }
  // Data in several lines is JSON over several lines: it fits into one.
  const name = sseEvent(frame);
  const text = applyEdits(data, edits).toString("utf8").replace(/\n/g, " ");
  return Buffer.from(`${name === "" ? "" : `event: ${name}\n`}data: ${text}\n\n`);
}
