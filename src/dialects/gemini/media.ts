/** Bytes and addresses as parts: inline data, or a file's address with its media type. */
import { withoutAbsent } from "../json.js";
import type { JsonObject, LossList, MediaSource } from "../semantic.js";

const BY_EXTENSION: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  heic: "image/heic",
  heif: "image/heif",
  pdf: "application/pdf",
  txt: "text/plain",
  md: "text/markdown",
  html: "text/html",
  csv: "text/csv",
  json: "application/json",
  mp3: "audio/mpeg",
  wav: "audio/wav",
  flac: "audio/flac",
  ogg: "audio/ogg",
  mp4: "video/mp4",
  webm: "video/webm",
  mov: "video/quicktime",
};
const EXTENSION = /\.([a-z0-9]{2,5})(?:[?#]|$)/i;
/** Ids of files that this wire itself gave out. */
const OWN_FILE = /^(?:https?:\/\/|gs:\/\/|files\/)/;

/** The part for this source; null, with a loss named `kind`, when the wire cannot reach it. `usual`: type if unsaid. */
export function mediaPart(source: MediaSource, usual: string, kind: string, losses: LossList): JsonObject | null {
  if (source.data !== null) return { inlineData: { mimeType: source.mediaType || usual, data: source.data } };
  const inline = source.url === null ? null : dataOf(source.url);
  if (inline !== null)
    return { inlineData: { mimeType: inline.mediaType || source.mediaType || usual, data: inline.data } };
  const address = source.url ?? source.fileId ?? "";
  if (source.url === null && !OWN_FILE.test(address)) {
    losses.add(kind);
    return null;
  }
  return { fileData: { mimeType: source.mediaType || typeOf(address) || usual, fileUri: address } };
}

/** The source of an answer's part; null when the part has neither data nor an address. */
export function mediaSource(inline: JsonObject | null, file: JsonObject | null): MediaSource | null {
  const fields = withoutAbsent(inline ?? file ?? {});
  const { data, fileUri, mimeType } = fields;
  if (typeof data !== "string" && typeof fileUri !== "string") return null;
  return {
    data: typeof data === "string" ? data : null,
    url: typeof data === "string" ? null : String(fileUri),
    fileId: null,
    mediaType: typeof mimeType === "string" ? mimeType : "",
  };
}

function typeOf(address: string): string {
  const extension = EXTENSION.exec(address.slice(-64))?.[1] ?? "";
  return BY_EXTENSION[extension.toLowerCase()] ?? "";
}

/** Splits a base64 data URI; null for any other address. */
function dataOf(url: string): { readonly mediaType: string; readonly data: string } | null {
  if (!url.startsWith("data:")) return null;
  const comma = url.indexOf(",");
  const head = comma < 0 ? "" : url.slice(5, comma);
  if (!head.endsWith(";base64")) return null;
  return { mediaType: head.slice(0, head.indexOf(";")), data: url.slice(comma + 1) };
}
