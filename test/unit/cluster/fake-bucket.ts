/** A bucket and a stream in memory, as far as the resources need them; several nodes may share one. */
import { type Live, NatsError } from "../../../src/cluster/connection.js";

interface Message {
  readonly revision: number;
  readonly key: string;
  readonly value: Uint8Array;
  readonly operation: "PUT" | "DEL";
}

interface PublishHow {
  readonly expect?: { readonly lastSequence?: number };
  readonly headers?: { get(name: string): string };
  readonly msgID?: string;
}

/** What is in NATS. */
export class FakeNats {
  created = "then";
  messages: Message[] = [];
  /** Of the audit stream. */
  readonly records: Record<string, unknown>[] = [];
  /** Why nothing is taken; null = everything is. */
  refusing: string | null = null;
  /** Once, a change is stored, and this is what is heard of it. */
  silence: string | null = null;
  /** How long every answer takes. */
  delayMs = 0;
  /** The same for records alone. */
  refusingRecords: string | null = null;
  /** Done once, right before the next change is stored. */
  meanwhile: (() => void) | null = null;
  readonly watchers = new Set<(message: Message) => void>();

  get last(): number {
    return this.messages.at(-1)?.revision ?? 0;
  }

  /** As anybody would: over nothing in particular. */
  put(key: string, value: unknown): number {
    return this.store(key, Buffer.from(typeof value === "string" ? value : JSON.stringify(value)), "PUT");
  }

  store(key: string, value: Uint8Array, operation: "PUT" | "DEL"): number {
    const message = { revision: this.last + 1, key, value, operation };
    this.messages.push(message);
    for (const hear of [...this.watchers]) hear(message);
    return message.revision;
  }

  latest(key: string): Message | undefined {
    return this.messages.findLast((message) => message.key === key);
  }

  value(key: string): unknown {
    const found = this.latest(key);
    return found?.operation === "PUT" ? JSON.parse(Buffer.from(found.value).toString()) : undefined;
  }

  get keys(): string[] {
    return [...new Set(this.messages.map(({ key }) => key))].filter((key) => this.value(key) !== undefined).sort();
  }

  /** Another bucket is there, under the same name. */
  beginAnew(): void {
    this.created = `${this.created} again`;
    this.messages = [];
  }
}

/** A node's connection to it. */
export class FakeLink {
  readonly nats: FakeNats;
  #live: Live | null = null;
  #lose = new AbortController();
  readonly #wake = new Set<() => void>();

  constructor(nats: FakeNats) {
    this.nats = nats;
  }

  get live(): Live | null {
    return this.#live;
  }

  connect(): void {
    this.#lose = new AbortController();
    const kv = { watch: (how: Watch) => Promise.resolve(this.#watch(how)), create: this.#create };
    const info = () => Promise.resolve(this.#info());
    const live = {
      js: { views: { kv: () => Promise.resolve(kv) }, publish: this.#publish },
      manager: { streams: { info, add: info } },
      lost: this.#lose.signal,
    };
    this.#live = live as unknown as Live;
    for (const wake of [...this.#wake]) wake();
  }

  disconnect(): void {
    this.#live = null;
    this.#lose.abort();
  }

  async whenLive(signal: AbortSignal): Promise<Live | null> {
    while (this.#live === null) {
      if (signal.aborted) return null;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#wake.delete(done);
          resolve();
        };
        this.#wake.add(done);
        signal.addEventListener("abort", done, { once: true });
      });
    }
    return this.#live;
  }

  #info() {
    const { created, messages, last } = this.nats;
    return { created, config: {}, state: { last_seq: last, messages: messages.length } };
  }

  readonly #create = async (key: string, value: Uint8Array): Promise<number> => {
    await this.#answers();
    if (this.nats.latest(key)?.operation === "PUT") throw wrongSequence();
    return this.nats.store(key, value, "PUT");
  };

  readonly #publish = async (subject: string, data: Uint8Array, how: PublishHow = {}): Promise<{ seq: number }> => {
    await this.#answers();
    const { nats } = this;
    if (!subject.startsWith("$KV.")) {
      if (nats.refusingRecords !== null) throw new Error(nats.refusingRecords);
      nats.records.push(JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>);
      return { seq: nats.records.length };
    }
    nats.meanwhile?.();
    nats.meanwhile = null;
    if (how.expect?.lastSequence !== undefined && how.expect.lastSequence !== nats.last) throw wrongSequence();
    const operation = how.headers?.get("KV-Operation") === "DEL" ? "DEL" : "PUT";
    const seq = nats.store(subject.split(".").slice(2).join("."), data, operation);
    const { silence } = nats;
    nats.silence = null;
    if (silence !== null) throw new Error(silence);
    return { seq };
  };

  async #answers(): Promise<void> {
    await Promise.resolve();
    if (this.nats.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.nats.delayMs));
    if (this.nats.refusing !== null) throw new Error(this.nats.refusing);
    if (this.#lose.signal.aborted) throw new Error("disconnected");
  }

  #watch({ initializedFn }: Watch) {
    const queue: (Message | "whole")[] = [];
    let wake = (): void => {};
    let over = false;
    const { nats } = this;
    const hear = (message: Message): void => {
      queue.push(message);
      wake();
    };
    for (const key of new Set(nats.messages.map((message) => message.key))) {
      const latest = nats.latest(key);
      if (latest !== undefined) queue.push(latest);
    }
    queue.push("whole");
    nats.watchers.add(hear);
    const stop = (): void => {
      over = true;
      nats.watchers.delete(hear);
      wake();
    };
    async function* entries() {
      while (!over) {
        const next = queue.shift();
        if (next === "whole") initializedFn();
        else if (next !== undefined) yield { ...next, delta: queue.length };
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    }
    return { stop, [Symbol.asyncIterator]: entries };
  }
}

interface Watch {
  initializedFn(): void;
}

function wrongSequence(): NatsError {
  const error = new NatsError("wrong last sequence", "400");
  error.api_error = { code: 400, err_code: 10_071, description: "wrong last sequence" };
  return error;
}
