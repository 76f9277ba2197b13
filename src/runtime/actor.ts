/**
 * Mailboxes between threads. A sender collects the messages of one turn and posts them as one packed
 * batch; a counter in shared memory bounds how many may wait unread. What does not fit, and what is sent to
 * a dead actor, is a dead letter: counted, and reported to the sender by `false`.
 */
import { pack, unpack } from "./wire.js";

/** The part of a MessagePort or Worker that a mailbox needs. */
export interface Port {
  postMessage(bytes: Uint8Array): void;
  on(event: "message", listener: (bytes: Uint8Array) => void): unknown;
}

const DEPTH = 0;
const LOOK_MS = 1;

/** Shared counter of one mailbox; hand the same memory to both sides. */
export function allocateMailbox(): SharedArrayBuffer {
  return new SharedArrayBuffer(4);
}

/** The sending side of a mailbox. */
export class Outbox<Message> {
  readonly name: string;
  readonly #port: Port;
  readonly #gauge: Int32Array;
  readonly #capacity: number;
  #batch: Message[] = [];
  #dead = false;
  #sent = 0;
  #deadLetters = 0;

  constructor(name: string, port: Port, memory: SharedArrayBuffer, capacity: number) {
    this.name = name;
    this.#port = port;
    this.#gauge = new Int32Array(memory);
    this.#capacity = capacity;
  }

  /** Queues a message for the end of this turn. False: the mailbox is full or its actor is dead. */
  send(message: Message): boolean {
    if (this.#dead || Atomics.load(this.#gauge, DEPTH) >= this.#capacity) {
      this.#deadLetters += 1;
      return false;
    }
    Atomics.add(this.#gauge, DEPTH, 1);
    this.#sent += 1;
    if (this.#batch.push(message) === 1) queueMicrotask(() => this.flush());
    return true;
  }

  /** Posts what was collected, now. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#port.postMessage(pack(batch));
  }

  /**
   * Resolves when all that has been sent is read, when the actor is dead, or when the time is over. Whatever the
   * actor does from then on, it does with these messages behind it.
   */
  async read(timeoutMs: number): Promise<void> {
    const sent = this.#sent;
    const end = performance.now() + timeoutMs;
    while (!this.#dead && this.#sent - this.depth < sent && performance.now() < end) {
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  }

  /** The actor behind it has gone: everything sent from now on is a dead letter. */
  close(): void {
    this.#dead = true;
  }

  /** Messages sent and not yet read. */
  get depth(): number {
    return Atomics.load(this.#gauge, DEPTH);
  }

  get deadLetters(): number {
    return this.#deadLetters;
  }
}

/** Reads a mailbox: every message of a batch in order. */
export function receive<Message>(port: Port, memory: SharedArrayBuffer, handle: (message: Message) => void): void {
  const gauge = new Int32Array(memory);
  port.on("message", (bytes) => {
    for (const message of unpack<Message[]>(bytes)) {
      Atomics.sub(gauge, DEPTH, 1);
      handle(message);
    }
  });
}
