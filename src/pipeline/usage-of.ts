/** From an attempt to its usage event: what the upstream said, and estimates where it said nothing. */
import { dollarsOf } from "../usage/dollars.js";
import { costMicros } from "../usage/pricing.js";
import type { UsageEvent } from "../usage/event.js";
import { guessPromptTokens } from "../quota/window.js";
import type { AnswerSample } from "./answer-sample.js";
import type { Attempt } from "./attempt.js";
import { AttemptEvent } from "./attempt-event.js";
import type { Exchange } from "./exchange.js";
import { type LateUse, lateUse } from "./late-use.js";
import type { Node } from "./node.js";
import { useOf } from "./operation-use.js";

/** A delta event carries a token or two in some hundred bytes of JSON. */
const STREAM_BYTES_PER_TOKEN = 100;
const WHOLE_BYTES_PER_TOKEN = 4;

/**
 * Starts an estimate when the upstream answered but did not say (all of) its usage; null when none is
 * needed. The promise never rejects and never takes longer than `usage.estimate_wait_ms`.
 */
export function missingUsage(attempt: Attempt, sample: AnswerSample): Promise<void> | null {
  const { exchange, tally, head } = attempt;
  const use = useOf(exchange.speech.operation);
  const clientLeft = attempt.concluded?.error === "client_closed_request";
  const answered = head !== null && head.status < 300;
  const used = answered || (clientLeft && head === null);
  if (used && use.counted) measureUnits(attempt, clientLeft);
  const said = tally.complete(use.guessesOutput) && !(use.guessesOutput && cutShort(attempt));
  if (!use.guessesInput || said || !used) return null;
  // A failure of which nobody was shown anything gives its tokens back, but for what its upstream said.
  if (attempt.mishap !== null && !exchange.sink.started) return null;
  attempt.estimated = true;
  const job = attempt.node.estimator.estimate({
    dialect: exchange.speech.dialect.id,
    operation: exchange.speech.operation,
    request: exchange.body,
    answer: sample.bytes(),
    answerBytesTotal: sample.total,
    streamed: exchange.view?.stream === true,
  });
  return withinTime(job, attempt.node.config.usage.estimate_wait_ms).then((counted) => {
    if (tally.inputTokens < 0) tally.inputTokens = counted?.inputTokens ?? guessPromptTokens(exchange.body.length);
    if (!use.guessesOutput) tally.outputTokens = 0;
    else if (tally.outputTokens < 0 || clientLeft || cutShort(attempt)) {
      const bytesPerToken = exchange.view?.stream === true ? STREAM_BYTES_PER_TOKEN : WHOLE_BYTES_PER_TOKEN;
      const counts = counted?.outputTokens ?? Math.ceil(attempt.answerBytes / bytesPerToken);
      tally.outputTokens = Math.max(tally.outputTokens, counts);
    }
  });
}

/** Units that the request tells of: what an upstream that broke off has done of it, nobody knows. */
function measureUnits(attempt: Attempt, clientLeft: boolean): void {
  const { exchange, tally, concluded, head } = attempt;
  const { view, body, speech } = exchange;
  if (view === null || speech.dialect.measureRequest === undefined) return;
  if (concluded?.complete !== true && !clientLeft) return;
  speech.dialect.measureRequest(speech.operation, body, view, tally);
  if (tally.unitsGuessed || head === null) attempt.estimated = true;
}

/** A stream's count at its start says nothing of what followed; only one that came to its stop has said it all. */
function cutShort({ exchange, tally, concluded }: Attempt): boolean {
  return concluded?.complete === false && exchange.view?.stream === true && tally.finishReason === "";
}

async function withinTime<T>(job: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((done) => {
    timer = setTimeout(() => done(null), ms);
  });
  try {
    return await Promise.race([job.catch(() => null), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The attempt's usage event. */
export function usageEventOf(attempt: Attempt): UsageEvent {
  const late = lateUse(attempt);
  const event = new AttemptEvent(attempt, late);
  attempt.exchange.usage = event;
  const { exchange } = attempt;
  // What an inner call uses is its caller's.
  if (late === null) (exchange.parent ?? exchange).tokensUsed += event.input_tokens + event.output_tokens;
  charge(attempt, event, late);
  return event;
}

/** Puts what the attempt cost on its event, on the request's account and in the metrics. */
function charge({ candidate, exchange, head, node }: Attempt, event: UsageEvent, late: LateUse | null): void {
  const charged = head !== null && head.status < 300 && (late !== null || useOf(exchange.speech.operation).counted);
  // A client that left before the answer's head has been counted with an estimate.
  if (!charged && !event.estimated) return;
  const price = node.pricing.of(late?.model ?? candidate.model);
  event.price_known = price.known;
  const { entry } = candidate.model;
  countUnits(node, entry.name, event);
  if (!price.known) {
    node.counters.unknownPrices(entry.provider, entry.name).add(1);
    return;
  }
  const micros = costMicros(price, event) * (late?.share ?? 1);
  event.cost_usd = dollarsOf(micros);
  node.counters.cost(entry.provider, entry.name).add(event.cost_usd);
  // What the gateway asks for itself on the way is part of the caller's request.
  for (let at: Exchange | null = exchange; at !== null; at = at.parent) at.microsUsed += micros;
}

/** What is not counted in tokens; few operations use any of it. */
function countUnits({ metrics }: Node, model: string, event: UsageEvent): void {
  if (event.images + event.audio_seconds + event.characters + event.search_units === 0) return;
  for (const unit of ["images", "audio_seconds", "characters", "search_units"] as const) {
    if (event[unit] > 0) metrics.cell("weir_usage_units_total", model, unit).add(event[unit]);
  }
}
