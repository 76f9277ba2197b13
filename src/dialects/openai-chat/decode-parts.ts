/** Content parts of chat messages → blocks. */
import { asString, isAbsent, isObject, stringOrNull } from "../json.js";
import type {
  Annotation,
  AudioBlock,
  Block,
  CacheMark,
  DocumentBlock,
  ForeignBlock,
  ImageBlock,
  JsonObject,
  JsonValue,
  TextBlock,
} from "../semantic.js";
import { audioType, dataSource, fileSource, NO_SOURCE, sourceOfUrl, typeOfFileName } from "../media.js";
import { thinkingOfPart } from "./reasoning.js";
import { objectAt, refuse, textAt } from "../refuse-request.js";
import { WIRE } from "./wire-name.js";

/** `cache_control: {type: "ephemeral", ttl?}`, or the vendor's own `prompt_cache_breakpoint`; null = no mark. */
export function cacheOf(part: JsonObject): CacheMark | null {
  if (isObject(part.cache_control)) return { ttl: stringOrNull(part.cache_control.ttl) };
  return isObject(part.prompt_cache_breakpoint) ? { ttl: null } : null;
}

/** A block of plain text. */
export function textBlock(text: string, cache: CacheMark | null = null): TextBlock {
  return { kind: "text", text, cache, annotations: [] };
}

function imageOf(part: JsonObject, path: string): ImageBlock | DocumentBlock {
  const value = part.image_url;
  const image = typeof value === "string" ? { url: value } : objectAt(value, `${path}.image_url`);
  const source = sourceOfUrl(textAt(image.url, `${path}.image_url.url`));
  if (source.mediaType === "application/pdf") return documentOf(source, null, cacheOf(part));
  return { kind: "image", source, detail: stringOrNull((image as JsonObject).detail), cache: cacheOf(part) };
}

function documentOf(source: DocumentBlock["source"], title: string | null, cache: CacheMark | null): DocumentBlock {
  const isText = source.data !== null && source.mediaType.startsWith("text/");
  const text = isText ? Buffer.from(source.data as string, "base64").toString("utf8") : null;
  return {
    kind: "document",
    source: isText ? NO_SOURCE : source,
    text,
    title,
    context: null,
    citations: false,
    cache,
  };
}

function fileOf(part: JsonObject, path: string): ImageBlock | DocumentBlock {
  const file = objectAt(part.file, `${path}.file`);
  const title = stringOrNull(file.filename);
  const cache = cacheOf(part);
  const id = stringOrNull(file.file_id);
  if (id !== null) return documentOf(fileSource(id), title, cache);
  const data = textAt(file.file_data, `${path}.file.file_data`);
  // Look-alikes take addresses here, and some clients leave the data URI's head away.
  const isAddress = /^(?:data:|https?:)/i.test(data);
  const source = isAddress ? sourceOfUrl(data) : dataSource(data, typeOfFileName(title));
  if (source.mediaType.startsWith("image/")) return { kind: "image", source, detail: null, cache };
  return documentOf(source, title, cache);
}

function audioOf(part: JsonObject, path: string): AudioBlock {
  const audio = objectAt(part.input_audio, `${path}.input_audio`);
  const data = textAt(audio.data, `${path}.input_audio.data`);
  return { kind: "audio", source: dataSource(data, audioType(asString(audio.format))) };
}

type PartReader = (part: JsonObject, path: string) => Block;

const PARTS: Readonly<Record<string, PartReader>> = {
  text: (part, path) => textBlock(textAt(part.text, `${path}.text`), cacheOf(part)),
  // Clients that also speak the newer API mix its names in.
  input_text: (part, path) => textBlock(textAt(part.text, `${path}.text`), cacheOf(part)),
  output_text: (part, path) => textBlock(textAt(part.text, `${path}.text`), cacheOf(part)),
  image_url: imageOf,
  file: fileOf,
  input_audio: audioOf,
  refusal: (part, path) => ({ kind: "refusal", text: textAt(part.refusal, `${path}.refusal`) }),
};

/** A part that nobody here knows, as it came. */
export function foreignBlock(type: string, raw: JsonObject): ForeignBlock {
  return { kind: "foreign", wire: WIRE, type, raw };
}

function partBlock(value: JsonValue, path: string): Block {
  const part = objectAt(value, path);
  const type = textAt(part.type, `${path}.type`);
  const read = Object.hasOwn(PARTS, type) ? PARTS[type] : undefined;
  return read?.(part, path) ?? thinkingOfPart(part, WIRE) ?? foreignBlock(type, part);
}

/** The blocks of `content`: a text, a list of parts, or nothing. Refuses any other type, naming the field. */
export function contentBlocks(content: JsonValue | undefined, path: string): Block[] {
  if (typeof content === "string") return [textBlock(content)];
  if (isAbsent(content)) return [];
  if (!Array.isArray(content)) return refuse(path, "a string or an array of content parts");
  return content.map((part, index) => partBlock(part, `${path}[${index}]`));
}

/** An entry of `annotations`. Anything but a citation of an address is carried raw. */
export function annotationOf(raw: JsonObject): Annotation {
  const citation = isObject(raw.url_citation) ? raw.url_citation : null;
  return {
    kind: citation === null ? "foreign" : "url",
    url: asString(citation?.url),
    title: asString(citation?.title),
    citedText: asString(citation?.cited_text),
    start: typeof citation?.start_index === "number" ? citation.start_index : -1,
    end: typeof citation?.end_index === "number" ? citation.end_index : -1,
    raw,
  };
}
