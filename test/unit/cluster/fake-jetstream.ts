/** JetStream in memory, as far as the usage stream needs it: dedupes, forgets, refuses, and loses what it had. */
import { type Live, NatsError } from "../../../src/cluster/connection.js";

interface Stored {
  readonly sequence: number;
  readonly id: string;
  readonly subject: string;
  readonly data: Uint8Array;
}

type Publish = { readonly msgID: string };

export class FakeJetStream {
  stored: Stored[] = [];
  /** Ids that are remembered. */
  readonly window = new Set<string>();
  /** Every id that was sent, in order. */
  readonly sent: string[] = [];
  /** Events stored, but not acknowledged, from this one on. */
  silentFrom = Number.POSITIVE_INFINITY;
  refusing: string | null = null;
  firstSequence = 1;
  #last = 0;
  #lose = new AbortController();
  #live: Live | null = null;
  #wake: (() => void)[] = [];

  /** The connection comes. */
  connect(): void {
    this.#lose = new AbortController();
    const live = { js: this.#client(), manager: this.#manager(), lost: this.#lose.signal };
    this.#live = live as unknown as Live;
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** The connection goes. */
  disconnect(): void {
    this.#live = null;
    this.#lose.abort();
  }

  /** The newest messages are gone, and the server knows nothing of them. */
  loseNewest(count: number): void {
    for (const { id } of this.stored.splice(-count)) this.window.delete(id);
    this.#last = this.stored.at(-1)?.sequence ?? 0;
  }

  /** As another node's event would. */
  storeForeign(id: string): void {
    this.#store(id, "weir.usage.other.model", Buffer.from("{}"));
  }

  get ids(): string[] {
    return this.stored.map(({ id }) => id);
  }

  get live(): Live | null {
    return this.#live;
  }

  async whenLive(signal: AbortSignal): Promise<Live | null> {
    while (this.#live === null && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        signal.addEventListener("abort", () => resolve());
      });
    }
    return this.#live;
  }

  #store(id: string, subject: string, data: Uint8Array): number {
    this.#last += 1;
    this.stored.push({ sequence: this.#last, id, subject, data });
    this.window.add(id);
    return this.#last;
  }

  #client() {
    const lost = this.#lose.signal;
    return {
      publish: async (subject: string, data: Uint8Array, { msgID }: Publish) => {
        await Promise.resolve();
        if (this.refusing !== null) throw new Error(this.refusing);
        if (lost.aborted) throw new Error("disconnected");
        this.sent.push(msgID);
        const duplicate = this.window.has(msgID);
        const seq = duplicate
          ? (this.stored.find(({ id }) => id === msgID)?.sequence ?? 0)
          : this.#store(msgID, subject, data);
        if (this.sent.length > this.silentFrom) await new Promise(() => {});
        return { seq, duplicate };
      },
      consumers: { get: (_stream: string, name: string) => Promise.resolve(this.#consumer(Number(name))) },
    };
  }

  #consumer(from: number) {
    let next = from;
    const fetch = () => {
      const batch = this.stored.filter(({ sequence }) => sequence >= next);
      const base = this.stored.filter(({ sequence }) => sequence >= from && sequence < next).length;
      next = this.#last + 1;
      const messages = batch.map(({ sequence, id, data }, index) => ({
        seq: sequence,
        data,
        headers: { get: () => id },
        info: { deliverySequence: base + index + 1 },
      }));
      return Promise.resolve({ stop: () => {}, [Symbol.asyncIterator]: () => toAsync(messages) });
    };
    return { fetch };
  }

  #manager() {
    const state = () => ({ first_seq: this.firstSequence, last_seq: this.#last, messages: this.stored.length });
    const info = () => Promise.resolve({ config: {}, created: "then", state: state() });
    const getMessage = (_stream: string, { seq }: { readonly seq: number }) => {
      const found = this.stored.find(({ sequence }) => sequence === seq);
      if (found === undefined) return Promise.reject(noMessage());
      return Promise.resolve({ header: { get: () => found.id } });
    };
    return {
      streams: { info, update: info, add: info, getMessage },
      consumers: {
        add: (_stream: string, { opt_start_seq }: { opt_start_seq: number }) =>
          Promise.resolve({ name: String(opt_start_seq) }),
        delete: () => Promise.resolve(true),
      },
    };
  }
}

async function* toAsync<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function noMessage(): NatsError {
  const error = new NatsError("no message found", "404");
  error.api_error = { code: 404, err_code: 10_037, description: "no message found" };
  return error;
}
