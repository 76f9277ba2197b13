/**
 * An acceptor's way to the answers that the nodes of a fleet share. The main thread fetches: an answer that it finds
 * is put into the node's memory, and only that it is there is told. Nobody waits for long, and what is sent the other
 * way is no more than the name of an answer that the memory holds.
 */
import type { Waiting } from "./collapse.js";
import type { EntryNames } from "./entries.js";

/** More are not asked for at once. */
const MAX_ASKS = 256;
/** Callers choose the names of models; nothing is shared under a longer one. */
const MAX_NAME = 256;

/** Is there an answer for this key? */
export interface CacheAsk {
  readonly kind: "cache-ask";
  readonly ticket: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly policy: string;
  readonly model: string;
  /** Longest life that is left to an answer, milliseconds. */
  readonly ttlMs: number;
}

/** The node's memory has a new answer, for the others to have. */
export interface CacheKept extends EntryNames {
  readonly kind: "cache-kept";
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** When it was asked for, milliseconds since the epoch. */
  readonly askedAt: number;
}

export interface FleetQuestion {
  readonly key: Buffer;
  readonly names: EntryNames;
  readonly ttlMs: number;
}

interface Asking {
  readonly told: (found: boolean) => void;
  readonly timer: NodeJS.Timeout;
}

export class FleetCache {
  readonly #send: (message: CacheAsk | CacheKept) => boolean;
  readonly #waitMs: number;
  readonly #asking = new Map<number, Asking>();
  #ticket = 0;

  /**
   * `send`: to the main thread; false = it does not take the message. `waitMs`: a request waits no longer; what comes
   * later is there for the next one.
   */
  constructor(send: (message: CacheAsk | CacheKept) => boolean, waitMs: number) {
    this.#send = send;
    this.#waitMs = waitMs;
  }

  /**
   * Calls back once, in time: true = the answer is in the node's memory now. null: it cannot be asked
   * for, and nobody will call.
   */
  ask({ key, names, ttlMs }: FleetQuestion, told: (found: boolean) => void): Waiting | null {
    if (this.#asking.size >= MAX_ASKS || !areShort(names)) return null;
    const ticket = ++this.#ticket;
    const { policy, model } = names;
    if (!this.#send({ kind: "cache-ask", ticket, key, policy, model, ttlMs })) return null;
    const timer = setTimeout(() => this.told(ticket, false), this.#waitMs);
    this.#asking.set(ticket, { told, timer });
    return { cancel: () => this.#forget(ticket) };
  }

  /** What the main thread says to an ask; nothing when that is over. */
  told(ticket: number, found: boolean): void {
    this.#forget(ticket)?.told(found);
  }

  /** The node's memory has a new answer. Where that cannot be told, the others do without. */
  keep(key: Buffer, names: EntryNames, askedAt: number): void {
    if (areShort(names)) this.#send({ kind: "cache-kept", key, ...names, askedAt });
  }

  #forget(ticket: number): Asking | null {
    const asking = this.#asking.get(ticket);
    if (asking === undefined) return null;
    this.#asking.delete(ticket);
    clearTimeout(asking.timer);
    return asking;
  }
}

function areShort({ policy, model, apiKey }: EntryNames): boolean {
  return policy.length <= MAX_NAME && model.length <= MAX_NAME && apiKey.length <= MAX_NAME;
}
