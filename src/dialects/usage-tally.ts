const NO_LOSSES: readonly string[] = Object.freeze([]);

/** What is known of one attempt's usage so far. -1 = not said. Cumulative counts are set, never added. */
export class UsageTally {
  /** Every prompt token, cached ones included (input + cache read + cache write of the Anthropic shape). */
  inputTokens = -1;
  outputTokens = -1;
  cacheReadTokens = -1;
  cacheWriteTokens = -1;
  /** Part of cacheWriteTokens: what is kept for an hour. */
  cacheWriteHourTokens = -1;
  /** Part of outputTokens. */
  reasoningTokens = -1;
  /** Parts of inputTokens: sound listened to, pictures looked at. */
  inputAudioTokens = -1;
  inputImageTokens = -1;
  /** Part of outputTokens: sound spoken. */
  outputAudioTokens = -1;
  /** Images made; of a stream, those that have come. */
  images = -1;
  /** Of the images; "" until said. */
  imageSize = "";
  imageQuality = "";
  /** Seconds of sound that were listened to. */
  audioSeconds = -1;
  /** Unicode characters that were spoken. */
  characters = -1;
  searchUnits = -1;
  /** One of these units is the gateway's own guess. */
  unitsGuessed = false;
  /** What these counts are of, where an upstream tells them again and again: they count the first time; "" = always. */
  countsOnceAs = "";
  /** The model's name as the upstream gives it; "" until said. */
  responseModel = "";
  /** The answer's id; "" until said. */
  responseId = "";
  /** The upstream's own stop reason; "" until said. */
  finishReason = "";
  /** An error seen inside the stream: its type or code, cut to 64 characters; "" = none. */
  streamError = "";
  /** What the caller's dialect could not say of the answer, beyond what the request had lost before. */
  losses: readonly string[] = NO_LOSSES;

  /** Does the tally hold what a usage event needs, or must it be estimated? */
  complete(needsOutput: boolean): boolean {
    return this.inputTokens >= 0 && (!needsOutput || this.outputTokens >= 0);
  }
}
