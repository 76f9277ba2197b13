/** Questions about limits and their answers, through NATS; every message is counted. */
import type { Connection } from "./connection.js";
import type { Asked, Recalled } from "./quota-asker.js";
import type { EntryData } from "./quota-ledger.js";
import {
  type Ask,
  chunksOf,
  packMessage,
  packReply,
  type QuotaMessage,
  type QuotaReply,
  unpackReply,
} from "./quota-messages.js";
import type { FleetNames } from "./subjects.js";

/** Longer than an owner may take: it gathers, or calls something back. */
const ASK_MS = 1_000;
const RECALL_MS = 50;
/** What a server answers in place of a subject that nobody hears. */
const NO_RESPONDERS = "503";

export type QuotaConnection = Pick<Connection, "publish" | "subscribe" | "request" | "onState" | "state" | "live">;

export interface WireOptions {
  readonly connection: QuotaConnection;
  readonly names: Pick<FleetNames, "quotaLedger" | "quotaOf">;
  readonly self: string;
}

export class QuotaWire {
  readonly counts = { sent: 0, received: 0 };
  /** Messages sent and received in the last second that was looked at. */
  perSecond = 0;
  #countedAt = 0;
  #counted = 0;
  readonly #options: WireOptions;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  subjectOf(instance: string): string {
    return `${this.#options.names.quotaOf}.${instance}`;
  }

  /** To be called now and then. `nowMs`: milliseconds that only grow. */
  count(nowMs: number): void {
    const spent = nowMs - this.#countedAt;
    if (spent < 1_000) return;
    const messages = this.counts.sent + this.counts.received;
    this.perSecond = this.#countedAt === 0 ? 0 : Math.round(((messages - this.#counted) * 1_000) / spent);
    this.#counted = messages;
    this.#countedAt = nowMs;
  }

  async ask(owner: string, asks: readonly Ask[], insteadOf: readonly string[]): Promise<Asked> {
    const reply = await this.#request(owner, { kind: "ask", from: this.#options.self, asks, insteadOf }, ASK_MS);
    if (typeof reply === "string") return reply;
    if (reply.kind !== "answers") return "late";
    return reply.busy ? "busy" : { answers: reply.answers };
  }

  /** What the holder has of these, after it has given back; [] when it does not say. */
  async recall(holder: string, recalled: readonly Recalled[]): Promise<readonly EntryData[]> {
    const buckets = recalled.map(({ entry: { bucket, dimension, window }, least }) => ({
      bucket,
      dimension,
      window,
      least,
    }));
    const reply = await this.#request(holder, { kind: "recall", from: this.#options.self, buckets }, RECALL_MS);
    return typeof reply === "string" || reply.kind !== "ledger" ? [] : reply.entries;
  }

  /** All that an instance knows; it comes in messages of its own, before this resolves. */
  async gather(instance: string, live: readonly string[], timeoutMs: number): Promise<"told" | "gone" | "late"> {
    const reply = await this.#request(instance, { kind: "gather", from: this.#options.self, live }, timeoutMs);
    return typeof reply === "string" ? reply : "told";
  }

  /** To one instance, or to all. Returns the first that could not be sent. */
  tell(entries: readonly EntryData[], instance: string | null): boolean {
    const { connection, names, self } = this.#options;
    const subject = instance === null ? names.quotaLedger : this.subjectOf(instance);
    for (const chunk of chunksOf(entries)) {
      if (!connection.publish(subject, packMessage({ kind: "ledger", from: self, entries: chunk }))) return false;
      this.counts.sent += 1;
    }
    return true;
  }

  answer(reply: QuotaReply, respond: (data: Uint8Array) => boolean): void {
    if (respond(packReply(reply))) this.counts.sent += 1;
  }

  async #request(instance: string, message: QuotaMessage, timeoutMs: number): Promise<QuotaReply | "gone" | "late"> {
    this.counts.sent += 1;
    try {
      const bytes = await this.#options.connection.request(this.subjectOf(instance), packMessage(message), timeoutMs);
      this.counts.received += 1;
      return unpackReply(bytes) ?? "late";
    } catch (error) {
      return (error as { code?: unknown }).code === NO_RESPONDERS ? "gone" : "late";
    }
  }
}
