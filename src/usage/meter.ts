/** Writes a usage event as its journal line. */
import { NO_UNITS, type UsageEvent } from "./event.js";
import { type JsonLine, piece, SharedPiece } from "./json-line.js";
import { quote } from "./json-text.js";

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

/**
 * Writes the event as one line of JSON, without its line end. Times are rounded to microseconds; a number that
 * JSON cannot say becomes 0. Ids and the time are the gateway's own: they hold nothing that would have to be escaped.
 */
export function writeUsage(line: JsonLine, event: UsageEvent): void {
  line.piece(VERSION);
  line.number(event.v);
  line.piece(ID);
  line.ascii(event.id);
  line.piece(REQUEST_ID);
  line.ascii(event.request_id);
  line.piece(ATTEMPT);
  line.number(event.attempt);
  line.piece(TIME);
  line.ascii(event.time);
  line.piece(WHO.of(event.api_key, event));
  line.piece(TARGET.of(event.model, event));
  line.quoted(event.response_id);
  line.piece(event.streamed ? STREAMED : WHOLE);
  writeOutcome(line, event);
  writeTokens(line, event);
  writeCost(line, event);
  line.piece(DURATION);
  line.milliseconds(event.duration_ms);
  line.piece(FIRST_TOKEN);
  line.milliseconds(event.time_to_first_token_ms);
  line.piece(REQUEST_BYTES);
  line.number(event.request_bytes);
  line.piece(RESPONSE_BYTES);
  line.number(event.response_bytes);
  line.piece(CLIENT.of(event.client_address, event));
  line.ascii(event.cache);
  line.piece(LOSSES);
  line.list(event.losses);
  line.piece(GUARDRAILS);
  if (event.guardrails.length > 0) line.text(guardrailsText(event.guardrails));
  line.piece(END);
}

const VERSION = piece('{"v":');
const ID = piece(',"id":"');
const REQUEST_ID = piece('","request_id":"');
const ATTEMPT = piece('","attempt":');
const TIME = piece(',"time":"');
const STREAMED = piece(',"streamed":true,"status":');
const WHOLE = piece(',"streamed":false,"status":');
const DURATION = piece(',"duration_ms":');
const FIRST_TOKEN = piece(',"time_to_first_token_ms":');
const REQUEST_BYTES = piece(',"request_bytes":');
const RESPONSE_BYTES = piece(',"response_bytes":');
const LOSSES = piece('","losses":');
const GUARDRAILS = piece(',"guardrails":[');
const END = piece("]}");

const WHO = new SharedPiece({
  write: (line, event: UsageEvent) =>
    line.text(
      `","node":${quote(event.node)},"operation":${quote(event.operation)},"client_dialect":${quote(event.client_dialect)},"target_dialect":${quote(event.target_dialect)},"api_key":${quote(event.api_key)},"team_id":${textOrNull(event.team_id)},"user_id":${textOrNull(event.user_id)},"metadata":${labelsText(event.metadata)}`,
    ),
  keep: ({ node, operation, client_dialect, target_dialect, api_key, team_id, user_id, metadata }: UsageEvent) => ({
    node,
    operation,
    client_dialect,
    target_dialect,
    api_key,
    team_id,
    user_id,
    metadata,
  }),
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

const TARGET = new SharedPiece({
  write: (line, event: UsageEvent) =>
    line.text(
      `,"model":${quote(event.model)},"model_entry":${quote(event.model_entry)},"provider":${quote(event.provider)},"provider_key":${quote(event.provider_key)},"tags":${labelsText(event.tags)},"upstream_model":${quote(event.upstream_model)},"response_model":${quote(event.response_model)},"response_id":`,
    ),
  keep: ({ model, model_entry, provider, provider_key, tags, upstream_model, response_model }: UsageEvent) => ({
    model,
    model_entry,
    provider,
    provider_key,
    tags,
    upstream_model,
    response_model,
  }),
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

const CLIENT = new SharedPiece({
  write: (line, event: UsageEvent) =>
    line.text(`,"client_address":${quote(event.client_address)},"user_agent":${quote(event.user_agent)},"cache":"`),
  keep: ({ client_address, user_agent }: UsageEvent) => ({ client_address, user_agent }),
  same: (kept, event) => kept.client_address === event.client_address && kept.user_agent === event.user_agent,
  longest: ({ user_agent }) => user_agent.length,
});

function textOrNull(text: string | null): string {
  return text === null ? "null" : quote(text);
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const members = Object.keys(labels).map((name) => `${quote(name)}:${quote(labels[name] ?? "")}`);
  return `{${members.join(",")}}`;
}

function guardrailsText(actions: UsageEvent["guardrails"]): string {
  return actions
    .map(({ name, action, hook }) => `{"name":${quote(name)},"action":"${action}","hook":"${hook}"}`)
    .join(",");
}

const UPSTREAM_STATUS = piece(',"upstream_status":');
const ERROR = piece(',"error":');
const FINISH_REASON = piece(',"finish_reason":');

function writeOutcome(line: JsonLine, event: UsageEvent): void {
  line.number(event.status);
  line.piece(UPSTREAM_STATUS);
  line.number(event.upstream_status);
  line.piece(ERROR);
  line.quoted(event.error);
  line.piece(FINISH_REASON);
  line.quoted(event.finish_reason);
}

const INPUT = piece(',"input_tokens":');
const OUTPUT = piece(',"output_tokens":');

function writeTokens(line: JsonLine, event: UsageEvent): void {
  line.piece(INPUT);
  line.number(event.input_tokens);
  line.piece(OUTPUT);
  line.number(event.output_tokens);
  const { cache_read_tokens: read, cache_write_tokens: written, reasoning_tokens: thought } = event;
  const parts = read !== 0 || written !== 0 || thought !== 0 || event.cache_write_1h_tokens !== 0;
  if (parts) writeMembers(line, event, NO_PARTS);
  else line.piece(NO_PARTS_PIECE);
  const { image_size: size, image_quality: quality, images, audio_seconds: seconds } = event;
  const others = images + seconds + event.characters + event.search_units;
  const kinds = event.input_audio_tokens + event.input_image_tokens + event.output_audio_tokens;
  if (others + kinds === 0 && size === "" && quality === "") line.piece(NO_UNITS_PIECE);
  else writeMembers(line, event, NO_UNITS);
}

const COST = piece(',"cost_usd":');
const PRICE_KNOWN = piece(',"price_known":');
const ESTIMATED = piece(',"estimated":');
const COMPLETE = piece(',"complete":');

function writeCost(line: JsonLine, event: UsageEvent): void {
  line.piece(COST);
  line.number(event.cost_usd);
  line.piece(PRICE_KNOWN);
  line.flag(event.price_known);
  const saved = event.saved_input_tokens !== 0 || event.saved_output_tokens !== 0 || event.saved_cost_usd !== 0;
  if (saved) writeMembers(line, event, NOTHING_SAVED);
  else line.piece(NOTHING_SAVED_PIECE);
  line.piece(ESTIMATED);
  line.flag(event.estimated);
  line.piece(COMPLETE);
  line.flag(event.complete);
}

// ---- what most events say nothing of: written once as nothing ----------------------------------------

const NO_PARTS = { cache_read_tokens: 0, cache_write_tokens: 0, cache_write_1h_tokens: 0, reasoning_tokens: 0 };
const NOTHING_SAVED = { saved_input_tokens: 0, saved_output_tokens: 0, saved_cost_usd: 0 };

const NO_PARTS_PIECE = pieceOf(NO_PARTS);
const NO_UNITS_PIECE = pieceOf(NO_UNITS);
const NOTHING_SAVED_PIECE = pieceOf(NOTHING_SAVED);

function pieceOf(members: Readonly<Record<string, string | number>>): Buffer {
  return piece(`,${JSON.stringify(members).slice(1, -1)}`);
}

type Seldom = keyof typeof NO_PARTS | keyof typeof NO_UNITS | keyof typeof NOTHING_SAVED;

/** The members of `event` that `names` has, in its order. */
function writeMembers(line: JsonLine, event: UsageEvent, names: Partial<Record<Seldom, unknown>>): void {
  for (const name of Object.keys(names) as Seldom[]) {
    line.ascii(`,"${name}":`);
    const value = event[name];
    if (typeof value === "string") line.quoted(value);
    else if (name === "audio_seconds") line.milliseconds(value);
    else line.number(value);
  }
}
