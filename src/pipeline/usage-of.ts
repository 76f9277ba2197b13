/** From an attempt to its usage event: what the upstream said, and estimates where it said nothing. */
import type { UsageTally } from "../dialects/usage-tally.js";
import { timeText } from "../observability/logger.js";
import { dollarsOf } from "../usage/dollars.js";
import { costMicros } from "../usage/pricing.js";
import { newEventId, usageLine } from "../usage/meter.js";
import { type NO_UNITS, USAGE_EVENT_VERSION, type UsageEvent } from "../usage/event.js";
import { guessPromptTokens } from "../quota/window.js";
import type { AnswerSample } from "./answer-sample.js";
import type { Attempt } from "./attempt.js";
import type { Exchange } from "./exchange.js";
import { type LateUse, lateUse } from "./late-use.js";
import type { Node } from "./node.js";
import { useOf } from "./operation-use.js";
import { lossesOf } from "./translated-answer.js";

const MAX_USER_AGENT = 256;
/** A delta event carries a token or two in some hundred bytes of JSON. */
const STREAM_BYTES_PER_TOKEN = 100;
const WHOLE_BYTES_PER_TOKEN = 4;
const NO_ACTIONS: UsageEvent["guardrails"] = Object.freeze([]);

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

/** The attempt's usage event as one line of JSON. */
export function usageLineOf(attempt: Attempt): string {
  const late = lateUse(attempt);
  const event = usageEventOf(attempt, late);
  attempt.exchange.usage = event;
  const { exchange } = attempt;
  // What an inner call uses is its caller's.
  if (late === null) (exchange.parent ?? exchange).tokensUsed += event.input_tokens + event.output_tokens;
  charge(attempt, event, late);
  return usageLine(event);
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

function unitsOf(tally: UsageTally, count: (units: number) => number): Pick<UsageEvent, keyof typeof NO_UNITS> {
  return {
    images: count(tally.images),
    image_size: tally.imageSize,
    image_quality: tally.imageQuality,
    audio_seconds: count(tally.audioSeconds),
    characters: count(tally.characters),
    search_units: count(tally.searchUnits),
  };
}

/** What is not counted in tokens; few operations use any of it. */
function countUnits({ metrics }: Node, model: string, event: UsageEvent): void {
  for (const unit of ["images", "audio_seconds", "characters", "search_units"] as const) {
    if (event[unit] > 0) metrics.cell("weir_usage_units_total", model, unit).add(event[unit]);
  }
}

/** Of an attempt whose price has not been asked for; nothing is saved where an upstream answers. */
const UNCHARGED = Object.freeze({
  cost_usd: 0,
  price_known: true,
  saved_input_tokens: 0,
  saved_output_tokens: 0,
  saved_cost_usd: 0,
});

function usageEventOf(attempt: Attempt, late: LateUse | null): UsageEvent {
  const { exchange, target, tally, head, concluded, node } = attempt;
  const key = exchange.keyResource;
  const now = performance.now();
  const uses = late !== null || useOf(exchange.speech.operation).counted;
  const counted = uses && head !== null && head.status < 300;
  const count = (tokens: number) => (counted || attempt.estimated ? Math.max(0, tokens) : 0);
  return {
    v: USAGE_EVENT_VERSION,
    id: late?.eventId ?? newEventId(),
    request_id: exchange.id,
    attempt: attempt.number,
    time: timeText(exchange.startedAtWall + (now - exchange.startedAt)),
    node: node.name,
    operation: exchange.route.operation,
    client_dialect: exchange.route.dialect.id,
    target_dialect: target.dialect,
    api_key: key?.name ?? "",
    team_id: key?.teamId ?? null,
    user_id: key?.userId ?? null,
    metadata: key?.metadata ?? {},
    // What the caller has named, also where the gateway asks another model for it on the way.
    model: (exchange.parent ?? exchange).view?.model ?? "",
    model_entry: attempt.candidate.model.entry.name,
    provider: target.provider,
    provider_key: target.providerKey,
    tags: attempt.candidate.model.providerKey.telemetryTags,
    upstream_model: attempt.candidate.model.upstreamModel,
    response_model: tally.responseModel,
    response_id: tally.responseId,
    streamed: exchange.view?.stream === true,
    status: concluded?.status ?? 0,
    upstream_status: head?.status ?? 0,
    error: concluded?.error ?? "",
    finish_reason: tally.finishReason,
    input_tokens: count(tally.inputTokens),
    output_tokens: count(tally.outputTokens),
    cache_read_tokens: count(tally.cacheReadTokens),
    cache_write_tokens: count(tally.cacheWriteTokens),
    cache_write_1h_tokens: count(tally.cacheWriteHourTokens),
    reasoning_tokens: count(tally.reasoningTokens),
    ...unitsOf(tally, count),
    ...UNCHARGED,
    estimated: attempt.estimated,
    complete: concluded?.complete === true,
    duration_ms: milliseconds(now - attempt.startedAt),
    time_to_first_token_ms: attempt.firstByteAt === 0 ? 0 : milliseconds(attempt.firstByteAt - attempt.startedAt),
    request_bytes: exchange.body.length,
    response_bytes: attempt.answerBytes,
    client_address: exchange.clientAddress,
    user_agent: exchange.headers.userAgent.slice(0, MAX_USER_AGENT),
    cache: exchange.cache,
    losses: lossesOf(attempt),
    guardrails: exchange.screening?.actions ?? NO_ACTIONS,
  };
}

function milliseconds(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
