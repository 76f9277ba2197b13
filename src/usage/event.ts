/**
 * The usage event: what one attempt used. Written to the journal as one JSON line, published to
 * subscribers as it is. Documented in docs/usage-events.md; a test holds the two equal.
 * Names follow the OpenTelemetry GenAI conventions where they have one, in snake case.
 */

export const USAGE_EVENT_VERSION = 1;

/** What a guardrail did with a request or its answer. */
export interface GuardrailAction {
  readonly name: string;
  readonly action: "monitor" | "mask" | "block";
  readonly hook: "input" | "output";
}

export interface UsageEvent {
  /** Schema version; grows when a field changes its meaning or goes. New fields do not change it. */
  v: typeof USAGE_EVENT_VERSION;
  /** Unique for the attempt; the message id for exactly-once delivery. */
  id: string;
  request_id: string;
  /** 1 for the first attempt of a request; 0 for an answer from the gateway's own cache. */
  attempt: number;
  /** Attempt's end, RFC 3339 with milliseconds, UTC. */
  time: string;
  node: string;
  operation: string;
  client_dialect: string;
  target_dialect: string;
  /** Display name of the caller's key; "" when the key was refused. */
  api_key: string;
  team_id: string | null;
  user_id: string | null;
  metadata: Readonly<Record<string, string>>;
  /** The model as the caller named it. */
  model: string;
  /** The configured model (pattern) that matched. */
  model_entry: string;
  provider: string;
  provider_key: string;
  /** The provider key's own labels. */
  tags: Readonly<Record<string, string>>;
  /** What the upstream was asked for. */
  upstream_model: string;
  /** What the upstream says it used. */
  response_model: string;
  response_id: string;
  streamed: boolean;
  /** Status the caller saw; 499 when the caller left first. */
  status: number;
  /** Status the upstream answered; 0 when there was none. */
  upstream_status: number;
  /** Code of the error table, or "" for success; "upstream_error" for an upstream's own error passed on. */
  error: string;
  finish_reason: string;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  /** Part of cache_write_tokens: what the upstream keeps for an hour. */
  cache_write_1h_tokens: number;
  reasoning_tokens: number;
  /** Parts of input_tokens, where the upstream tells them: sound and pictures, which have prices of their own. */
  input_audio_tokens: number;
  input_image_tokens: number;
  /** Part of output_tokens. */
  output_audio_tokens: number;
  /** Images made. */
  images: number;
  /** As the upstream says, else as the caller asked; "" = not said. */
  image_size: string;
  image_quality: string;
  /** Seconds of sound listened to. */
  audio_seconds: number;
  /** Unicode characters spoken. */
  characters: number;
  search_units: number;
  /** US dollars, whole billionths of one. */
  cost_usd: number;
  /** False: tokens were used whose price nobody knows, and cost_usd is 0 for that reason. */
  price_known: boolean;
  /** Of an answer from the gateway's own cache: what it used when it was made. 0 for all others. */
  saved_input_tokens: number;
  saved_output_tokens: number;
  saved_cost_usd: number;
  /** True when any count above is the gateway's guess and not the upstream's word. */
  estimated: boolean;
  /** Did the upstream answer, wholly, and did the client get all of it? */
  complete: boolean;
  /** Milliseconds, three decimals at most. */
  duration_ms: number;
  /** To the first byte of the answer's body from the upstream; 0 = none came. */
  time_to_first_token_ms: number;
  request_bytes: number;
  response_bytes: number;
  client_address: string;
  /** The caller's user-agent, cut to 256 characters. */
  user_agent: string;
  cache: "hit" | "miss" | "bypass";
  losses: readonly string[];
  /** What guardrails did, in the order in which it happened; [] = nothing. */
  guardrails: readonly GuardrailAction[];
}

/** Units of an attempt that used tokens at most. */
export const NO_UNITS = Object.freeze({
  input_audio_tokens: 0,
  input_image_tokens: 0,
  output_audio_tokens: 0,
  images: 0,
  image_size: "",
  image_quality: "",
  audio_seconds: 0,
  characters: 0,
  search_units: 0,
}) satisfies Partial<UsageEvent>;
