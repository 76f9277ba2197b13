/**
 * What the other nodes have said of each model, and what that comes to. Only models that this node knows are kept,
 * and of these so many words in all; what nobody repeats is forgotten.
 */
import { AVERAGE_SPAN_MS, LATENCY_STALE_MS } from "../routing/health.js";
import type { OthersHealth } from "../routing/health-report.js";
import type { ForeignCooldown } from "../routing/other-nodes.js";
import type { ModelRow } from "./health-message.js";

/** Words of all nodes on all models; more are not kept. */
const MAX_WORDS = 262_144;
/** Looks without a word after which a node's requests in flight count as none: every node says them once a second. */
const SILENT_LOOKS = 5;
/** An average has seen enough then: more samples lend it no more weight. */
const ENOUGH_SAMPLES = 10;

interface Word {
  inFlight: number;
  /** Looks since it was said. */
  silent: number;
  latency: { readonly ms: number; readonly at: number; readonly samples: number } | null;
  cooldown: { readonly id: number; readonly until: number; readonly from: ForeignCooldown } | null;
}

/** Who speaks, and what this node makes of it. */
export interface Speaker {
  readonly instance: string;
  readonly node: string;
  /** A cooldown lasts no longer than this from when it was heard of first, milliseconds; 0: none is kept. */
  readonly longestCooldownMs: number;
}

/** All times are milliseconds since the epoch by this node's own clock. */
export class HealthWords {
  /** By model, then by instance. */
  readonly #words = new Map<string, Map<string, Word>>();
  #size = 0;

  /** Words kept. */
  get size(): number {
    return this.#size;
  }

  /** Models that somebody has a word on. */
  get names(): string[] {
    return [...this.#words.keys()];
  }

  /** A node has said something. */
  hear(row: ModelRow, { instance, node, longestCooldownMs }: Speaker, nowMs: number): void {
    const word = this.#wordOf(row.name, instance);
    if (word === null) return;
    word.silent = 0;
    word.inFlight = row.inFlight;
    if (row.latency !== null) {
      const { ms, ageMs, samples } = row.latency;
      word.latency = { ms, at: nowMs - ageMs, samples };
    }
    if (row.cooldown === null) return;
    const { id, leftMs, status } = row.cooldown;
    const until = nowMs + Math.min(leftMs, longestCooldownMs);
    // Said again, it has the same end; a word that was late on its way, or the bound, must not move it.
    const known = word.cooldown?.id === id ? word.cooldown.until : until;
    word.cooldown = { id, until: Math.min(known, until), from: { node, status } };
  }

  /** A node is gone, and what it had in flight with it. How it found the models is true all the same. */
  gone(instance: string): void {
    for (const words of this.#words.values()) {
      const word = words.get(instance);
      if (word !== undefined) word.inFlight = 0;
    }
  }

  /** Forgets what says nothing any more; to be called once a second. `isKnown`: has this node such a model? */
  look(nowMs: number, isKnown: (name: string) => boolean): void {
    for (const [name, words] of this.#words) {
      if (!isKnown(name)) words.clear();
      for (const [instance, word] of words) {
        word.silent += 1;
        if (word.silent >= SILENT_LOOKS) word.inFlight = 0;
        if (word.latency !== null && nowMs - word.latency.at > LATENCY_STALE_MS) word.latency = null;
        if (word.silent < SILENT_LOOKS) continue;
        // One that is over here is remembered while it is said: it would begin again.
        if (word.cooldown !== null && word.cooldown.until <= nowMs) word.cooldown = null;
        if (word.latency === null && word.cooldown === null) words.delete(instance);
      }
      if (words.size === 0) this.#words.delete(name);
    }
    this.#size = 0;
    for (const words of this.#words.values()) this.#size += words.size;
  }

  /** What all of them together say of a model. */
  sum(name: string, nowMs: number): OthersHealth {
    let inFlight = 0;
    let cooldownUntil = 0;
    let latencyAt = 0;
    let weights = 0;
    let weighed = 0;
    for (const { inFlight: count, latency, cooldown } of this.#words.get(name)?.values() ?? []) {
      inFlight += count;
      if (cooldown !== null && cooldown.until > nowMs) cooldownUntil = Math.max(cooldownUntil, cooldown.until);
      if (latency === null) continue;
      const age = AVERAGE_SPAN_MS + Math.max(0, nowMs - latency.at);
      const weight = Math.max(1, Math.min(latency.samples, ENOUGH_SAMPLES)) / age;
      weights += weight;
      weighed += weight * latency.ms;
      latencyAt = Math.max(latencyAt, latency.at);
    }
    return { inFlight, cooldownUntil, latencyMs: weights === 0 ? -1 : weighed / weights, latencyAt };
  }

  /** Of the cooldowns of a model the one that lasts longest; null = there is none. */
  cooldownFrom(name: string): ForeignCooldown | null {
    let last: Word["cooldown"] = null;
    for (const { cooldown } of this.#words.get(name)?.values() ?? []) {
      if (cooldown !== null && cooldown.until > (last?.until ?? 0)) last = cooldown;
    }
    return last?.from ?? null;
  }

  #wordOf(name: string, instance: string): Word | null {
    let words = this.#words.get(name);
    let word = words?.get(instance);
    if (word !== undefined) return word;
    if (this.#size >= MAX_WORDS) return null;
    words ??= new Map();
    this.#words.set(name, words);
    word = { inFlight: 0, silent: 0, latency: null, cooldown: null };
    words.set(instance, word);
    this.#size += 1;
    return word;
  }
}
