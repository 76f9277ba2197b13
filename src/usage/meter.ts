/** Turns a usage event into its journal line. */
import { NO_UNITS, type UsageEvent } from "./event.js";
import { milliseconds, number, quote, quoteList, SharedText } from "./json-text.js";

export { newEventId } from "./event-id.js";

export type FieldType =
  | "string"
  | "string or null"
  | "number"
  | "boolean"
  | "object of strings"
  | "array of strings"
  | "array of objects";

/** Every field of the event with its JSON type, in the order of the line; the docs are held equal to it. */
export const USAGE_FIELDS = Object.freeze({
  v: "number",
  id: "string",
  request_id: "string",
  attempt: "number",
  time: "string",
  node: "string",
  operation: "string",
  client_dialect: "string",
  target_dialect: "string",
  api_key: "string",
  team_id: "string or null",
  user_id: "string or null",
  metadata: "object of strings",
  model: "string",
  model_entry: "string",
  provider: "string",
  provider_key: "string",
  tags: "object of strings",
  upstream_model: "string",
  response_model: "string",
  response_id: "string",
  streamed: "boolean",
  status: "number",
  upstream_status: "number",
  error: "string",
  finish_reason: "string",
  input_tokens: "number",
  output_tokens: "number",
  cache_read_tokens: "number",
  cache_write_tokens: "number",
  cache_write_1h_tokens: "number",
  reasoning_tokens: "number",
  input_audio_tokens: "number",
  input_image_tokens: "number",
  output_audio_tokens: "number",
  images: "number",
  image_size: "string",
  image_quality: "string",
  audio_seconds: "number",
  characters: "number",
  search_units: "number",
  cost_usd: "number",
  price_known: "boolean",
  saved_input_tokens: "number",
  saved_output_tokens: "number",
  saved_cost_usd: "number",
  estimated: "boolean",
  complete: "boolean",
  duration_ms: "number",
  time_to_first_token_ms: "number",
  request_bytes: "number",
  response_bytes: "number",
  client_address: "string",
  user_agent: "string",
  cache: "string",
  losses: "array of strings",
  guardrails: "array of objects",
}) satisfies Readonly<Record<keyof UsageEvent, FieldType>>;

function textOrNull(text: string | null): string {
  return text === null ? "null" : quote(text);
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  let members = "";
  for (const name of Object.keys(labels)) {
    const member = `${quote(name)}:${quote(labels[name] ?? "")}`;
    members = members === "" ? member : `${members},${member}`;
  }
  return `{${members}}`;
}

function guardrailsText(actions: UsageEvent["guardrails"]): string {
  if (actions.length === 0) return "[]";
  const each = actions.map(({ name, action, hook }) => `{"name":${quote(name)},"action":"${action}","hook":"${hook}"}`);
  return `[${each.join(",")}]`;
}

/**
 * The event as one line of JSON, without its line end. Times are rounded to microseconds; a number that
 * JSON cannot say becomes 0. Ids and the time are the gateway's own: they hold nothing that would have to be escaped.
 */
export function usageLine(event: UsageEvent): string {
  return `{"v":${event.v},"id":"${event.id}","request_id":"${event.request_id}","attempt":${number(event.attempt)},"time":"${event.time}"${WHO.of(event.api_key, event)}${TARGET.of(event.model, event)}${quote(event.response_id)},"streamed":${event.streamed},${outcomeText(event)},"request_bytes":${number(event.request_bytes)},"response_bytes":${number(event.response_bytes)}${CLIENT.of(event.client_address, event)}${event.cache}","losses":${quoteList(event.losses)},"guardrails":${guardrailsText(event.guardrails)}}`;
}

const WHO = new SharedText<UsageEvent>({
  write: (event) =>
    `,"node":${quote(event.node)},"operation":${quote(event.operation)},"client_dialect":${quote(event.client_dialect)},"target_dialect":${quote(event.target_dialect)},"api_key":${quote(event.api_key)},"team_id":${textOrNull(event.team_id)},"user_id":${textOrNull(event.user_id)},"metadata":${labelsText(event.metadata)}`,
  same: (kept, event) =>
    kept.node === event.node &&
    kept.operation === event.operation &&
    kept.client_dialect === event.client_dialect &&
    kept.target_dialect === event.target_dialect &&
    kept.api_key === event.api_key &&
    kept.team_id === event.team_id &&
    kept.user_id === event.user_id &&
    kept.metadata === event.metadata,
  longest: () => 0,
});

const TARGET = new SharedText<UsageEvent>({
  write: (event) =>
    `,"model":${quote(event.model)},"model_entry":${quote(event.model_entry)},"provider":${quote(event.provider)},"provider_key":${quote(event.provider_key)},"tags":${labelsText(event.tags)},"upstream_model":${quote(event.upstream_model)},"response_model":${quote(event.response_model)},"response_id":`,
  same: (kept, event) =>
    kept.model === event.model &&
    kept.model_entry === event.model_entry &&
    kept.provider === event.provider &&
    kept.provider_key === event.provider_key &&
    kept.tags === event.tags &&
    kept.upstream_model === event.upstream_model &&
    kept.response_model === event.response_model,
  longest: ({ model, response_model }) => Math.max(model.length, response_model.length),
});

const CLIENT = new SharedText<UsageEvent>({
  write: (event) =>
    `,"client_address":${quote(event.client_address)},"user_agent":${quote(event.user_agent)},"cache":"`,
  same: (kept, event) => kept.client_address === event.client_address && kept.user_agent === event.user_agent,
  longest: ({ user_agent }) => user_agent.length,
});

/** What most events say of everything that is no plain token: nothing. */
const NO_UNITS_TEXT = writtenUnits(NO_UNITS);

function unitsText(event: UsageEvent): string {
  const { image_size: size, image_quality: quality, images, audio_seconds: seconds } = event;
  const others = images + seconds + event.characters + event.search_units;
  const parts = event.input_audio_tokens + event.input_image_tokens + event.output_audio_tokens;
  return others + parts === 0 && size === "" && quality === "" ? NO_UNITS_TEXT : writtenUnits(event);
}

function writtenUnits(event: Pick<UsageEvent, keyof typeof NO_UNITS>): string {
  return `"input_audio_tokens":${number(event.input_audio_tokens)},"input_image_tokens":${number(event.input_image_tokens)},"output_audio_tokens":${number(event.output_audio_tokens)},"images":${number(event.images)},"image_size":${quote(event.image_size)},"image_quality":${quote(event.image_quality)},"audio_seconds":${milliseconds(event.audio_seconds)},"characters":${number(event.characters)},"search_units":${number(event.search_units)}`;
}

function outcomeText(event: UsageEvent): string {
  return `"status":${number(event.status)},"upstream_status":${number(event.upstream_status)},"error":${quote(event.error)},"finish_reason":${quote(event.finish_reason)},"input_tokens":${number(event.input_tokens)},"output_tokens":${number(event.output_tokens)},${tokenPartsText(event)},${unitsText(event)},"cost_usd":${number(event.cost_usd)},"price_known":${event.price_known},${savedText(event)},"estimated":${event.estimated},"complete":${event.complete},"duration_ms":${milliseconds(event.duration_ms)},"time_to_first_token_ms":${milliseconds(event.time_to_first_token_ms)}`;
}

const NO_PARTS = { cache_read_tokens: 0, cache_write_tokens: 0, cache_write_1h_tokens: 0, reasoning_tokens: 0 };
const NO_PARTS_TEXT = writtenTokenParts(NO_PARTS);

function tokenPartsText(event: UsageEvent): string {
  const { cache_read_tokens: read, cache_write_tokens: written, reasoning_tokens: thought } = event;
  const none = read === 0 && written === 0 && thought === 0 && event.cache_write_1h_tokens === 0;
  return none ? NO_PARTS_TEXT : writtenTokenParts(event);
}

function writtenTokenParts(event: Pick<UsageEvent, keyof typeof NO_PARTS>): string {
  return `"cache_read_tokens":${number(event.cache_read_tokens)},"cache_write_tokens":${number(event.cache_write_tokens)},"cache_write_1h_tokens":${number(event.cache_write_1h_tokens)},"reasoning_tokens":${number(event.reasoning_tokens)}`;
}

const NOTHING_SAVED = { saved_input_tokens: 0, saved_output_tokens: 0, saved_cost_usd: 0 };
const NOTHING_SAVED_TEXT = writtenSaving(NOTHING_SAVED);

function savedText(event: UsageEvent): string {
  const none = event.saved_input_tokens === 0 && event.saved_output_tokens === 0 && event.saved_cost_usd === 0;
  return none ? NOTHING_SAVED_TEXT : writtenSaving(event);
}

function writtenSaving(event: Pick<UsageEvent, keyof typeof NOTHING_SAVED>): string {
  return `"saved_input_tokens":${number(event.saved_input_tokens)},"saved_output_tokens":${number(event.saved_output_tokens)},"saved_cost_usd":${number(event.saved_cost_usd)}`;
}
