/** Reads a stream in its order, from a sequence on. */
import { AckPolicy, DeliverPolicy, type Live, nanos } from "./connection.js";

const BATCH = 500;
const EXPIRES_MS = 2_000;
const INACTIVE_MS = 30_000;

export interface StreamMessage {
  readonly sequence: number;
  /** The message id that the sender gave, or the header that was asked for; "" = none. */
  readonly id: string;
  readonly data: Uint8Array;
}

export interface ReadStreamOptions {
  readonly stream: string;
  /** The first sequence to read. */
  readonly from: number;
  /** The last one; null = whatever comes. */
  readonly until: number | null;
  /** Only messages of this subject. */
  readonly subject?: string;
  /** Without the bodies. */
  readonly headersOnly?: boolean;
  /** The header that is told as `id`. */
  readonly header?: string;
  /** Ends the reading, without an error. */
  readonly signal: AbortSignal;
}

/**
 * Every message once and in order. Ends behind `until`, when the signal aborts, or when the connection is lost;
 * rejects when NATS refuses or a message was missed. Whoever goes on begins behind the last sequence it has seen.
 */
export async function* readStream(live: Live, options: ReadStreamOptions): AsyncGenerator<StreamMessage> {
  const { stream, subject, from, until, headersOnly = false, header = "Nats-Msg-Id", signal } = options;
  if (until !== null && from > until) return;
  const { name } = await live.manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: Math.max(1, from),
    inactive_threshold: nanos(INACTIVE_MS),
    mem_storage: true,
    num_replicas: 1,
    max_deliver: 1,
    ...(headersOnly ? { headers_only: true } : {}),
    ...(subject === undefined ? {} : { filter_subject: subject }),
  });
  const over = AbortSignal.any([signal, live.lost]);
  try {
    const consumer = await live.js.consumers.get(stream, name);
    let delivered = 0;
    while (!over.aborted) {
      const before = delivered;
      const messages = await consumer.fetch({ max_messages: BATCH, expires: EXPIRES_MS });
      const stop = (): void => messages.stop();
      over.addEventListener("abort", stop);
      try {
        for await (const message of messages) {
          delivered += 1;
          if (message.info.deliverySequence !== delivered) throw new Error("messages of the stream were missed");
          yield {
            sequence: message.seq,
            id: message.headers?.get(header) ?? "",
            data: message.data,
          };
          if (over.aborted || (until !== null && message.seq >= until)) return;
        }
      } finally {
        over.removeEventListener("abort", stop);
      }
      // What was to come has been removed meanwhile.
      if (until !== null && delivered === before) return;
    }
  } finally {
    if (!live.lost.aborted) void live.manager.consumers.delete(stream, name).catch(() => {});
  }
}
