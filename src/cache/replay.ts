/** A kept answer, told as its next caller wants to hear it. */
import { asStream, asWhole, type ModeRequest, withoutUsage, withUsage } from "../dialects/answer-modes.js";
import type { CachedAnswer } from "./entry.js";

/** A longer answer is not told in the other mode: it would be read on the thread that serves everybody. */
const MAX_CONVERTED_BYTES = 1024 * 1024;
const EVENT_STREAM = "text/event-stream; charset=utf-8";
const JSON_TYPE = "application/json";

export interface Replay {
  readonly body: Buffer;
  readonly contentType: string;
  readonly streamed: boolean;
}

/** null: the answer cannot be told in the way that is asked for; the upstream can. */
export function replay({ meta, body }: CachedAnswer, request: ModeRequest): Replay | null {
  const { stream } = request.view;
  if ((meta.mode === "stream") === stream) {
    const bytes = stream ? usageAsAsked({ meta, body }, request) : body;
    return { body: bytes, contentType: meta.contentType, streamed: stream };
  }
  if (body.length > MAX_CONVERTED_BYTES) return null;
  const converted = stream ? asStream(body, request) : asWhole(body, request);
  return converted && { body: converted, contentType: stream ? EVENT_STREAM : JSON_TYPE, streamed: stream };
}

/** Whoever asks for usage in the stream gets it, whether it was asked for when the answer was made, or not. */
function usageAsAsked({ meta, body }: CachedAnswer, request: ModeRequest): Buffer {
  if (meta.usageShown === request.view.usageAsked) return body;
  if (!request.view.usageAsked) return withoutUsage(body, request);
  return withUsage(body, {
    input: meta.inputTokens,
    output: meta.outputTokens,
    cacheRead: meta.cacheReadTokens,
    cacheWrite: meta.cacheWriteTokens,
    reasoning: meta.reasoningTokens,
  });
}
