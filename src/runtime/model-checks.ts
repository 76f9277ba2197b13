/** Background checks of models: the main thread says when, an acceptor makes the call. */
import { type CheckedModel, type ProbeCall, Prober } from "../routing/prober.js";
import type { SharedRouting } from "../routing/shared.js";
import type { AcceptorMessage } from "./messages.js";

const NO_CALL = -1;

export class ModelChecks {
  readonly #routing: SharedRouting;
  readonly #send: (message: AcceptorMessage) => boolean;
  readonly #prober: Prober;
  readonly #waiting = new Map<number, (status: number) => void>();
  #ticket = 0;

  /** `send`: to some acceptor that listens; false when there is none. */
  constructor(routing: SharedRouting, send: (message: AcceptorMessage) => boolean) {
    this.#routing = routing;
    this.#send = send;
    const probe = (model: CheckedModel, call: ProbeCall) => this.#probe(model, call);
    this.#prober = new Prober(routing.health, probe, () => routing.otherNodes);
  }

  /** New resources are in force. */
  adopt(): void {
    this.#prober.adopt(this.#routing.checked());
  }

  /** An acceptor has made a call. `status`: the upstream's; 0 = it sent none; -1 = no call was made. */
  answered(ticket: number, status: number): void {
    this.#waiting.get(ticket)?.(status);
  }

  /** An acceptor has died, perhaps with a call under way; those of others are made again when they are due. */
  abandon(): void {
    for (const answered of [...this.#waiting.values()]) answered(NO_CALL);
  }

  stop(): void {
    this.#prober.stop();
  }

  async #probe({ name }: CheckedModel, call: ProbeCall): Promise<{ readonly status: number }> {
    const ticket = ++this.#ticket;
    const { prompt, maxTokens, timeoutMs, signal } = call;
    try {
      const status = await new Promise<number>((done) => {
        this.#waiting.set(ticket, done);
        signal.addEventListener("abort", () => done(0));
        if (!this.#send({ kind: "probe", ticket, model: name, prompt, maxTokens, timeoutMs })) done(NO_CALL);
      });
      return { status };
    } finally {
      this.#waiting.delete(ticket);
    }
  }
}
