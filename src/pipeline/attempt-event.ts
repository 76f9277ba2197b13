/** The usage event of an attempt. A class, so that every event has one shape from its beginning: made once a request. */
import { timeText } from "../observability/logger.js";
import { USAGE_EVENT_VERSION, type UsageEvent } from "../usage/event.js";
import { newEventId } from "../usage/meter.js";
import { isEventStream } from "./answer-head.js";
import type { Attempt } from "./attempt.js";
import type { LateUse } from "./late-use.js";
import { useOf } from "./operation-use.js";
import { lossesOf } from "./translated-answer.js";

const MAX_USER_AGENT = 256;
const NO_ACTIONS: UsageEvent["guardrails"] = Object.freeze([]);
const NO_METADATA: UsageEvent["metadata"] = Object.freeze({});

export class AttemptEvent implements UsageEvent {
  readonly v = USAGE_EVENT_VERSION;
  readonly id: string;
  readonly request_id: string;
  readonly attempt: number;
  readonly time: string;
  readonly node: string;
  readonly operation: string;
  readonly client_dialect: string;
  readonly target_dialect: string;
  readonly api_key: string;
  readonly team_id: string | null;
  readonly user_id: string | null;
  readonly metadata: UsageEvent["metadata"];
  readonly model: string;
  readonly model_entry: string;
  readonly provider: string;
  readonly provider_key: string;
  readonly tags: UsageEvent["tags"];
  readonly upstream_model: string;
  readonly response_model: string;
  readonly response_id: string;
  readonly streamed: boolean;
  readonly status: number;
  readonly upstream_status: number;
  readonly error: string;
  readonly finish_reason: string;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_tokens: number;
  readonly cache_write_tokens: number;
  readonly cache_write_1h_tokens: number;
  readonly reasoning_tokens: number;
  readonly input_audio_tokens: number;
  readonly input_image_tokens: number;
  readonly output_audio_tokens: number;
  readonly images: number;
  readonly image_size: string;
  readonly image_quality: string;
  readonly audio_seconds: number;
  readonly characters: number;
  readonly search_units: number;
  /** Set when the price has been asked for. */
  cost_usd = 0;
  price_known = true;
  // Nothing is saved where an upstream answers.
  readonly saved_input_tokens = 0;
  readonly saved_output_tokens = 0;
  readonly saved_cost_usd = 0;
  readonly estimated: boolean;
  readonly complete: boolean;
  readonly duration_ms: number;
  readonly time_to_first_token_ms: number;
  readonly request_bytes: number;
  readonly response_bytes: number;
  readonly client_address: string;
  readonly user_agent: string;
  readonly cache: UsageEvent["cache"];
  readonly losses: readonly string[];
  readonly guardrails: UsageEvent["guardrails"];

  constructor(attempt: Attempt, late: LateUse | null) {
    const { exchange, target, tally, head, concluded } = attempt;
    const { model } = attempt.candidate;
    const key = exchange.keyResource;
    const now = performance.now();
    this.id = late?.eventId ?? newEventId();
    this.request_id = exchange.id;
    this.attempt = attempt.number;
    this.time = timeText(exchange.startedAtWall + (now - exchange.startedAt));
    this.node = attempt.node.name;
    this.operation = exchange.route.operation;
    this.client_dialect = exchange.route.dialect.id;
    this.target_dialect = target.dialect;
    this.api_key = key === null ? "" : key.name;
    this.team_id = key === null ? null : key.teamId;
    this.user_id = key === null ? null : key.userId;
    this.metadata = key === null ? NO_METADATA : key.metadata;
    // What the caller has named, also where the gateway asks another model for it on the way.
    this.model = (exchange.parent ?? exchange).view?.model ?? "";
    this.model_entry = model.entry.name;
    this.provider = target.provider;
    this.provider_key = target.providerKey;
    this.tags = model.providerKey.telemetryTags;
    this.upstream_model = model.upstreamModel;
    this.response_model = tally.responseModel;
    this.response_id = tally.responseId;
    this.streamed = isStreamed(attempt);
    this.status = concluded === null ? 0 : concluded.status;
    this.upstream_status = head === null ? 0 : head.status;
    this.error = concluded === null ? "" : concluded.error;
    this.finish_reason = tally.finishReason;
    const counts = isCounted(attempt, late);
    this.input_tokens = counts ? Math.max(0, tally.inputTokens) : 0;
    this.output_tokens = counts ? Math.max(0, tally.outputTokens) : 0;
    this.cache_read_tokens = counts ? Math.max(0, tally.cacheReadTokens) : 0;
    this.cache_write_tokens = counts ? Math.max(0, tally.cacheWriteTokens) : 0;
    this.cache_write_1h_tokens = counts ? Math.max(0, tally.cacheWriteHourTokens) : 0;
    this.reasoning_tokens = counts ? Math.max(0, tally.reasoningTokens) : 0;
    this.input_audio_tokens = counts ? Math.max(0, tally.inputAudioTokens) : 0;
    this.input_image_tokens = counts ? Math.max(0, tally.inputImageTokens) : 0;
    this.output_audio_tokens = counts ? Math.max(0, tally.outputAudioTokens) : 0;
    this.images = counts ? Math.max(0, tally.images) : 0;
    this.image_size = tally.imageSize;
    this.image_quality = tally.imageQuality;
    this.audio_seconds = counts ? Math.max(0, tally.audioSeconds) : 0;
    this.characters = counts ? Math.max(0, tally.characters) : 0;
    this.search_units = counts ? Math.max(0, tally.searchUnits) : 0;
    this.estimated = attempt.estimated;
    this.complete = concluded?.complete === true;
    this.duration_ms = milliseconds(now - attempt.startedAt);
    this.time_to_first_token_ms = attempt.firstByteAt === 0 ? 0 : milliseconds(attempt.firstByteAt - attempt.startedAt);
    this.request_bytes = exchange.body.length;
    this.response_bytes = attempt.answerBytes;
    this.client_address = exchange.clientAddress;
    this.user_agent = exchange.headers.userAgent.slice(0, MAX_USER_AGENT);
    this.cache = exchange.cache;
    this.losses = lossesOf(attempt);
    this.guardrails = exchange.screening?.actions ?? NO_ACTIONS;
  }
}

/** A request that passes as it is need not say that it wants a stream: its path may, or the upstream decides. */
function isStreamed({ exchange, head }: Attempt): boolean {
  if (exchange.view?.stream === true) return true;
  return head !== null && exchange.route.operation === "passthrough" && isEventStream(head.contentType);
}

function isCounted(attempt: Attempt, late: LateUse | null): boolean {
  if (attempt.estimated) return true;
  if (attempt.head === null || attempt.head.status >= 300) return false;
  return late !== null || useOf(attempt.exchange.speech.operation).counted;
}

function milliseconds(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
