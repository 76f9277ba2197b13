/** Asking a service about texts: one way to post JSON and read what comes back, and texts cut to what it takes. */
import { asObject, type JsonObject, parseJson } from "../../dialects/json-values.js";
import type { PlainAnswer, PlainCall } from "../plain-call.js";
import { RemoteError, type Replacement } from "./verdict.js";

/** What remote kinds reach into; tests hand in their own. */
export interface Services {
  post(call: PlainCall): Promise<PlainAnswer>;
  /** The credential of a provider key by its name; null = the key gives none, undefined = there is no such key. */
  credential(providerKey: string): unknown;
}

export interface Asked {
  readonly url: string;
  /** Flat list of names and values. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly signal: AbortSignal;
}

/** The guardrail's own time is on the signal; this is only a bound for what forgets it. */
const LONGEST_MS = 600_000;

/** The value in a 2xx answer. Rejects with RemoteError otherwise; nothing of the answer is in its message. */
export async function ask(services: Services, asked: Asked): Promise<unknown> {
  let answer: PlainAnswer;
  try {
    answer = await services.post({ ...asked, timeoutMs: LONGEST_MS });
  } catch (error) {
    throw new RemoteError(error instanceof Error ? error.message : "the call failed");
  }
  if (answer.status < 200 || answer.status > 299) throw new RemoteError(`answered ${answer.status}`);
  const value = parseJson(answer.body);
  if (value === undefined) throw new RemoteError("answered with something that is not JSON");
  return value;
}

/** The object in a 2xx answer. Rejects as `ask` does. */
export async function askForObject(services: Services, asked: Asked): Promise<JsonObject> {
  const object = asObject(await ask(services, asked));
  if (object === null) throw new RemoteError("answered with something else than an object");
  return object;
}

export function jsonBody(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** An address with a path behind its own. */
export function below(base: string, path: string): string {
  return base.replace(/\/+$/, "") + path;
}

/** A part of a text that a service takes at once. */
export interface Chunk {
  /** Which text. */
  readonly index: number;
  /** Where in it. */
  readonly start: number;
  readonly text: string;
}

/** Cuts texts to at most so many characters, behind white space where there is some in the last tenth. */
export function chunksOf(texts: readonly string[], most: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (const [index, text] of texts.entries()) {
    for (let start = 0; start < text.length; ) {
      const end = start + most >= text.length ? text.length : cutBefore(text, start, start + most);
      chunks.push({ index, start, text: text.slice(start, end) });
      start = end;
    }
  }
  return chunks;
}

function cutBefore(text: string, start: number, end: number): number {
  const least = Math.max(start + 1, end - Math.floor((end - start) / 10));
  for (let at = end; at >= least; at--) if (/\s/.test(text[at - 1] as string)) return at;
  // Not through the middle of a surrogate pair.
  return /[\ud800-\udbff]/.test(text[end - 1] as string) && end - 1 > start ? end - 1 : end;
}

/** Chunks together up to a number of characters and of pieces: what goes into one call. */
export function batchesOf(chunks: readonly Chunk[], most: { characters: number; pieces: number }): Chunk[][] {
  const batches: Chunk[][] = [];
  let batch: Chunk[] = [];
  let characters = 0;
  for (const chunk of chunks) {
    if (batch.length > 0 && (characters + chunk.text.length > most.characters || batch.length === most.pieces)) {
      batches.push(batch);
      batch = [];
      characters = 0;
    }
    batch.push(chunk);
    characters += chunk.text.length;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Calls of one question at the same time. */
const LANES = 4;

/** Runs the jobs, a few at a time, until one gives something other than null; that is the result. */
export async function firstOf<Job, Result>(
  jobs: readonly Job[],
  run: (job: Job) => Promise<Result | null>,
): Promise<Result | null> {
  let next = 0;
  let result: Result | null = null;
  const lane = async (): Promise<void> => {
    while (result === null && next < jobs.length) {
      const found = await run(jobs[next++] as Job);
      result ??= found;
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, jobs.length) }, lane));
  return result;
}

/** Puts findings in order, those that overlap as one with the first one's text. */
export function merged(replacements: readonly Replacement[]): Replacement[] {
  const ordered = [...replacements].sort((one, other) => one.start - other.start || other.end - one.end);
  const out: Replacement[] = [];
  for (const one of ordered) {
    const last = out.at(-1);
    if (last === undefined || one.start >= last.end) out.push(one);
    else if (one.end > last.end) out[out.length - 1] = { ...last, end: one.end };
  }
  return out;
}

/** A text that came back changed, as the part of it that is: what surrounds it stays where it is. */
export function changeOf(text: string, changed: string): Replacement {
  const shorter = Math.min(text.length, changed.length);
  let start = 0;
  while (start < shorter && text[start] === changed[start]) start++;
  let kept = 0;
  while (kept < shorter - start && text.at(-1 - kept) === changed.at(-1 - kept)) kept++;
  return { start, end: text.length - kept, text: changed.slice(start, changed.length - kept) };
}

const CATEGORY = /^[\p{L}\p{N}][\p{L}\p{N} _.:/-]{0,63}$/u;

/** What a service calls its finding, if it looks like a name: it must not be a way for the match to get out. */
export function categoryOf(value: unknown, otherwise: string): string {
  return typeof value === "string" && CATEGORY.test(value) ? value : otherwise;
}
