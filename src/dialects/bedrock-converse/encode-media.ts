/** Images, documents and sound for Converse: bytes by value or an address in S3; nothing else can be sent. */
import { type Failure, failure } from "../../errors.js";
import type { Block, DocumentBlock, JsonObject, MediaSource, SemanticRequest } from "../semantic.js";

const IMAGE_FORMATS: ReadonlyMap<string, string> = new Map([
  ["image/png", "png"],
  ["image/jpeg", "jpeg"],
  ["image/jpg", "jpeg"],
  ["image/gif", "gif"],
  ["image/webp", "webp"],
]);

/** How the base64 of each format begins, for callers who did not say what they send. */
const IMAGE_BEGINNINGS: readonly (readonly [string, string])[] = [
  ["iVBORw0KGgo", "png"],
  ["/9j/", "jpeg"],
  ["R0lGOD", "gif"],
  ["UklGR", "webp"],
];

const DOCUMENT_FORMATS: ReadonlyMap<string, string> = new Map([
  ["application/pdf", "pdf"],
  ["text/csv", "csv"],
  ["application/csv", "csv"],
  ["application/msword", "doc"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
  ["application/vnd.ms-excel", "xls"],
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"],
  ["text/html", "html"],
  ["text/plain", "txt"],
  ["text/markdown", "md"],
]);

const DOCUMENT_EXTENSION = /\.(pdf|csv|docx?|xlsx?|html|txt|md)$/i;
const PDF_BEGINNING = "JVBERi";

const AUDIO_FORMATS: ReadonlyMap<string, string> = new Map([
  ["audio/wav", "wav"],
  ["audio/x-wav", "wav"],
  ["audio/wave", "wav"],
  ["audio/mpeg", "mp3"],
  ["audio/mp3", "mp3"],
  ["audio/mp4", "mp4"],
  ["audio/m4a", "m4a"],
  ["audio/x-m4a", "m4a"],
  ["audio/aac", "aac"],
  ["audio/flac", "flac"],
  ["audio/ogg", "ogg"],
  ["audio/opus", "opus"],
  ["audio/pcm", "pcm"],
  ["audio/pcm16", "pcm"],
  ["audio/webm", "webm"],
]);

const S3 = "s3://";
const DATA_URL = /^data:([^;,]*)[^,]*;base64,/i;

/** Media type without parameters, in lower case. */
function typeOf(source: MediaSource): string {
  return (source.mediaType.split(";", 1)[0] as string).trim().toLowerCase();
}

/** The source with the bytes of a data URL taken out of it. */
export function withBytes(source: MediaSource): MediaSource {
  const found = source.data === null && source.url !== null ? DATA_URL.exec(source.url) : null;
  if (found === null || source.url === null) return source;
  const mediaType = source.mediaType || (found[1] as string);
  return { data: source.url.slice(found[0].length), url: null, fileId: null, mediaType };
}

/** The union `{bytes}` or `{s3Location}`. */
function sourceOf(source: MediaSource): JsonObject {
  return source.data === null ? { s3Location: { uri: source.url ?? "" } } : { bytes: source.data };
}

/** The image; null for a format that Converse does not know. */
export function encodeImage(original: MediaSource): JsonObject | null {
  const source = withBytes(original);
  const type = typeOf(source);
  const guessed = IMAGE_BEGINNINGS.find(([beginning]) => source.data?.startsWith(beginning))?.[1];
  const named = /\.(png|jpe?g|gif|webp)$/i
    .exec(source.url ?? "")?.[1]
    ?.toLowerCase()
    .replace("jpg", "jpeg");
  const format = IMAGE_FORMATS.get(type) ?? (type === "" || type === "image/*" ? (guessed ?? named) : undefined);
  return format === undefined ? null : { image: { format, source: sourceOf(source) } };
}

/** The sound; null for a format that Converse does not know. */
export function encodeAudio(original: MediaSource): JsonObject | null {
  const source = withBytes(original);
  const format = AUDIO_FORMATS.get(typeOf(source));
  return format === undefined ? null : { audio: { format, source: sourceOf(source) } };
}

function documentFormat(block: DocumentBlock, source: MediaSource): string | undefined {
  if (block.text !== null) return "txt";
  const type = typeOf(source);
  const known = DOCUMENT_FORMATS.get(type);
  if (known !== undefined) return known;
  if (type.startsWith("text/")) return "txt";
  if (type !== "" && type !== "application/octet-stream") return undefined;
  if (source.data?.startsWith(PDF_BEGINNING)) return "pdf";
  return DOCUMENT_EXTENSION.exec(block.title ?? source.url ?? "")?.[1]?.toLowerCase();
}

/** The document under this name; null for a format that Converse does not know. */
export function encodeDocument(block: DocumentBlock, name: string): JsonObject | null {
  const source = withBytes(block.source);
  const format = documentFormat(block, source);
  if (format === undefined) return null;
  const document: JsonObject = { format, name };
  document.source = block.text === null ? sourceOf(source) : { text: block.text };
  if (block.context !== null) document.context = block.context;
  if (block.citations) document.citations = { enabled: true };
  return { document };
}

function isReachable(original: MediaSource): boolean {
  const source = withBytes(original);
  return source.data !== null || (source.url?.startsWith(S3) ?? false);
}

function mediaOf(block: Block): readonly (readonly [string, MediaSource])[] {
  if (block.kind === "tool_result") return block.content.flatMap(mediaOf);
  if (block.kind === "document") return block.text === null ? [["document", block.source]] : [];
  return block.kind === "image" || block.kind === "audio" ? [[block.kind, block.source]] : [];
}

/** Refuses a request whose media stand at an address (or in a file store) that Converse cannot read. */
export function unreachableMedia(request: SemanticRequest): Failure | null {
  for (const turn of request.turns) {
    for (const [kind, source] of turn.blocks.flatMap(mediaOf)) {
      if (isReachable(source)) continue;
      const how = source.fileId === null ? "by address" : "by file id";
      const field = request.origin === "openai-responses" ? "input" : "messages";
      const way = "send its data in the request (base64 or a data: address)";
      return failure("unsupported_operation", `${field}: the model takes no ${kind} ${how}; ${way}.`, field);
    }
  }
  return null;
}
