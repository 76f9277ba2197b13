/** Bytes in requests and answers: data URIs, file parts, and the names of audio formats. */
import type { MediaSource } from "./semantic.js";

/** Nothing at all: the source of a document that stands as text. */
export const NO_SOURCE: MediaSource = Object.freeze({ data: null, url: null, fileId: null, mediaType: "" });

/** Bytes by value; `data` is base64. */
export function dataSource(data: string, mediaType: string): MediaSource {
  return { ...NO_SOURCE, data: /\s/.test(data) ? data.replace(/\s+/g, "") : data, mediaType };
}

/** A file that its vendor holds. */
export function fileSource(fileId: string, mediaType = ""): MediaSource {
  return { ...NO_SOURCE, fileId, mediaType };
}

/** What an address means: the bytes of a data URI (RFC 2397), or the address itself. */
export function sourceOfUrl(url: string): MediaSource {
  if (!/^data:/i.test(url)) return { ...NO_SOURCE, url };
  const comma = url.indexOf(",");
  const head = comma < 0 ? "" : url.slice(5, comma);
  const [mediaType = "", ...parameters] = head.split(";");
  const rest = url.slice(comma + 1);
  const type = mediaType.trim().toLowerCase();
  const isBase64 = parameters.some((parameter) => parameter.trim().toLowerCase() === "base64");
  return dataSource(isBase64 ? rest : Buffer.from(unescaped(rest), "utf8").toString("base64"), type || "text/plain");
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address that stands for a source: a data URI or its URL; null when only its vendor has the bytes. */
export function urlOfSource(source: MediaSource, fallbackType: string): string | null {
  if (source.data !== null) return `data:${source.mediaType || fallbackType};base64,${source.data}`;
  return source.url;
}

const AUDIO_TYPES: Readonly<Record<string, string>> = { mp3: "audio/mpeg", pcm16: "audio/pcm", m4a: "audio/mp4" };
const AUDIO_FORMATS: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3",
  "audio/wav": "wav",
  "audio/wave": "wav",
  "audio/x-wav": "wav",
  "audio/pcm": "pcm16",
  "audio/mp4": "m4a",
};

/** The media type of a format's name ("wav", "mp3"). */
export function audioType(format: string): string {
  return AUDIO_TYPES[format] ?? (format === "" ? "" : `audio/${format}`);
}

/** The format's name for a media type. */
export function audioFormat(mediaType: string): string {
  return AUDIO_FORMATS[mediaType] ?? mediaType.replace(/^audio\//, "");
}

const FILE_TYPES: Readonly<Record<string, string>> = {
  pdf: "application/pdf",
  txt: "text/plain",
  md: "text/markdown",
  csv: "text/csv",
  html: "text/html",
  json: "application/json",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
};

/** The media type that a file's name suggests; PDF when it suggests nothing, as that is what files mostly are. */
export function typeOfFileName(name: string | null): string {
  const dot = name?.lastIndexOf(".") ?? -1;
  return FILE_TYPES[(name ?? "").slice(dot + 1).toLowerCase()] ?? "application/pdf";
}
