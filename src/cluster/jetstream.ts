/** What every user of JetStream asks: is a stream there, and which refusal is this? */
import { type JetStreamManager, NatsError, type StreamInfo } from "./connection.js";

/** JetStream's own error codes. There is no such stream; */
export const NO_STREAM = 10_059;
/** the stream has no such message; */
export const NO_MESSAGE = 10_037;
/** somebody else has written meanwhile. */
export const WRONG_SEQUENCE = 10_071;

/** null: there is no such stream. */
export async function findStream(manager: JetStreamManager, stream: string): Promise<StreamInfo | null> {
  try {
    return await manager.streams.info(stream);
  } catch (error) {
    if (errorCode(error) === NO_STREAM) return null;
    throw error;
  }
}

/** JetStream's own code of an error; 0 = none. */
export function errorCode(error: unknown): number {
  return error instanceof NatsError ? (error.api_error?.err_code ?? 0) : 0;
}
