/** Does the stream hold what a mark says? */
import { type JetStreamManager, NatsError } from "./connection.js";
import type { Mark } from "./usage-checkpoint.js";
import { NO_MESSAGE, errorCode } from "./jetstream.js";

export interface MarkCheck {
  readonly stream: string;
  readonly mark: Mark;
  /** The stream's first and last sequence. */
  readonly state: { readonly first_seq: number; readonly last_seq: number };
}

/**
 * False: the stream has another message in the mark's place, or none so far. A message that was there and went by
 * age, size or an operator's hand counts as stored. Rejects when NATS does not tell.
 */
export async function isStored(manager: JetStreamManager, { stream, mark, state }: MarkCheck): Promise<boolean> {
  if (mark.sequence > state.last_seq) return false;
  if (mark.sequence < state.first_seq) return true;
  try {
    const { header } = await manager.streams.getMessage(stream, { seq: mark.sequence });
    return header.get("Nats-Msg-Id") === mark.id;
  } catch (error) {
    if (errorCode(error) === NO_MESSAGE) return true;
    throw error;
  }
}

/** The message is longer than the server takes. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof NatsError && error.code === "MAX_PAYLOAD_EXCEEDED";
}
