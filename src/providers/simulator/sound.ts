/** The simulator on POST /audio/…. Shapes: `Transcription`, `TranscriptionVerbose` and the events of the vendor's SDK. */
import { audioLength } from "../../dialects/audio-length.js";
import { FrameList } from "./frames.js";
import type { JsonObject } from "./json.js";
import { stringOf } from "./json.js";
import { EVENT_STREAM, isYes, JSON_TYPE, type MediaAnswer, type MediaRequest, tokenUsage } from "./media-answer.js";
import { countTokens, HIGHEST } from "./prompt.js";
import { piecesOf, wordsText } from "./turn.js";

const BYTES_PER_SECOND = 8_000;
const PLAIN = "text/plain; charset=utf-8";
const SOUND_TYPES: Readonly<Record<string, string>> = {
  mp3: "audio/mpeg",
  opus: "audio/opus",
  aac: "audio/aac",
  flac: "audio/flac",
  wav: "audio/wav",
  pcm: "audio/pcm",
};
const BYTES_PER_CHARACTER = 64;
const SOUND_PIECE = 4_096;

/** What is heard in a file: its length, in words where the request scripts them. */
export function answerTranscription(request: MediaRequest): MediaAnswer {
  const { fields, files, knobs, model } = request;
  const file = files.get("file") ?? Buffer.alloc(0);
  const seconds = audioLength(file)?.seconds ?? Math.round(file.length / BYTES_PER_SECOND);
  const text = knobs.words >= 0 ? wordsText(knobs.words) : `The simulator hears ${file.length} bytes.`;
  // As the vendor does it: the older model is paid for by the second, the newer ones by tokens.
  const byTime = model.startsWith("whisper") || knobs.usage === "none";
  const output = byTime ? 0 : countTokens(text);
  const usage = byTime
    ? { type: "duration", seconds }
    : { type: "tokens", ...tokenUsage(stringOf(fields.prompt), output) };
  const told = knobs.usage === "none" ? {} : { usage };
  const inputTokens = byTime ? 0 : countTokens(stringOf(fields.prompt));
  const common = { binary: false, inputTokens, units: { seconds } };
  if (isYes(fields.stream)) {
    return { ...common, list: streamText(text, output, told), contentType: EVENT_STREAM, streamed: true };
  }
  const format = stringOf(fields.response_format, "json");
  const list = new FrameList();
  list.raw(formatted(format, text, seconds, told), format.endsWith("json") ? output : 0);
  const contentType = format.endsWith("json") ? JSON_TYPE : PLAIN;
  return { ...common, list, contentType, streamed: false };
}

function formatted(format: string, text: string, seconds: number, told: JsonObject): string {
  const end = clock(seconds);
  if (format === "text") return `${text}\n`;
  if (format === "srt") return `1\n00:00:00,000 --> ${end.replace(".", ",")}\n${text}\n\n`;
  if (format === "vtt") return `WEBVTT\n\n00:00:00.000 --> ${end}\n${text}\n\n`;
  if (format !== "verbose_json") return JSON.stringify({ text, ...told });
  const segments = [{ id: 0, start: 0, end: seconds, text }];
  return JSON.stringify({ task: "transcribe", language: "english", duration: seconds, text, segments, ...told });
}

/** 00:00:00.000 */
function clock(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().slice(11, 23);
}

function streamText(text: string, outputTokens: number, told: JsonObject): FrameList {
  const list = new FrameList();
  for (const delta of piecesOf(text)) list.event("transcript.text.delta", { delta });
  list.event("transcript.text.done", { text, ...told }, outputTokens);
  return list;
}

/** Bytes for every character, in pieces; or events that hold them. */
export function answerSpeech({ fields, knobs }: MediaRequest): MediaAnswer {
  const input = stringOf(fields.input);
  const characters = Array.from(input).length;
  const bytes = knobs.bytes < 0 ? characters * BYTES_PER_CHARACTER : Math.min(knobs.bytes, HIGHEST.bytes);
  const sound = soundOf(bytes);
  const list = new FrameList();
  const units = { characters };
  if (fields.stream_format === "sse") {
    const output = countTokens(input);
    for (const piece of pieces(sound)) {
      list.event("speech.audio.delta", { audio: Buffer.from(piece, "latin1").toString("base64") });
    }
    list.event("speech.audio.done", { usage: tokenUsage(input, output) }, output);
    const inputTokens = countTokens(input);
    return { list, contentType: EVENT_STREAM, streamed: true, binary: false, inputTokens, units };
  }
  for (const piece of pieces(sound)) list.raw(piece);
  const contentType = SOUND_TYPES[stringOf(fields.response_format, "mp3")] ?? "application/octet-stream";
  return { list, contentType, streamed: false, binary: true, inputTokens: 0, units };
}

/** Every byte there is, so that nobody can take it for text. */
function soundOf(length: number): string {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 7 + 0xff) & 0xff;
  return bytes.toString("latin1");
}

function pieces(sound: string): string[] {
  const list: string[] = [];
  for (let at = 0; at < sound.length; at += SOUND_PIECE) list.push(sound.slice(at, at + SOUND_PIECE));
  return list;
}
