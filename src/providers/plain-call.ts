/** A POST of JSON to a service that is no model's upstream: bounded in time and size, over kept connections. */
import type { UpstreamFailureKind, Upstreams } from "./upstream.js";

export interface PlainCall {
  /** Absolute http or https address. */
  readonly url: string;
  /** Flat list of names and values, beside the content's own. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** Milliseconds for the whole call. */
  readonly timeoutMs: number;
  /** Ends the call at once. */
  readonly signal: AbortSignal;
}

export interface PlainAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Why there is no answer; says nothing of what was sent. */
export class PlainCallError extends Error {
  override readonly name = "PlainCallError";
}

/** A verdict is a line; nothing sensible is longer. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

const CONTENT = ["content-type", "application/json", "accept", "application/json", "accept-encoding", "identity"];

/** Resolves with whatever status came; rejects with PlainCallError when there is no whole answer in time. */
export function postPlain(upstreams: Upstreams, call: PlainCall): Promise<PlainAnswer> {
  const { origin, pathname, search } = new URL(call.url);
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    let status = 0;
    const giveUp = (why: string): void => {
      end();
      request.abort();
      reject(new PlainCallError(why));
    };
    const timer = setTimeout(() => giveUp("no answer in time"), call.timeoutMs);
    const left = (): void => giveUp("given up");
    const end = (): void => {
      clearTimeout(timer);
      call.signal.removeEventListener("abort", left);
    };
    call.signal.addEventListener("abort", left);
    const handler = {
      onHead(answered: number): void {
        status = answered;
      },
      onData(chunk: Buffer): boolean {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) giveUp("the answer is too large");
        else pieces.push(chunk);
        return true;
      },
      onEnd(): void {
        end();
        resolve({ status, body: Buffer.concat(pieces) });
      },
      onFailure(kind: UpstreamFailureKind, message: string): void {
        end();
        reject(new PlainCallError(`${kind} (${message})`));
      },
    };
    const request = upstreams.send(
      {
        origin,
        path: pathname + search,
        headers: [...CONTENT, ...call.headers],
        body: call.body,
        firstByteMs: call.timeoutMs,
        idleMs: call.timeoutMs,
        tls: null,
      },
      handler,
      performance.now(),
    );
    if (call.signal.aborted) left();
  });
}
