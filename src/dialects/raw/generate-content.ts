/** What is read of raw requests in the generateContent wire, which callers speak nowhere else: usage and identity. */
import { answerReading, CapturedAnswer } from "../captured-answer.js";
import { type Dialect, FRAME, type StreamObserver } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import { keyTable } from "../json-text.js";
import { asCount, type JsonObject, scannedObject, scannedText } from "../json-values.js";
import { sseDataBytes } from "../sse.js";
import type { UsageTally } from "../usage-tally.js";
import { raw } from "./dialect.js";

const NAMES = ["usageMetadata", "modelVersion", "responseId"];
const KEYS = keyTable(NAMES);

function setUsage(tally: UsageTally, usage: JsonObject): void {
  const prompt = asCount(usage.promptTokenCount);
  const tools = Math.max(0, asCount(usage.toolUsePromptTokenCount));
  if (prompt >= 0) tally.inputTokens = prompt + tools;
  const thoughts = asCount(usage.thoughtsTokenCount);
  const said = asCount(usage.candidatesTokenCount);
  if (said >= 0 || thoughts >= 0) tally.outputTokens = Math.max(0, said) + Math.max(0, thoughts);
  else if (prompt >= 0 && tally.outputTokens < 0) tally.outputTokens = 0;
  if (thoughts >= 0) tally.reasoningTokens = thoughts;
  const cached = asCount(usage.cachedContentTokenCount);
  if (cached >= 0) tally.cacheReadTokens = cached;
}

const ANSWER = answerReading(NAMES, (tally, members) => {
  const counts = members.object(0);
  if (counts !== null) setUsage(tally, counts);
  tally.responseModel = members.text(1) || tally.responseModel;
  tally.responseId = members.text(2) || tally.responseId;
});

class ContentStreamObserver implements StreamObserver {
  readonly interest = /usageMetadata/g;
  private readonly tally: UsageTally;

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  observe(frame: Buffer): number {
    const data = sseDataBytes(frame);
    const scan = scanTopLevel(data, KEYS);
    const usage = scannedObject(scan, 0);
    if (usage !== null) setUsage(this.tally, usage);
    this.tally.responseModel = scannedText(scan, 1) || this.tally.responseModel;
    this.tally.responseId = scannedText(scan, 2) || this.tally.responseId;
    return FRAME.PASS;
  }
}

export const rawGenerateContent: Dialect = {
  ...raw,
  streamObserver: (_view, tally) => new ContentStreamObserver(tally),
  answerObserver: (_operation, tally) => new CapturedAnswer(tally, ANSWER),
};
