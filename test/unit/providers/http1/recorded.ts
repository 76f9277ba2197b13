/** A handler that keeps what it is told, and holds it against the order in which it may be told. */
import { expect } from "vitest";
import type { UpstreamFailureKind, UpstreamHandler } from "../../../../src/providers/upstream.js";

const LONGEST_WAIT_MS = 15_000;

/** Waits until it holds, and fails with its name when that takes too long. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + LONGEST_WAIT_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What a test does on top of keeping what is told. */
export interface Reactions {
  head?(): void;
  /** The return value is the handler's; nothing = true. */
  data?(chunk: Buffer): boolean | undefined;
  end?(): void;
  failure?(kind: UpstreamFailureKind): void;
}

export class Recorded implements UpstreamHandler {
  status = 0;
  headers: readonly string[] = [];
  readonly chunks: Buffer[] = [];
  bytes = 0;
  ended = false;
  failure: { kind: UpstreamFailureKind; message: string } | null = null;
  /** The test has given the call up: nothing more may be told. */
  left = false;
  /** When the end or the failure was told. */
  overAt = 0;
  readonly violations: string[] = [];
  readonly #reactions: Reactions;

  constructor(reactions: Reactions = {}) {
    this.#reactions = reactions;
  }

  get over(): boolean {
    return this.ended || this.failure !== null;
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.body.toString("latin1");
  }

  onHead(status: number, headers: readonly string[]): void {
    this.#check("onHead", this.status === 0);
    this.status = status;
    this.headers = headers;
    this.#reactions.head?.();
  }

  onData(chunk: Buffer): boolean {
    this.#check("onData", this.status !== 0);
    this.#check("onData without bytes", chunk.length > 0);
    // A chunk is the handler's to keep: it must read the same later.
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    return this.#reactions.data?.(chunk) ?? true;
  }

  onEnd(): void {
    this.#check("onEnd", this.status !== 0);
    this.ended = true;
    this.overAt = performance.now();
    this.#reactions.end?.();
  }

  onFailure(kind: UpstreamFailureKind, message: string): void {
    this.#check("onFailure", true);
    this.failure = { kind, message };
    this.overAt = performance.now();
    this.#reactions.failure?.(kind);
  }

  /** Waits for the end or the failure. */
  async whenOver(): Promise<this> {
    await until(() => this.over, "the call is over");
    return this;
  }

  #check(what: string, inOrder: boolean): void {
    if (!inOrder || this.over || this.left) this.violations.push(what);
  }
}

/** Everything that was told came in order. */
export function expectOrder(all: readonly Recorded[]): void {
  expect(all.flatMap(({ violations }) => violations)).toEqual([]);
}
