/** Turns a usage event into its journal line. */
import { NO_UNITS, type UsageEvent } from "./event.js";
import { milliseconds, number, quote } from "./json-text.js";

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

function lossesText(losses: readonly string[]): string {
  if (losses.length === 0) return "[]";
  return `[${losses.map(quote).join(",")}]`;
}

function guardrailsText(actions: UsageEvent["guardrails"]): string {
  if (actions.length === 0) return "[]";
  const each = actions.map(({ name, action, hook }) => `{"name":${quote(name)},"action":"${action}","hook":"${hook}"}`);
  return `[${each.join(",")}]`;
}

/**
 * The event as one line of JSON, without its line end. Times are rounded to microseconds; a number that
 * JSON cannot say becomes 0.
 */
export function usageLine(event: UsageEvent): string {
  return `{"v":${event.v},"id":${quote(event.id)},"request_id":${quote(event.request_id)},"attempt":${number(event.attempt)},${whoText(event)},${targetText(event)},${outcomeText(event)},"request_bytes":${number(event.request_bytes)},"response_bytes":${number(event.response_bytes)},"client_address":${quote(event.client_address)},"user_agent":${quote(event.user_agent)},"cache":"${event.cache}","losses":${lossesText(event.losses)},"guardrails":${guardrailsText(event.guardrails)}}`;
}

function whoText(event: UsageEvent): string {
  return `"time":${quote(event.time)},"node":${quote(event.node)},"operation":${quote(event.operation)},"client_dialect":${quote(event.client_dialect)},"target_dialect":${quote(event.target_dialect)},"api_key":${quote(event.api_key)},"team_id":${textOrNull(event.team_id)},"user_id":${textOrNull(event.user_id)},"metadata":${labelsText(event.metadata)}`;
}

function targetText(event: UsageEvent): string {
  return `"model":${quote(event.model)},"model_entry":${quote(event.model_entry)},"provider":${quote(event.provider)},"provider_key":${quote(event.provider_key)},"tags":${labelsText(event.tags)},"upstream_model":${quote(event.upstream_model)},"response_model":${quote(event.response_model)},"response_id":${quote(event.response_id)},"streamed":${event.streamed}`;
}

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
  return `"status":${number(event.status)},"upstream_status":${number(event.upstream_status)},"error":${quote(event.error)},"finish_reason":${quote(event.finish_reason)},"input_tokens":${number(event.input_tokens)},"output_tokens":${number(event.output_tokens)},"cache_read_tokens":${number(event.cache_read_tokens)},"cache_write_tokens":${number(event.cache_write_tokens)},"cache_write_1h_tokens":${number(event.cache_write_1h_tokens)},"reasoning_tokens":${number(event.reasoning_tokens)},${unitsText(event)},"cost_usd":${number(event.cost_usd)},"price_known":${event.price_known},"saved_input_tokens":${number(event.saved_input_tokens)},"saved_output_tokens":${number(event.saved_output_tokens)},"saved_cost_usd":${number(event.saved_cost_usd)},"estimated":${event.estimated},"complete":${event.complete},"duration_ms":${milliseconds(event.duration_ms)},"time_to_first_token_ms":${milliseconds(event.time_to_first_token_ms)}`;
}
