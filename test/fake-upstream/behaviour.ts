/** What a test may ask of the fake upstream for one request: in the body's `fake` field, or by a script. */
import type { DialectId, Operation } from "../../src/dialects/dialect.js";
import type { UsageVariant } from "../../src/providers/simulator/prompt.js";

export interface Behaviour {
  /** Answer with this status; 400 and above get an error envelope unless `body` is given. */
  status?: number;
  /** Sent as it is when a string, as JSON otherwise. */
  body?: unknown;
  headers?: Record<string, string>;
  content_type?: string;
  /** 307 to this address. */
  redirect?: string;
  /** Wait until the test calls `release`, and only then for anything else. */
  held?: boolean;
  /** Wait before the head of the answer. */
  delay_ms?: number;
  /** Wait between the head and the first byte of the body. */
  first_byte_delay_ms?: number;
  /** Wait between two frames. */
  gap_ms?: number;
  /** Length of the answer's text in words. */
  words?: number;
  /** Length of the answer's text in bytes, nearly; of a sound or an image exactly. */
  bytes?: number;
  /** How frames are written: each on its own (default), cut into so many bytes, or all at once. */
  chunking?: { mode: "frame" | "bytes" | "burst"; size?: number };
  /** Send so many frames, then nothing more, and leave the connection open. */
  stall_after_frames?: number;
  /** Send so many frames, then destroy the connection. */
  close_after_frames?: number;
  /** Send so many bytes of the body, then destroy the connection. */
  close_after_bytes?: number;
  /** End the answer properly, but without its last frame. */
  end_without_terminator?: boolean;
  /** Broken JSON inside valid HTTP, bytes that are no text, or no HTTP at all. */
  garbage?: "json" | "binary" | "http";
  /** Destroy the connection before any byte. */
  reset?: boolean;
  gzip?: boolean;
  usage?: UsageVariant;
  cache_read_tokens?: number;
  cache_write_tokens?: number;
  reasoning_tokens?: number;
  /** After so many frames an error event of the dialect, then the answer's end. */
  error_frame_after?: number;
  /** Lines of the stream end with CR LF. */
  crlf?: boolean;
  /** No content-length on a whole answer. */
  chunked?: boolean;
}

export interface Match {
  /** The model in the body; one `*` at the end is allowed. */
  model?: string;
  /** End of the request's path. */
  path?: string;
  /** Text that the body holds. */
  contains?: string;
}

/** A behaviour for the next `times` matching requests (default 1; -1 = all that follow). */
export interface ScriptEntry extends Behaviour {
  match?: Match;
  times?: number;
}

export interface Route {
  readonly operation: Operation;
  readonly dialect: DialectId;
}

/** Ends of the paths it serves, longer ones first; anything may stand before them. */
const ROUTES: readonly (readonly [string, Operation, DialectId])[] = [
  ["/chat/completions", "chat", "openai-chat"],
  ["/messages/count_tokens", "count_tokens", "anthropic-messages"],
  ["/messages", "messages", "anthropic-messages"],
  ["/responses/input_tokens", "input_tokens", "openai-responses"],
  ["/responses", "responses", "openai-responses"],
  ["/completions", "completions", "openai-completions"],
  ["/embeddings", "embeddings", "openai-embeddings"],
  ["/rerank", "rerank", "rerank"],
  ["/images/generations", "images", "openai-images"],
  ["/images/edits", "image_edits", "openai-images"],
  ["/images/variations", "image_variations", "openai-images"],
  ["/audio/transcriptions", "transcriptions", "openai-audio"],
  ["/audio/translations", "translations", "openai-audio"],
  ["/audio/speech", "speech", "openai-audio"],
  ["/moderations", "moderations", "openai-moderations"],
  ["/tokenize", "tokenize", "tokenize"],
  ["/models", "models", "openai-chat"],
];

/** The operation that a path asks for; null = none. */
export function routeOf(path: string): Route | null {
  const found = ROUTES.find(([end]) => path.endsWith(end));
  return found === undefined ? null : { operation: found[1], dialect: found[2] };
}

/** The scripted behaviours, in the order in which they were given; each request takes the first that matches. */
export class Script {
  #entries: { entry: ScriptEntry; left: number }[] = [];

  add(entries: readonly ScriptEntry[]): void {
    for (const entry of entries) this.#entries.push({ entry, left: entry.times ?? 1 });
  }

  clear(): void {
    this.#entries = [];
  }

  take(path: string, model: string, body: Buffer): Behaviour | null {
    const index = this.#entries.findIndex(({ entry }) => matches(entry.match ?? {}, path, model, body));
    const found = this.#entries[index];
    if (found === undefined) return null;
    if (found.left > 0) found.left--;
    if (found.left === 0) this.#entries.splice(index, 1);
    return found.entry;
  }
}

function matches(match: Match, path: string, model: string, body: Buffer): boolean {
  const wanted = match.model;
  if (wanted?.endsWith("*")) {
    if (!model.startsWith(wanted.slice(0, -1))) return false;
  } else if (wanted !== undefined && wanted !== model) return false;
  return (match.path === undefined || path.endsWith(match.path)) && (!match.contains || body.includes(match.contains));
}

/** A model named "status-503" answers with that status, without any script. */
export function behaviourOfModel(model: string): Behaviour {
  const status = /^status-(\d{3})$/.exec(model)?.[1];
  return status === undefined ? {} : { status: Number(status) };
}
