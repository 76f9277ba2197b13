/** One way to send, whoever answers: an upstream over HTTP, or the built-in simulator. */
import { wholeBody } from "../dialects/body-pieces.js";
import type { DialectId, Operation } from "../dialects/dialect.js";
import { type PlainAnswer, type PlainCall, postPlain } from "./plain-call.js";
import { simulatedCall } from "./simulator/call.js";
import type { Target } from "./target.js";
import { type UpstreamCall, type UpstreamHandler, type UpstreamOptions, Upstreams } from "./upstream.js";

export interface OutgoingRequest {
  readonly operation: Operation;
  /** In capitals; "POST" where it is not said. */
  readonly method?: string;
  /** Path and query at the target. */
  readonly path: string;
  readonly headers: readonly string[];
  /** Whole, or in pieces. */
  readonly body: Buffer | readonly Buffer[];
  /** Milliseconds until the answer's head must have come; 0 = none. */
  readonly firstByteMs: number;
  /** Longest silence inside the answer's body, milliseconds; 0 = none. */
  readonly idleMs: number;
}

export class Sender {
  readonly #upstreams: Upstreams;

  constructor(options: UpstreamOptions) {
    this.#upstreams = new Upstreams(options);
  }

  /** Sends one request; never throws: failures reach the handler, and never before this call has returned. */
  send(target: Target, request: OutgoingRequest, handler: UpstreamHandler): UpstreamCall {
    if (target.simulated) {
      return simulatedCall(request.operation, target.dialect as DialectId, wholeBody(request.body), handler);
    }
    const { method = "POST", path, headers, body, firstByteMs, idleMs } = request;
    return this.#upstreams.send(
      { origin: target.origin, method, path, headers, body, firstByteMs, idleMs, tls: target.tls },
      handler,
      performance.now(),
    );
  }

  /** Asks a service that is no model's upstream. Rejects with PlainCallError. */
  post(call: PlainCall): Promise<PlainAnswer> {
    return postPlain(this.#upstreams, call);
  }

  /** Lets go of pools that nobody uses. */
  sweep(now: number): void {
    this.#upstreams.sweep(now);
  }

  /** Ends every connection. */
  destroy(): Promise<void> {
    return this.#upstreams.destroy();
  }
}
