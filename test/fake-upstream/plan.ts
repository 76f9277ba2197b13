/** Turns a behaviour into bytes: what is sent, when, and how it ends. */
import { constants, createGzip } from "node:zlib";
import type { DialectId } from "../../src/dialects/dialect.js";
import type { SimulatorKnobs } from "../../src/providers/simulator/prompt.js";
import { type SimulatedAnswer, simulate, vendorError } from "../../src/providers/simulator/simulate.js";
import type { SimulatedUnits } from "../../src/providers/simulator/turn.js";
import type { Behaviour, Route } from "./behaviour.js";

/** Bytes that are written together, and the output tokens whose last byte is among them. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly tokens: number;
}

export interface Plan {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly chunks: readonly Chunk[];
  readonly ending: "end" | "destroy" | "stall";
  readonly delayMs: number;
  readonly firstByteDelayMs: number;
  readonly gapMs: number;
  readonly inputTokens: number;
  /** What is dealt out beside tokens. */
  readonly units: SimulatedUnits;
}

type Ending = Plan["ending"];

/** Plans the answer to a request. */
export async function planAnswer(route: Route, body: Buffer, behaviour: Behaviour): Promise<Plan> {
  const fixed = fixedAnswer(route.dialect, behaviour);
  const answer = fixed ?? simulate(route.operation, route.dialect, body, knobsOf(behaviour));
  let { chunks, ending } = limitFrames(framesOf(answer, route.dialect, behaviour), behaviour);
  chunks = rechunk(chunks, behaviour);
  if (behaviour.gzip) chunks = await gzipped(chunks);
  ({ chunks, ending } = limitBytes(chunks, ending, behaviour));
  return {
    status: answer.status,
    headers: headersOf(answer, behaviour, chunks),
    chunks,
    ending,
    delayMs: behaviour.delay_ms ?? answer.delayMs,
    firstByteDelayMs: behaviour.first_byte_delay_ms ?? 0,
    gapMs: behaviour.gap_ms ?? answer.gapMs,
    inputTokens: answer.usage.inputTokens,
    units: answer.usage.units ?? {},
  };
}

function knobsOf(behaviour: Behaviour): Partial<SimulatorKnobs> {
  // A word of the simulator and its blank are 4.8 bytes on average.
  const words = behaviour.words ?? (behaviour.bytes === undefined ? undefined : Math.ceil(behaviour.bytes / 4.8));
  return {
    ...(words === undefined ? {} : { words }),
    ...(behaviour.bytes === undefined ? {} : { bytes: behaviour.bytes }),
    ...(behaviour.usage === undefined ? {} : { usage: behaviour.usage }),
    ...(behaviour.cache_read_tokens === undefined ? {} : { cacheReadTokens: behaviour.cache_read_tokens }),
    ...(behaviour.cache_write_tokens === undefined ? {} : { cacheWriteTokens: behaviour.cache_write_tokens }),
    ...(behaviour.reasoning_tokens === undefined ? {} : { reasoningTokens: behaviour.reasoning_tokens }),
  };
}

/** An answer that is no model's: a status, a redirect, a body given word for word. */
function fixedAnswer(dialect: DialectId, behaviour: Behaviour): SimulatedAnswer | null {
  const status = behaviour.redirect === undefined ? (behaviour.status ?? 200) : 307;
  if (behaviour.body === undefined && status < 300) return null;
  const given =
    behaviour.body ?? JSON.parse(vendorError(dialect, "fake_error", `The fake upstream answers ${status}.`));
  const usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
  return {
    status,
    contentType: "application/json",
    streamed: false,
    model: "",
    frames: [typeof given === "string" ? given : JSON.stringify(given)],
    frameTokens: [0],
    usage,
    delayMs: 0,
    gapMs: 0,
  };
}

function framesOf(answer: SimulatedAnswer, dialect: DialectId, behaviour: Behaviour): Chunk[] {
  const chunks = answer.frames.map((frame, i) => {
    const text = behaviour.crlf && answer.streamed ? frame.replaceAll("\n", "\r\n") : frame;
    return { bytes: Buffer.from(text, answer.encoding ?? "utf8"), tokens: answer.frameTokens[i] ?? 0 };
  });
  if (behaviour.end_without_terminator && answer.streamed) chunks.pop();
  if (behaviour.garbage !== undefined) spoil(chunks, answer.streamed, behaviour.garbage);
  if (behaviour.error_frame_after !== undefined) {
    const error = { bytes: Buffer.from(errorFrame(dialect)), tokens: 0 };
    chunks.splice(behaviour.error_frame_after, chunks.length, error);
  }
  return chunks;
}

function spoil(chunks: Chunk[], streamed: boolean, garbage: "json" | "binary" | "http"): void {
  const noise = Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 151 + 7) % 256));
  const broken = Buffer.from(
    streamed ? 'data: {"id":"broken","choices":[{"del\n\n' : '{"id":"broken","choices":[{"mess',
  );
  const place = streamed ? Math.min(1, chunks.length - 1) : 0;
  chunks.splice(place, 1, { bytes: garbage === "binary" ? noise : broken, tokens: 0 });
}

function errorFrame(dialect: DialectId): string {
  const message = "The fake upstream broke off.";
  if (dialect === "anthropic-messages") {
    return `event: error\ndata: ${vendorError(dialect, "overloaded_error", message)}\n\n`;
  }
  if (dialect === "openai-responses") {
    const event = { type: "error", code: "server_error", message, param: null, sequence_number: 0 };
    return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
  }
  return `data: ${vendorError(dialect, "server_error", message)}\n\n`;
}

function limitFrames(frames: Chunk[], behaviour: Behaviour): { chunks: Chunk[]; ending: Ending } {
  if (behaviour.close_after_frames !== undefined) {
    return { chunks: frames.slice(0, behaviour.close_after_frames), ending: "destroy" };
  }
  if (behaviour.stall_after_frames !== undefined) {
    return { chunks: frames.slice(0, behaviour.stall_after_frames), ending: "stall" };
  }
  return { chunks: frames, ending: "end" };
}

function rechunk(frames: Chunk[], behaviour: Behaviour): Chunk[] {
  const mode = behaviour.chunking?.mode ?? "frame";
  if (mode === "frame" || frames.length === 0) return frames;
  if (mode === "burst") {
    const tokens = frames.reduce((sum, frame) => sum + frame.tokens, 0);
    return [{ bytes: Buffer.concat(frames.map((frame) => frame.bytes)), tokens }];
  }
  return cutEvery(frames, Math.max(1, behaviour.chunking?.size ?? 1));
}

/** Cuts across frames; a frame's tokens go with the chunk that holds its last byte. */
function cutEvery(frames: readonly Chunk[], size: number): Chunk[] {
  const all = Buffer.concat(frames.map((frame) => frame.bytes));
  const tokens = new Array<number>(Math.ceil(all.length / size)).fill(0);
  let end = 0;
  for (const frame of frames) {
    end += frame.bytes.length;
    const index = Math.floor((end - 1) / size);
    tokens[index] = (tokens[index] ?? 0) + frame.tokens;
  }
  return tokens.map((count, i) => ({ bytes: all.subarray(i * size, (i + 1) * size), tokens: count }));
}

/** Compresses as a streaming server does: flushed after every chunk, so that each can be read when it arrives. */
async function gzipped(chunks: readonly Chunk[]): Promise<Chunk[]> {
  const gzip = createGzip();
  const out: Buffer[] = [];
  gzip.on("data", (bytes: Buffer) => out.push(bytes));
  const result: Chunk[] = [];
  for (const chunk of chunks) {
    gzip.write(chunk.bytes);
    await new Promise<void>((resolve) => gzip.flush(constants.Z_SYNC_FLUSH, resolve));
    result.push({ bytes: Buffer.concat(out.splice(0)), tokens: chunk.tokens });
  }
  await new Promise<void>((resolve) => gzip.once("end", resolve).end());
  result.push({ bytes: Buffer.concat(out), tokens: 0 });
  return result;
}

function limitBytes(
  chunks: readonly Chunk[],
  ending: Ending,
  behaviour: Behaviour,
): { chunks: Chunk[]; ending: Ending } {
  let left = behaviour.close_after_bytes;
  if (left === undefined) return { chunks: [...chunks], ending };
  const kept: Chunk[] = [];
  for (const chunk of chunks) {
    if (left <= 0) break;
    const whole = chunk.bytes.length <= left;
    kept.push(whole ? chunk : { bytes: chunk.bytes.subarray(0, left), tokens: 0 });
    left -= chunk.bytes.length;
  }
  return { chunks: kept, ending: "destroy" };
}

function headersOf(answer: SimulatedAnswer, behaviour: Behaviour, chunks: readonly Chunk[]): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": behaviour.content_type ?? answer.contentType,
    "x-request-id": "fake-upstream",
  };
  if (answer.streamed) headers["cache-control"] = "no-cache";
  if (behaviour.gzip) headers["content-encoding"] = "gzip";
  if (behaviour.redirect !== undefined) headers.location = behaviour.redirect;
  if (!answer.streamed && !behaviour.chunked) headers["content-length"] = String(lengthOf(answer, behaviour, chunks));
  return { ...headers, ...lowerCased(behaviour.headers ?? {}) };
}

/** The length announced is the whole answer's, also where it will be cut short. */
function lengthOf(answer: SimulatedAnswer, behaviour: Behaviour, chunks: readonly Chunk[]): number {
  const isCut = behaviour.close_after_bytes !== undefined || behaviour.close_after_frames !== undefined;
  if (isCut || behaviour.stall_after_frames !== undefined) {
    return answer.frames.reduce((sum, frame) => sum + Buffer.byteLength(frame, answer.encoding ?? "utf8"), 0);
  }
  return chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
