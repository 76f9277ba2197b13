/** One request to an upstream: what is sent, who hears of the answer, and how it is given up. */
import type { RequestHead } from "./request-head.js";
import type { UpstreamFailureKind, UpstreamHandler } from "../upstream.js";

/** What carries a call at the moment. */
export interface Carrier {
  /** Nobody wants the answer any more. */
  drop(call: Call): void;
  resume(call: Call): void;
}

/** What a connection needs of a request. */
export interface CallRequest {
  readonly head: RequestHead;
  /** null = none. */
  readonly body: Buffer | readonly Buffer[] | null;
  /** The answer has no body whatever its head says: HEAD. */
  readonly bodiless: boolean;
  /** Milliseconds until the answer's head must have come; 0 = none. */
  readonly firstByteMs: number;
  /** Longest silence inside the answer's body, milliseconds; 0 = none. */
  readonly idleMs: number;
}

export class Call {
  readonly request: CallRequest;
  readonly handler: UpstreamHandler;
  /** Told what the handler throws, which concerns no other call. */
  readonly reportFault: (error: unknown) => void;
  carrier: Carrier | null = null;
  /** Nobody is to hear of it any more. */
  done = false;

  constructor(request: CallRequest, handler: UpstreamHandler, reportFault: (error: unknown) => void) {
    this.request = request;
    this.handler = handler;
    this.reportFault = reportFault;
  }

  abort(): void {
    if (this.done) return;
    this.done = true;
    this.carrier?.drop(this);
  }

  resume(): void {
    this.carrier?.resume(this);
  }

  /** Tells of the end, once. */
  end(): void {
    this.#tell(() => this.handler.onEnd());
  }

  /** Tells of a failure, once. */
  fail(kind: UpstreamFailureKind, message: string): void {
    this.#tell(() => this.handler.onFailure(kind, message));
  }

  #tell(last: () => void): void {
    if (this.done) return;
    this.done = true;
    try {
      last();
    } catch (error) {
      this.reportFault(error);
    }
  }
}
